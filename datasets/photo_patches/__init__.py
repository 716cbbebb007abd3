"""Grey patches of photographs, and the exact solution of smoothing them as the truth."""
