"""Choices of the Riemannian residual network; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import option
from models.spdnet.config import NormConfig


@dataclass
class Config(NormConfig):
    """RResNet: BiMap, normalisation, one residual step along a learnt vector field, LogEig, linear classifier."""

    theta: float = option(0.5, "power deformation of gbw, bw, aim and lcm (lem has none); not 0")
    hidden: int | None = option(None, "size after BiMap; null: the paper's 30, or 5/8 of smaller matrices", low=1)
    steps: int = option(1, "residual steps", low=1)
    channels: int = option(3, "channels of the map of the eigenvalues", low=1)
    kernel: int = option(5, "length of its kernels", low=1)
    batch: int = option(30, "matrices per optimiser step, over all devices together", low=1)
    lr: float = option(2.5e-3, "step size of Riemannian Adam (AMSGrad)", low=0.0)
    weight_decay: float = option(0.0, "on Euclidean parameters only", low=0.0)

    plugin: ClassVar[str] = "models.rresnet.plugin:RiemannianResNet"
    accepts: ClassVar[tuple[str, ...]] = ("spd_trials",)
    margin: ClassVar[float] = 0.1

    def parts(self) -> tuple[str, ...]:
        """Everything that `models.spdnet.net` imports."""
        return ("spdnet", "gbw_rbn", "liebn")
