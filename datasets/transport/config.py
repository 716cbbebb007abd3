"""Choices of the transport problems; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import BenchError, DataConfig, option

COSTS = ("sqeuclidean", "euclidean", "power", "sphere")


@dataclass
class Config(DataConfig):
    """Samples of a source and of a target measure, unpaired, and a ground cost. A fold is a draw of the problem."""

    problem: str = option(
        "convex",
        "convex: the gradient of a convex function moves a Gaussian mixture; moons: a moon to an S in the plane; sphere: two "
        "clusters to three on S^2",
        choices=("convex", "moons", "sphere"),
    )
    dim: int = option(4, "dimension of problem=convex", low=2)
    cost: str = option("sqeuclidean", "ground cost; sphere: half the squared geodesic distance", choices=COSTS)
    power: float = option(1.5, "p of cost=power, |x - y|^p", low=1.0)
    n_train: int = option(8192, "samples of each measure", low=2)
    n_test: int = option(4096, "fresh samples of each measure", low=64)
    draws: int = option(8, "number of folds", low=1)
    seed: int = option(0, "of all draws", low=0)

    adapter: ClassVar[str] = "datasets.transport.adapter:load"
    kind: ClassVar[str] = "transport"
    sources: ClassVar[tuple[str, ...]] = ("simulated",)
    licence: ClassVar[str] = "none needed: made by code"

    def folds(self) -> list[str]:
        return [f"draw{i}" for i in range(self.draws)]

    def check(self) -> None:
        if (self.cost == "sphere") != (self.problem == "sphere"):
            raise BenchError(
                f"data.cost={self.cost} does not go with data.problem={self.problem}: the geodesic cost and the sphere belong together"
            )
