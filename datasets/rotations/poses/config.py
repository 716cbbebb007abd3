"""Choices of the skeleton motions; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import DataConfig, option


@dataclass
class Config(DataConfig):
    """A skeleton of 57 joints in smooth random motion, 60 frames a second; every drawn frame has its own heading and place."""

    sequences: int = option(200, "training sequences of 16 to 64 frames", low=1)
    test_sequences: int = option(100, "test sequences", low=1)
    amplitude: float = option(1.0, "size of the joints' swings; 1 is at most about a radian", low=0.0, high=3.0)
    shift: float = option(50.0, "standard deviation of the horizontal shift, cm", low=0.0)
    draws: int = option(8, "independent draws, one fold each", low=1)

    adapter: ClassVar[str] = "datasets.rotations.poses.adapter:load"
    kind: ClassVar[str] = "poses"
    sources: ClassVar[tuple[str, ...]] = ("simulated",)
    licence: ClassVar[str] = "none needed: made by formula"

    def folds(self) -> list[str]:
        return [f"draw{i}" for i in range(self.draws)]
