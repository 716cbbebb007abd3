"""Pre-RMSNorm and Pre-CRMSNorm transformers (Jiang et al., NeurIPS 2023): modules, and a lossless converter from Pre-LN.

Names are resolved on first use, so importing this package does not import torch.
"""

from __future__ import annotations

from importlib import import_module

_WHERE = {
    "to_pre_rmsnorm": "models.pre_rmsnorm.convert",
    "to_pre_crmsnorm": "models.pre_rmsnorm.convert",
    "RMSNorm": "models.pre_rmsnorm.norms",
    "CRMSNorm": "models.pre_rmsnorm.norms",
    "pre_ln_block": "models.pre_rmsnorm.blocks",
    "pre_rmsnorm_block": "models.pre_rmsnorm.blocks",
    "pre_crmsnorm_block": "models.pre_rmsnorm.blocks",
}

__all__ = [
    "CRMSNorm",
    "RMSNorm",
    "pre_crmsnorm_block",
    "pre_ln_block",
    "pre_rmsnorm_block",
    "to_pre_crmsnorm",
    "to_pre_rmsnorm",
]


def __getattr__(name: str):
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(_WHERE))
