"""Noisy points of manifolds whose geodesic distances are known, and cells of single-cell data (kind manifold)."""
