"""A scale-invariant objective in the plane, from several starts."""
