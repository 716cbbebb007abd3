"""Choices of normals by local fits; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import BenchError, MethodConfig, option


@dataclass
class Config(MethodConfig):
    """Normals from principal components or jets of the nearest points, then one sign for each point."""

    fit: str = option(
        "pca", "pca: direction of least variance; jet: polynomial height function", choices=("pca", "jet")
    )
    neighbours: list[int] | None = option(None, "sizes of neighbourhoods that validation data choose from")
    orders: list[int] = option(lambda: [2, 3], "degrees of the jets that validation data choose from")
    orient: str = option(
        "mst",
        "mst: along the minimum spanning tree of 1 - |n_i . n_j|; radial: away from the mean of the cloud; none: as fitted",
        choices=("mst", "radial", "none"),
    )
    tree_neighbours: int = option(12, "nearest points that the tree may use", low=1)

    plugin: ClassVar[str] = "models.normal_fitting.plugin:NormalFitting"
    accepts: ClassVar[tuple[str, ...]] = ("oriented_clouds",)
    margin: ClassVar[float] = 20.0  # degrees

    def check(self) -> None:
        if self.neighbours is not None and (not self.neighbours or min(self.neighbours) < 3):
            raise BenchError("method.neighbours needs one or more sizes of 3 points at least, e.g. [16,32,64]")
        if self.fit == "jet" and (not self.orders or not set(self.orders) <= {1, 2, 3, 4}):
            raise BenchError("method.orders needs degrees among 1, 2, 3 and 4, e.g. [2,3]")
