"""Regressions of scikit-learn for surface pressure: gradient-boosted trees, and principal components with Gaussian processes."""
