"""Choices of the manifolds; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import BenchError, DataConfig, option


@dataclass
class Config(DataConfig):
    """Points of a manifold with noise, and the geodesic distances between the points without it. A fold is a draw."""

    shape: str = option(
        "swiss_roll",
        "swiss_roll; tree: random walks that branch; clusters: a roll with two clusters",
        choices=("swiss_roll", "tree", "clusters"),
    )
    n: int = option(300, "points", low=20, high=5000)
    dim: int = option(10, "dimension they are turned into", low=3)
    noise: float = option(1.0, "standard deviation of the noise in every dimension", low=0.0)
    branches: int = option(5, "of the tree", low=1)
    draws: int = option(8, "number of folds", low=1)
    seed: int = option(42, "of the first draw", low=0)

    adapter: ClassVar[str] = "datasets.manifolds.adapter:load"
    kind: ClassVar[str] = "manifold"
    sources: ClassVar[tuple[str, ...]] = ("simulated",)
    licence: ClassVar[str] = "none needed: made by code"

    def folds(self) -> list[str]:
        return [f"draw{i}" for i in range(self.draws)]

    def check(self) -> None:
        if self.shape == "tree" and self.n < 10 * self.branches:
            raise BenchError(
                f"data.n={self.n} leaves fewer than 10 points to each of data.branches={self.branches}; raise n"
            )
