"""Choices of the concentric circles; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import BenchError, DataConfig, option


@dataclass
class Config(DataConfig):
    """Points at random angles on concentric circles about 0, plus Gaussian noise, to be clustered by circle. A fold is a draw."""

    radii: list[float] = option(lambda: [0.5, 1.0], "radius of each circle")
    n: int = option(150, "points on each circle", low=2)
    noise: float = option(0.04, "standard deviation of the noise in each coordinate", low=0.0)
    draws: int = option(8, "number of folds", low=1)
    seed: int = option(1234, "of the first draw", low=0)

    adapter: ClassVar[str] = "datasets.circles.adapter:load"
    kind: ClassVar[str] = "clustering"
    sources: ClassVar[tuple[str, ...]] = ("simulated",)
    licence: ClassVar[str] = "none needed: made by code"

    def folds(self) -> list[str]:
        return [f"draw{i}" for i in range(self.draws)]

    def check(self) -> None:
        if len(self.radii) < 2 or min(self.radii) <= 0:
            raise BenchError(f"data.radii={self.radii} must be two or more positive radii")
