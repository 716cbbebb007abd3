"""Baselines of transport maps: shift, Gaussian, entropic, and the dual with input-convex networks."""
