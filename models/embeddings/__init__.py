"""Distances and embeddings of libraries, the baselines of manifold learning."""
