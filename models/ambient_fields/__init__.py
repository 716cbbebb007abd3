"""Interpolations of vector fields that know no tangent spaces: a process for each channel, a vector spline. Baselines."""
