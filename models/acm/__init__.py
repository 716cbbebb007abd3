"""Augmented covariance matrices: delay embedding of EEG trials and Riemannian classifiers (Carrara and Papadopoulo 2023)."""
