"""Baselines of the hypernetwork study that are no hypernetworks: FiLM, and one network for each noise level."""
