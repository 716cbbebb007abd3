"""The stochastic use of gradient-normalised smoothness: a small network trained by `models.gns.GNS`, Adam or SGD."""
