"""Choices of the Riemannian residual network; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import BenchError, TrainConfig, option
from models.spdnet.config import NORMS


@dataclass
class Config(TrainConfig):
    """RResNet: BiMap, normalisation, one residual step along a learnt vector field, LogEig, linear classifier."""

    norm: str = option("none", "normalisation after BiMap, as for spdnet", choices=NORMS)
    theta: float = option(0.5, "power deformation of gbw, bw, aim and lcm (lem has none); not 0")
    momentum: float = option(0.1, "weight of a new batch in the running statistics", low=0.0, high=1.0)
    norm_eps: float = option(1e-5, "added to the variance before its root", low=1e-12)
    official_parity: bool = option(False, "follow the authors' code where it differs from the mathematics")
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

    def check(self) -> None:
        if self.theta == 0:
            raise BenchError("method.theta=0 has no inverse power; choose any other value, 1 for no deformation")
