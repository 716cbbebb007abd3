"""Choices of TSMNet; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import BenchError, option
from models.spdnet.config import NORMS, NormConfig

OWN = ("spddsmbn", "spdmbn")
"""Normalisations with momentum schedule and refit; the others keep running statistics over all domains."""


@dataclass
class Config(NormConfig):
    """TSMNet: convolutions, covariance, BiMap, SPD momentum batch normalisation by domain (session or subject), tangent space."""

    norm: str = option(
        "spddsmbn",
        "spddsmbn keeps statistics by domain; spdmbn one set for all, refit on the training data after training; "
        "the others are those of spdnet",
        choices=(*OWN, *NORMS),
    )
    adapt: bool = option(
        True,
        "spddsmbn: refit the statistics of unseen domains on their unlabelled data (transductive); without: M = I, v = 1",
    )
    temporal: int = option(4, "temporal filters", low=1)
    spatial: int = option(40, "spatial filters = size of the covariance", low=2)
    kernel: int = option(25, "length of a temporal filter in samples", low=1)
    hidden: int = option(20, "size after BiMap", low=1)
    rectify: float = option(1e-4, "smallest eigenvalue before the normalisation, in squared units of the data", low=0.0)
    trace_norm: bool = option(False, "divide each covariance by its mean eigenvalue")
    batch: int = option(50, "trials per optimiser step: `domains` times as many of one domain", low=2)
    domains: int = option(5, "domains in a training batch", low=1)
    settle: int = option(10, "epochs at the end in which the momenta stay at their last values", low=0)
    lr: float = option(1e-3, "step size of Riemannian Adam, all parameters", low=0.0)
    weight_decay: float = option(1e-4, "on Euclidean parameters only", low=0.0)

    plugin: ClassVar[str] = "models.tsmnet.plugin:TSMNet"
    accepts: ClassVar[tuple[str, ...]] = ("eeg_trials",)
    margin: ClassVar[float] = 0.1

    def parts(self) -> tuple[str, ...]:
        """Everything that `models.spdnet.net` imports, where a layer of it is taken."""
        return () if self.norm in OWN else ("spdnet", "gbw_rbn", "liebn")

    def check(self) -> None:
        super().check()
        if self.hidden > self.spatial:
            raise BenchError(
                f"method.hidden={self.hidden} is larger than method.spatial={self.spatial}; BiMap only reduces"
            )
        if self.batch // self.domains < 2:
            raise BenchError(
                f"method.batch={self.batch} over method.domains={self.domains} leaves fewer than 2 trials of a domain; "
                "raise batch or lower domains"
            )
