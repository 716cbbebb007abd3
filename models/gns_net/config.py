"""Choices of the small network; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import MethodConfig, option


@dataclass
class Config(MethodConfig):
    """A network with one hidden tanh layer, float64, trained on a table by mini-batches."""

    optimizer: str = option(
        "gns", "gns has no learning rate; adam and sgd try `lrs` on validation data", choices=("gns", "adam", "sgd")
    )
    curvature: str = option("fisher", "H of gns", choices=("fisher", "rank_one", "hessian", "zero"))
    gammas: list[float] = option(lambda: [0.01, 0.1, 1.0, 10.0], "first gamma of gns, chosen on validation data")
    lrs: list[float] = option(
        lambda: [0.001, 0.01, 0.1, 1.0], "learning rates of adam and sgd, chosen on validation data"
    )
    hidden: int = option(16, "hidden units", low=1)
    batch: int = option(128, "samples per step", low=1)
    epochs: int | None = option(None, "passes over the training split", low=1)

    plugin: ClassVar[str] = "models.gns_net.plugin:SmallNetwork"
    accepts: ClassVar[tuple[str, ...]] = ("objective",)
    margin: ClassVar[None] = None  # scored by its own metrics: the returned point is no point of the objective

    def parts(self) -> tuple[str, ...]:
        return ("gns",)
