"""Pairs of random functions on the sphere and the values of their products."""
