"""Rotations to be regressed: of matrices, of point clouds and of the joints of a skeleton. All simulated."""
