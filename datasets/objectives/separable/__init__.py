"""Separable data by construction: the two of the large-step-size paper and random ones."""
