"""Grassmann class representation (Wang et al., ICCV 2023): classes as subspaces, and optimisers that move them as such.

    from models.gcr import GrassmannHead, GrassmannSGD, GrassmannAdam

Names are resolved on first use, so importing this package does not import torch.
"""

from __future__ import annotations

from importlib import import_module

_WHERE = {
    "GrassmannHead": "models.gcr.head",
    "GrassmannSGD": "models.gcr.optim",
    "GrassmannAdam": "models.gcr.optim",
}

__all__ = ["GrassmannAdam", "GrassmannHead", "GrassmannSGD"]


def __getattr__(name: str):
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(_WHERE))
