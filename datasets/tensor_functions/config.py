"""Choices of the synthetic functions; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import BenchError, DataConfig, option

CANDIDATES = {"inertia": ("o3", "o2xy", "o2yz", "o2xz"), "cossim": ("so3_scaling", "so3", "scaling")}


@dataclass
class Config(DataConfig):
    """3,000 Gaussian points and an exact function of them; each fold is a random split in thirds."""

    function: str = option(
        "inertia", "inertia: of five masses; cossim: mean cosine of three vectors", choices=("inertia", "cossim")
    )
    constant: float = option(-1.0, "size of the term that breaks the symmetry; 0 leaves it whole")
    axis: int = option(2, "inertia: the axis that is singled out; -1 breaks every candidate", choices=(-1, 0, 1, 2))
    keeps: str = option(
        "so3_scaling", "cossim: the symmetry that is left", choices=("so3_scaling", "so3", "scaling", "none")
    )
    n: int = option(3000, "points in all", low=30)
    splits: int = option(8, "number of folds", low=1)

    adapter: ClassVar[str] = "datasets.tensor_functions.adapter:load"
    kind: ClassVar[str] = "tensor_regression"
    sources: ClassVar[tuple[str, ...]] = ("simulated",)
    licence: ClassVar[str] = "none needed: made by formula"

    def folds(self) -> list[str]:
        return [f"split{i}" for i in range(self.splits)]

    def exact(self) -> tuple[str, ...]:
        """The candidate groups under which the function is equivariant."""
        if self.constant == 0:
            return CANDIDATES[self.function]
        if self.function == "inertia":
            return {-1: (), 0: ("o2yz",), 1: ("o2xz",), 2: ("o2xy",)}[self.axis]
        return CANDIDATES["cossim"] if self.keeps == "so3_scaling" else () if self.keeps == "none" else (self.keeps,)

    def check(self) -> None:
        if self.function == "cossim" and self.axis != 2:
            raise BenchError("data.axis belongs to data.function=inertia; leave it out for cossim")
        if self.function == "inertia" and self.keeps != "so3_scaling":
            raise BenchError("data.keeps belongs to data.function=cossim; leave it out for inertia")
