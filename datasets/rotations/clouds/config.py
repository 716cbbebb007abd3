"""Choices of the rotated point clouds; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import DataConfig, option


@dataclass
class Config(DataConfig):
    """Parametric aeroplanes (fuselage, swept wings, tail, fin) as point clouds, each with a rotated copy; folds are draws of all shapes."""

    points: int = option(64, "points per cloud", low=4)
    shapes: int = option(400, "training shapes", low=1)
    test_shapes: int = option(100, "test shapes", low=1)
    per_shape: int = option(20, "test rotations of each test shape", low=1)
    sampling: str = option(
        "uniform_angle", "uniform_angle, as released; haar: uniform on SO(3)", choices=("haar", "uniform_angle")
    )
    draws: int = option(8, "independent draws, one fold each", low=1)

    adapter: ClassVar[str] = "datasets.rotations.clouds.adapter:load"
    kind: ClassVar[str] = "rotated_clouds"
    sources: ClassVar[tuple[str, ...]] = ("simulated",)
    licence: ClassVar[str] = "none needed: made by formula"

    def folds(self) -> list[str]:
        return [f"draw{i}" for i in range(self.draws)]
