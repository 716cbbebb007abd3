"""Vectors whose classes are random subspaces, with noise: simulated, with known truth."""
