"""Pairs of a point cloud and its rotated copy."""
