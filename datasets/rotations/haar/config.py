"""Choices of the auto-encoding test; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import DataConfig, option


@dataclass
class Config(DataConfig):
    """Nine entries of a random rotation in, the rotation out; an endless training stream, one fold per draw of stream and test."""

    n_test: int = option(100000, "fresh test rotations", low=10)
    sampling: str = option(
        "haar", "haar: uniform on SO(3); uniform_angle: about a uniform axis", choices=("haar", "uniform_angle")
    )
    draws: int = option(8, "independent draws, one fold each", low=1)

    adapter: ClassVar[str] = "datasets.rotations.haar.adapter:load"
    kind: ClassVar[str] = "rotations"
    sources: ClassVar[tuple[str, ...]] = ("simulated",)
    licence: ClassVar[str] = "none needed: made by formula"

    def folds(self) -> list[str]:
        return [f"draw{i}" for i in range(self.draws)]
