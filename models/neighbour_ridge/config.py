"""Choices of the ridge on neighbour counts; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import BenchError, MethodConfig, option


@dataclass
class Config(MethodConfig):
    """Ridge regression of local scores on counts of neighbours: where it is as good as a network, the data are too easy."""

    penalties: list[float] = option(lambda: [1e-2, 1.0, 1e2, 1e4], "L2 penalties tried; the validation split chooses")

    plugin: ClassVar[str] = "models.neighbour_ridge.plugin:NeighbourRidge"
    accepts: ClassVar[tuple[str, ...]] = ("protein_models",)
    margin: ClassVar[float] = 0.0

    def check(self) -> None:
        if not self.penalties or min(self.penalties) <= 0:
            raise BenchError("method.penalties needs one or more positive numbers, e.g. [1.0,100.0]")
