"""Graph classification with networks averaged over permutation frames: the EXP experiment of frame averaging."""
