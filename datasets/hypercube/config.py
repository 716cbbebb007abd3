"""Choices of the polynomials on the hypercube; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import BenchError, DataConfig, option


@dataclass
class Config(DataConfig):
    """A random polynomial on {-1, 1}^m, labelled with noise at n points; all other points are the test set. A fold is a draw."""

    m: int = option(10, "coordinates; all 2^m points are used", low=2, high=14)
    sd: list[float] = option(
        lambda: [1.0, 0.6, 0.25],
        "standard deviation of the coefficients of degree 1, 2, ...; then scaled to variance 1",
    )
    span: int | None = option(
        None, "local target: only monomials within so many neighbouring coordinates; null: all monomials", low=1
    )
    n_train: int = option(120, "labelled points", low=2)
    noise: float = option(0.3, "standard deviation of the labels' noise", low=0.0)
    draws: int = option(20, "number of folds", low=1)
    seed: int = option(0, "of all draws", low=0)

    adapter: ClassVar[str] = "datasets.hypercube.adapter:load"
    kind: ClassVar[str] = "hypercube"
    sources: ClassVar[tuple[str, ...]] = ("simulated",)
    licence: ClassVar[str] = "none needed: made by code"

    def folds(self) -> list[str]:
        return [f"draw{i}" for i in range(self.draws)]

    def check(self) -> None:
        if self.n_train >= 2**self.m:
            raise BenchError(
                f"data.n_train={self.n_train} leaves no test point of {2**self.m}; lower it or raise data.m"
            )
        if not 1 <= len(self.sd) <= self.m or min(self.sd) < 0 or not any(self.sd):
            raise BenchError(
                f"data.sd={self.sd} must be 1 to data.m={self.m} standard deviations, none negative, not all 0"
            )
