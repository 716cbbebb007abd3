"""Modules with constant tables that are rounded once, from float64, to the dtype the module is cast to."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class Placed(nn.Module):
    """`keep(name=table)` makes float64 and complex128 tables available as attributes of this module's dtype and device.

    Casting the module (`.double()`, `.to("cuda")`) takes them anew from float64: a network built in float32 and cast to float64
    works with tables of float64 accuracy. They are constants and no part of the state dict. `wide`: never below float32.
    """

    wide = False

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("probe", torch.empty(0), persistent=False)
        self.sources: dict[str, Tensor] = {}

    def keep(self, **named: Tensor) -> None:
        self.sources.update(named)
        self._place(named)

    def _place(self, named: dict[str, Tensor]) -> None:
        probe: Any = self.probe
        real = torch.promote_types(probe.dtype, torch.float32) if self.wide else probe.dtype
        for name, table in named.items():
            kind = table.dtype
            if kind == torch.float64:
                kind = real
            elif kind == torch.complex128:
                kind = torch.complex128 if real == torch.float64 else torch.complex64
            setattr(self, name, table.to(probe.device, kind))

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        super()._apply(fn, recurse)
        self._place(self.sources)
        return self
