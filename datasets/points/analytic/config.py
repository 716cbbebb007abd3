"""Choices of the analytic surfaces; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import option
from datasets.points.options import PointsConfig


@dataclass
class Config(PointsConfig):
    """Ellipsoids, tori, boxes, capped cylinders, cones and saddles of random proportions, axis along z; folds are random sets."""

    train: int | None = option(None, "training clouds", low=6)
    val: int | None = option(None, "validation clouds", low=6)
    test: int | None = option(None, "test clouds, each present upright and posed", low=6)
    splits: int | None = option(None, "folds, each with clouds of its own", low=1)

    adapter: ClassVar[str] = "datasets.points.analytic.adapter:load"
    sources: ClassVar[tuple[str, ...]] = ("simulated",)
    licence: ClassVar[str] = "none needed: made by formula"

    def folds(self) -> list[str]:
        return [str(i) for i in range(self.splits or 1)]
