"""Choices of the SPD network; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import BenchError, TrainConfig, option

NORMS = ("none", "gbw", "bw", "brooks", "aim", "lem", "lcm")


@dataclass
class NormConfig(TrainConfig):
    """The normalisation of a network of SPD matrices and what it is built with, see `models.spdnet.net.normalisation`."""

    norm: str = option(
        "none",
        "normalisation after BiMap: gbw learns the metric M, bw keeps M = I, brooks is SPDNetBN; aim, lem, lcm are LieBN",
        choices=NORMS,
    )
    theta: float = option(1.0, "power deformation of gbw, bw, aim and lcm (lem has none); not 0")
    momentum: float = option(0.1, "weight of a new batch in the running statistics", low=0.0, high=1.0)
    norm_eps: float = option(1e-5, "added to the variance before its root", low=1e-12)
    official_parity: bool = option(False, "follow the authors' code where it differs from the mathematics")

    def check(self) -> None:
        if self.theta == 0:
            raise BenchError("method.theta=0 has no inverse power; choose any other value, 1 for no deformation")


@dataclass
class Config(NormConfig):
    """SPDNet: BiMap, normalisation, ReEig (once or more), LogEig, linear classifier; before it, for EEG, a covariance front end."""

    official_parity: bool = option(
        False, "follow the authors' code where it differs from the mathematics (also: BiMap stays at its start)"
    )
    spatial: int | None = option(None, "maps of the spatial convolution; null: the paper's for the paradigm", low=1)
    temporal: int | None = option(
        None, "maps of the temporal convolution = size of the covariance; null: the paper's", low=2
    )
    kernel: int | None = option(None, "length of the temporal kernel in samples; null: the paper's", low=1)
    hidden: int | None = option(
        None, "size after BiMap; null: the paper's, for SPD matrices 30 or 5/8 of theirs", low=1
    )
    dims: list[int] | None = option(
        None, "sizes after several BiMap layers, each with its normalisation and ReEig; null: one, of size hidden"
    )
    batch: int = option(30, "trials per optimiser step, over all devices together", low=1)
    lr: float = option(2.5e-3, "step size of all parameters, Riemannian ones too", low=0.0)
    sgd_momentum: float = option(0.9, "momentum of Euclidean and Stiefel parameters", low=0.0, high=1.0)
    weight_decay: float = option(5e-2, "on Euclidean parameters only", low=0.0)
    optimiser: str = option(
        "sgd",
        "sgd: the paper's for EEG; amsgrad: Riemannian Adam of geoopt, the paper's for skeletons",
        choices=("sgd", "amsgrad"),
    )

    plugin: ClassVar[str] = "models.spdnet.plugin:SPDNet"
    accepts: ClassVar[tuple[str, ...]] = ("eeg_trials", "spd_trials")
    margin: ClassVar[float] = 0.1

    def parts(self) -> tuple[str, ...]:
        if self.norm in ("gbw", "bw"):
            return ("gbw_rbn",)
        return ("liebn",) if self.norm in ("aim", "lem", "lcm") else ()

    def check(self) -> None:
        super().check()
        if self.dims is not None and (not self.dims or min(self.dims) < 1):
            raise BenchError(
                f"method.dims={self.dims} needs one size or more, each at least 1; null takes method.hidden"
            )
        if self.dims is not None and self.hidden is not None:
            raise BenchError("method.dims and method.hidden both give the size after BiMap; drop one of them")
