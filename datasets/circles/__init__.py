"""Points on concentric circles of the plane: simulated, with known truth."""
