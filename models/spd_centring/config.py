"""Choices of the precision experiment; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import MethodConfig, option


@dataclass
class Config(MethodConfig):
    """A batch of SPD matrices centred at its mean in float32 and in float64, under one Riemannian metric."""

    metric: str = option("bw", "bw: Bures-Wasserstein; aim: affine-invariant", choices=("bw", "aim"))

    plugin: ClassVar[str] = "models.spd_centring.plugin:SpdCentring"
    accepts: ClassVar[tuple[str, ...]] = ("spd_objective",)
    margin: ClassVar[None] = None  # a rounding error has no trivial predictor
