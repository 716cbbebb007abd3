"""Choices of the simulated subspaces; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import BenchError, DataConfig, option


@dataclass
class Config(DataConfig):
    """Class c is a random subspace of R^ambient; x = Q_c a + noise e, a and e standard normal, then ||x|| = 1. A fold is a draw."""

    classes: int = option(20, "number of classes", low=2)
    dim: int = option(4, "dimension of every subspace", low=1)
    ambient: int = option(32, "dimension of the vectors", low=1)
    noise: float = option(
        0.1, "standard deviation of the noise in every coordinate; the signal has 1 in dim of them", low=0.0
    )
    n_train: int | None = option(None, "training vectors, classes drawn at random; null: 4000", low=2)
    n_test: int | None = option(None, "test vectors; null: 4000", low=1)
    draws: int = option(8, "number of folds: draws of subspaces and samples", low=1)
    seed: int = option(1234, "of the first draw", low=0)

    adapter: ClassVar[str] = "datasets.subspaces.adapter:load"
    kind: ClassVar[str] = "embedding"
    sources: ClassVar[tuple[str, ...]] = ("simulated",)
    licence: ClassVar[str] = "none needed: made by code"

    def folds(self) -> list[str]:
        return [f"draw{i}" for i in range(self.draws)]

    def check(self) -> None:
        if self.dim > self.ambient:
            raise BenchError(f"data.dim={self.dim} is more than data.ambient={self.ambient}; lower it")
