"""Choices of the constructed separable data; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import DataConfig, option


@dataclass
class Config(DataConfig):
    """Binary classification without intercept that a line through the origin separates; one fold per draw or size."""

    construction: str = option(
        "worst_case",
        "worst_case: one sample against n - 1 copies of another (Theorem 5.1); two_sample: the loss misleads (Theorem 4.1); "
        "gaussian: normal samples pushed away from a random hyperplane",
        choices=("worst_case", "two_sample", "gaussian"),
    )
    sizes: list[int] = option(lambda: [1000], "samples n, one fold each (worst_case)")
    draws: list[int] = option(lambda: [0], "seeds, one fold each (gaussian)")
    n: int = option(50, "samples (gaussian)", low=2)
    d: int = option(10, "features (gaussian)", low=1)
    gap: float = option(0.1, "distance of every sample from the hyperplane, added to its own (gaussian)", low=0.0)
    copies: int = option(1, "how many times the whole data set is repeated", low=1)

    adapter: ClassVar[str] = "datasets.objectives.separable.adapter:load"
    kind: ClassVar[str] = "objective"
    sources: ClassVar[tuple[str, ...]] = ("simulated",)
    licence: ClassVar[str] = "none needed: made by formula"
    labels: ClassVar[tuple[int, ...]] = (-1, 1)

    def folds(self) -> list[str]:
        if self.construction == "worst_case":
            return [f"n{n}" for n in self.sizes]
        return [f"draw{d}" for d in self.draws] if self.construction == "gaussian" else ["two"]

    def check(self) -> None:
        from bench.schema import BenchError

        if any(n < 2 for n in self.sizes):
            raise BenchError(f"data.sizes={self.sizes}: one sample of each class is needed, so at least 2")
