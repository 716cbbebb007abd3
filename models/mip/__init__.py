"""Magnitude-invariant parametrisations of hypernetworks (Gonzalez Ortiz, Guttag, Dalca, ICLR 2024).

Names are resolved on first use, so importing this package does not import torch.
"""

from __future__ import annotations

from importlib import import_module

_WHERE = {
    "HyperNetwork": "models.mip.hypernet",
    "encode": "models.mip.hypernet",
    "unit_interval": "models.mip.hypernet",
    "Hypernetised": "models.mip.wrap",
    "hypernetise": "models.mip.wrap",
    "magnitude": "models.mip.measure",
}

__all__ = ["HyperNetwork", "Hypernetised", "encode", "hypernetise", "magnitude", "unit_interval"]


def __getattr__(name: str):
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(_WHERE))
