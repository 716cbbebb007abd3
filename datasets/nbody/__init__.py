"""Charged particles of the n-body experiments of EGNN and frame averaging, regenerated exactly."""
