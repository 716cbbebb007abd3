"""MDS canonicalisation (TinvNN-style): invariant, distance-preserving coordinates for any network (after Zhang et al. 2021).

Names are resolved on first use, so importing this package does not import torch.
"""

from __future__ import annotations

from importlib import import_module

_WHERE = {
    "MDSCanonicalisation": "models.tinvnn.mds",
    "canonicalise": "models.tinvnn.mds",
    "classical_mds": "models.tinvnn.mds",
}

__all__ = ["MDSCanonicalisation", "canonicalise", "classical_mds"]


def __getattr__(name: str):
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(_WHERE))
