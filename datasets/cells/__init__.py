"""Single-cell data by file: embeddings scored by the types and the times of the cells (kind manifold)."""
