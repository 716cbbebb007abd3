"""Samplers and evidences beside the flow: Markov chains, nested sampling, Laplace's approximation, quadrature."""
