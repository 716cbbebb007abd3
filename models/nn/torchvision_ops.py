"""One cure for a trap: a torchvision built for CUDA beside a CPU-only torch dies on import, and takes torchmetrics and lightning along."""

from __future__ import annotations

import functools
import importlib.util
from typing import Any

_kept: list[Any] = []  # a torch Library lives as long as its Python object


@functools.cache
def cure() -> bool:
    """Call before importing torchvision, torchmetrics, lightning or timm. True when the cure was needed and applied.

    torchvision registers shape functions for `nms` and `qnms` on import; when its own library cannot be loaded these operators
    do not exist and the import fails. Defining their schemas (no kernels) lets models, transforms v2 and datasets work.
    """
    spec = importlib.util.find_spec("torchvision")
    if spec is None or not spec.submodule_search_locations:
        return False
    import torch

    if hasattr(torch.ops.torchvision, "nms"):
        return False
    from pathlib import Path

    for library in Path(next(iter(spec.submodule_search_locations))).glob("_C.*"):
        try:
            torch.ops.load_library(str(library))
            return False
        except OSError:
            break
    ops = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        ops.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _kept.append(ops)
    return True
