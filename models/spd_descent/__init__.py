"""Gradient descent on SPD matrices under two metrics: the geometric claim behind gbw_rbn, deterministic."""
