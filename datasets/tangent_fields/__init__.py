"""Tangent vector fields known at part of the points of a surface and asked for at the others (kind vector_field)."""
