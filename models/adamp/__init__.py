"""AdamP and SGDP (Heo et al., ICLR 2021): projected momentum optimisers for scale-invariant weights.

    from models.adamp import AdamP, SGDP

Names are resolved on first use, so importing this package does not import torch.
"""

from __future__ import annotations

from importlib import import_module

_WHERE = {"AdamP": "models.adamp.optim", "SGDP": "models.adamp.optim"}

__all__ = ["SGDP", "AdamP"]


def __getattr__(name: str):
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(_WHERE))
