"""Frame averaging (Puny et al., ICLR 2022): wrappers for any network, and the network of its n-body experiment.

Names are resolved on first use, so importing this package does not import torch.
"""

from __future__ import annotations

from importlib import import_module

_WHERE = {
    "FrameAveraging": "models.geometry.frames",
    "GroupAveraging": "models.geometry.frames",
    "PermutationFrameAveraging": "models.geometry.graph_frames",
    "FAGNN": "models.frame_averaging.fa_gnn",
}

__all__ = ["FAGNN", "FrameAveraging", "GroupAveraging", "PermutationFrameAveraging"]


def __getattr__(name: str):
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_WHERE[name]), name)


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(_WHERE))
