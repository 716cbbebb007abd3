"""Choices of the regression in the space of an augmentation; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import BenchError, MethodConfig, option


@dataclass
class Config(MethodConfig):
    """Kernel ridge regression with the kernel of an augmentation, or ridge on an encoder of its views, averaged over views."""

    augmentation: str = option(
        "random",
        "random: each coordinate is hidden by itself; block: neighbouring ones together",
        choices=("random", "block"),
    )
    alpha: float | None = option(
        None, "share of coordinates hidden; null: chosen by leave-one-out error on the labels", low=0.0, high=1.0
    )
    flip: float = option(0.0, "probability that a coordinate that is not hidden is flipped", low=0.0, high=0.5)
    encoder: str = option(
        "kernel",
        "kernel: all eigenfunctions; top: those of the d largest eigenvalues; network: trained by the spectral contrastive loss",
        choices=("kernel", "top", "network"),
    )
    d: int = option(56, "dimension of encoder=top and network, the constant included", low=1)
    ridge: float = option(1e-3, "lambda of the regression, times the number of labels", low=1e-12)
    steps: int | None = option(None, "optimiser steps of encoder=network; null: by scale", low=1)
    batch: int | None = option(None, "points with two views each in a step; null: by scale", low=2)
    lr: float = option(1e-3, "first step size of Adam", low=0.0)
    width: int | None = option(None, "of the network's two hidden layers; null: by scale", low=1)

    plugin: ClassVar[str] = "models.rkhs_aug.plugin:AugmentationRegression"
    accepts: ClassVar[tuple[str, ...]] = ("hypercube",)
    margin: ClassVar[float] = 0.05

    def check(self) -> None:
        if self.encoder == "network" and self.alpha is None:
            raise BenchError(
                "method.encoder=network needs method.alpha: one network is trained, not one for each strength"
            )
        if self.encoder == "network" and None in (self.steps, self.batch, self.width):
            raise BenchError(
                "method.encoder=network needs method.steps, method.batch and method.width; take method=rkhs_network"
            )
