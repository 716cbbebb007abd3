"""TSMNet and SPD domain-specific momentum batch normalisation (Kobler, Hirayama, Zhao, Kawanabe, NeurIPS 2022).

Names are resolved on first use, so importing this package does not import torch.
"""

from __future__ import annotations

from importlib import import_module

_WHERE = {
    "SPDDSMBN": "models.tsmnet.norm",
    "TSMNetwork": "models.tsmnet.net",
    "domain_batches": "models.tsmnet.sampler",
    "momenta": "models.tsmnet.schedule",
}

__all__ = ["SPDDSMBN", "TSMNetwork", "domain_batches", "momenta"]


def __getattr__(name: str):
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(_WHERE))
