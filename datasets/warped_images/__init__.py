"""Digits trained upright and tested under affine maps or homographies: affNIST and homNIST in style, and affNIST's own files."""
