"""Requests for nearly orthogonal unit vectors: how many, in what dimension, how nearly."""
