"""Analytic closed shapes with noise, for oriented normals."""
