"""Random polynomials on the hypercube {-1, 1}^m, simulated (kind hypercube)."""
