"""Equiangular basis vectors (Shen, Sun and Wei, CVPR 2023): fixed, nearly orthogonal targets for classes.

    from models.ebv import EquiangularHead, generate, welch_bound

Names are resolved on first use, so importing this package does not import torch.
"""

from __future__ import annotations

from importlib import import_module

_WHERE = {
    "EquiangularHead": "models.ebv.head",
    "generate": "models.ebv.basis",
    "coherence": "models.ebv.basis",
    "welch_bound": "models.ebv.bounds",
}

__all__ = ["EquiangularHead", "coherence", "generate", "welch_bound"]


def __getattr__(name: str):
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(_WHERE))
