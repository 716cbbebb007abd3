"""Riemannian residual network on SPD matrices (Katsman et al. 2023), with an exchangeable batch normalisation.

Names are resolved on first use, so importing this package does not import torch.
"""

from __future__ import annotations

from importlib import import_module

_WHERE = {
    "RResNet": "models.rresnet.net",
    "ResidualStep": "models.rresnet.residual",
    "SpectrumMap": "models.rresnet.residual",
}

__all__ = ["RResNet", "ResidualStep", "SpectrumMap"]


def __getattr__(name: str):
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(_WHERE))
