"""Supervised image classification: head, normalisation, optimiser and backbone are independent choices."""
