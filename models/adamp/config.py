"""Choices of the toy experiment of AdamP; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import MethodConfig, option


@dataclass
class Config(MethodConfig):
    """Momentum descent on a scale-invariant objective, with or without projection (SGDP)."""

    projected: bool = option(False, "SGDP; false: torch's SGD")
    momentum: float = option(0.9, "weight of the past in the momentum", low=0.0, high=0.999)
    lr: float = option(0.02, "step size", low=0.0)
    steps: int = option(500, "number of steps", low=1)
    near: float = option(1e-3, "1 - cosine to the goal that counts as arrived", low=0.0)
    official_parity: bool = option(False, "project the momentum buffer, too, as the released SGDP does")

    plugin: ClassVar[str] = "models.adamp.plugin:Toy"
    accepts: ClassVar[tuple[str, ...]] = ("scale_invariant_objective",)
    margin: ClassVar[None] = None  # a norm has no trivial predictor
