"""Batch normalisation on Lie groups of SPD matrices (Chen et al., ICLR 2024).

Names are resolved on first use, so importing this package does not import torch.
"""

from __future__ import annotations

from importlib import import_module

_WHERE = {
    "LieBatchNorm": "models.liebn.norm",
    "MixedRiemannianSGD": "models.nn.riemannian_sgd",
    "manifold_groups": "models.nn.riemannian_sgd",
}

__all__ = ["LieBatchNorm", "MixedRiemannianSGD", "manifold_groups"]


def __getattr__(name: str):
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(_WHERE))
