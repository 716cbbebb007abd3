"""Choices of the transport baselines; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import BenchError, MethodConfig, option

QUADRATIC = ("gaussian", "icnn")
"""Algorithms for the squared Euclidean cost alone."""


@dataclass
class Config(MethodConfig):
    """Transport maps without the Monge gap."""

    algorithm: str = option(
        "gaussian",
        "identity; shift of the mean; gaussian: optimal between Gaussians of the same moments; entropic: barycentric projection of the "
        "entropic plan; icnn: gradient of an input-convex network (squared cost)",
        choices=("identity", "shift", "gaussian", "entropic", "icnn"),
    )
    epsilon: float = option(0.05, "of entropic, over the mean cost from source to target", low=1e-6)
    anchors: int = option(2048, "samples of each measure in the entropic plan", low=2)
    hidden: list[int] | None = option(None, "of icnn: widths of the hidden layers; null: by scale")
    steps: int | None = option(None, "of icnn: optimiser steps of the potential; null: by scale", low=1)
    inner: int | None = option(None, "of icnn: steps of the conjugate's map for each; null: by scale", low=1)
    batch: int | None = option(None, "of icnn: samples of each measure in a step; null: by scale", low=2)
    lr: float = option(1e-3, "of icnn: step size of Adam", low=0.0)

    plugin: ClassVar[str] = "models.transport_maps.plugin:Baseline"
    accepts: ClassVar[tuple[str, ...]] = ("transport",)
    margin: ClassVar[float | None] = None  # the shift is itself the trivial predictor

    def check(self) -> None:
        if self.algorithm == "icnn" and None in (self.hidden, self.steps, self.inner, self.batch):
            raise BenchError(
                "method.algorithm=icnn needs method.hidden, method.steps, method.inner and method.batch; take method=icnn_map"
            )
