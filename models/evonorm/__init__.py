"""EvoNorm-B0 and EvoNorm-S0: normalisation and activation in one layer (Liu et al., NeurIPS 2020).

    from models.evonorm import EvoNormB0, EvoNormS0

Names are resolved on first use, so importing this package does not import torch.
"""

from __future__ import annotations

from importlib import import_module

_WHERE = dict.fromkeys(("EvoNormB0", "EvoNormS0", "ScaleShift"), "models.evonorm.layers")

__all__ = ["EvoNormB0", "EvoNormS0", "ScaleShift"]


def __getattr__(name: str):
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(_WHERE))
