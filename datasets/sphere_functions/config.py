"""Choices of the pairs of functions; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import DataConfig, option


@dataclass
class Config(DataConfig):
    """Random functions f, g of one degree on the sphere, given by coefficients; asked is f g at random points."""

    degree: int | None = option(None, "highest degree L of f and g", low=1, high=12)
    pairs: int = option(32, "pairs (f, g) of each split", low=2)
    points: int = option(50, "points at which a product is asked", low=1)
    splits: int = option(1, "folds, drawn independently", low=1)

    adapter: ClassVar[str] = "datasets.sphere_functions.adapter:load"
    kind: ClassVar[str] = "sphere_functions"
    sources: ClassVar[tuple[str, ...]] = ("simulated",)
    licence: ClassVar[str] = "none needed: made by formula"

    def folds(self) -> list[str]:
        return [str(i) for i in range(self.splits)]
