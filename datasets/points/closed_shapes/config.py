"""Choices of the analytic closed shapes; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import BenchError, DataConfig, option


@dataclass
class Config(DataConfig):
    """Spheres, ellipsoids, tori, boxes, capped cylinders and capsules of random proportions and pose, with noise; a fold is a draw."""

    points: int | None = option(None, "points of a cloud", low=16)
    train: int | None = option(None, "training clouds", low=6)
    val: int | None = option(None, "validation clouds", low=6)
    test: int | None = option(None, "test clouds", low=6)
    query: int | None = option(None, "scored points of each validation and test cloud", low=1)
    noise: list[float] = option(
        lambda: [0.0, 0.005, 0.01], "standard deviations of the noise, as shares of the diagonal of the bounding box"
    )
    splits: int | None = option(None, "folds, each with clouds of its own", low=1)

    adapter: ClassVar[str] = "datasets.points.closed_shapes.adapter:load"
    kind: ClassVar[str] = "oriented_clouds"
    sources: ClassVar[tuple[str, ...]] = ("simulated",)
    licence: ClassVar[str] = "none needed: made by formula"

    def check(self) -> None:
        if not self.noise or min(self.noise) < 0:
            raise BenchError("data.noise needs one or more shares of at least 0, e.g. [0.0,0.01]")

    def folds(self) -> list[str]:
        return [str(i) for i in range(self.splits or 1)]
