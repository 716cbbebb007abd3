"""Gradient-normalised smoothness (Semenov, Jaggi, Doikov, ICLR 2026): Newton's method with approximate Hessians, and baselines.

`from models.gns import GNS` is the optimiser for torch. Names are resolved on first use, so importing this package does not
import torch.
"""

from __future__ import annotations

from importlib import import_module

_WHERE = {"GNS": "models.gns.optimizer", "gns": "models.gns.newton", "Problem": "models.gns.newton"}

__all__ = list(_WHERE)


def __getattr__(name: str):
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(_WHERE))
