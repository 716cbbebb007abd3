"""Choices of the transport baselines; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import MethodConfig, option

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
    hidden: list[int] = option(lambda: [64, 64], "of icnn: widths of the hidden layers")
    steps: int = option(600, "of icnn: optimiser steps of the potential", low=1)
    inner: int = option(5, "of icnn: steps of the conjugate's map for each", low=1)
    batch: int = option(128, "of icnn: samples of each measure in a step", low=2)
    lr: float = option(1e-3, "of icnn: step size of Adam", low=0.0)

    plugin: ClassVar[str] = "models.transport_maps.plugin:Baseline"
    accepts: ClassVar[tuple[str, ...]] = ("transport",)
    margin: ClassVar[float | None] = None  # the shift is itself the trivial predictor
