"""Rotation matrices themselves: the auto-encoding test."""
