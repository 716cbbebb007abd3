"""Choices of the simulated SPD clusters as a data set of its own; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import DataConfig, option

KAPPA = {"well": 1e2, "ill": 1e6}  # of the base point


@dataclass
class Config(DataConfig):
    """Classes of SPD matrices around a base point of condition number 1e2 or 1e6, one draw per fold.

    Fold by fold the two conditions are one problem up to a congruence: an affine-invariant method sees no difference.
    """

    condition: str = option("well", "condition number of the base point: well 1e2, ill 1e6", choices=tuple(KAPPA))
    n: int = option(16, "matrix size", low=2)
    classes: int = option(4, "classes", low=2)
    train: int = option(60, "training matrices of each class", low=2)
    val: int = option(20, "validation matrices of each class", low=0)
    test: int = option(40, "test matrices of each class", low=1)
    separation: float = option(0.5, "affine-invariant distance of a class centre from the base point", low=0.0)
    spread: float = option(2.0, "root mean square affine-invariant distance of a matrix from its centre", low=0.0)
    draws: int = option(8, "independent draws, one fold each", low=1)

    adapter: ClassVar[str] = "datasets.spd.clusters.adapter:load"
    kind: ClassVar[str] = "spd_trials"
    sources: ClassVar[tuple[str, ...]] = ("simulated",)
    licence: ClassVar[str] = "none needed: made by formula"

    def folds(self) -> list[str]:
        return [f"draw{i}" for i in range(self.draws)]
