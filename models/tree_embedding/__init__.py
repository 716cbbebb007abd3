"""Embedding of finite metric spaces in the plane and in the hyperbolic disc."""

from models.lazy import exports

__getattr__, __dir__, __all__ = exports(__name__, {"embed": "models.tree_embedding.embedding"})
