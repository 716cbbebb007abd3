"""Choices of the smoothing hypernetwork; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import BenchError, MethodConfig, option


@dataclass
class Config(MethodConfig):
    """A convolutional network that smooths patches, its weights predicted from the weight gamma ~ U(0, 1) of smoothness in its loss."""

    encoding: str = option(
        "cos_sin", "of gamma: cos_sin is MIP's; none is the standard one", choices=("cos_sin", "complement", "none")
    )
    independent: bool = option(True, "theta_0 starts as weights of its own (MIP), or at zero (standard)")
    hidden: list[int] = option(lambda: [16, 128], "hidden widths of the hypernetwork")
    start: str = option(
        "fan_out",
        "initialisation of its last layer: per tensor by fan-out, as one, or hyperfan-in",
        choices=("fan_out", "joint", "hyperfan_in"),
    )
    widths: list[int] = option(lambda: [16, 16], "channels of the convolutional network, kernels 3 x 3")
    optimiser: str = option("adam", "adam, or sgd with Nesterov momentum 0.9", choices=("adam", "sgd"))
    lr: float = option(1e-3, "step size", low=0.0)
    batch: int = option(32, "patches per step, with one gamma", low=1)
    steps: int | None = option(None, "optimiser steps", low=1)
    every: int = option(50, "steps between two points of the curves", low=1)

    plugin: ClassVar[str] = "models.hyper_smoothing.plugin:Smoother"
    accepts: ClassVar[tuple[str, ...]] = ("patches",)
    margin: ClassVar[float] = 0.0

    def parts(self) -> tuple[str, ...]:
        return ("mip",)

    def check(self) -> None:
        if not self.widths or min(self.widths) < 1:
            raise BenchError(f"method.widths={self.widths}: give the channels of at least one hidden layer")
