"""Functions of vectors with a known symmetry that a constant breaks: inertia tensors and cosine similarities."""
