"""A counter-example for magnitude-invariant hypernetworks: smoothing image patches by a weight gamma, without labels."""
