"""Regressions of scikit-learn with cross-validated choices: baselines for vectors."""
