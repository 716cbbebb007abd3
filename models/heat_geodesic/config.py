"""Choices of the heat-geodesic embedding; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import BenchError, MethodConfig, option


@dataclass
class Config(MethodConfig):
    """Dissimilarity from the logarithm of a graph's heat kernel, embedded by metric multidimensional scaling."""

    knn: int = option(10, "neighbour whose distance is a point's bandwidth", low=1)
    decay: float = option(40.0, "exponent of the alpha-decay kernel", low=1.0)
    bridge: bool = option(False, "join components of the graph by their shortest edges instead of refusing")
    laplacian: str = option("normalised", "of the graph", choices=("normalised", "combinatorial"))
    route: str = option("chebyshev", "to the kernel exp(-t L)", choices=("exact", "chebyshev", "euler", "lowrank"))
    order: int | None = option(
        None, "terms of chebyshev (null: enough for 1e-14) or implicit steps of euler (null: 30)", low=1
    )
    rank: int = option(100, "eigenvalues of lowrank", low=1)
    t: float | None = option(None, "diffusion time; null: the knee of the kernel's entropy over a grid", low=1e-9)
    t_max: float = option(200.0, "largest time of the grid, which begins at 0.05", low=0.1)
    t_count: int = option(10, "times of the grid", low=3)
    rho: float = option(1.0, "weight of the volume term (Harnack regularisation)", low=0.0, high=1.5)
    denoise: float = option(0.0, "r: d becomes (1 - r) d + r distances between the rows of d", low=0.0, high=1.0)
    weights: str = option(
        "none", "of the scaling: none, or heat: the kernel, which keeps near pairs", choices=("none", "heat")
    )
    dim: int = option(2, "dimension of the embedding", low=1)
    landmarks: int | None = option(
        None, "points that all distances are taken to, for many points; null: all pairs", low=3
    )

    plugin: ClassVar[str] = "models.heat_geodesic.plugin:HeatGeodesic"
    accepts: ClassVar[tuple[str, ...]] = ("manifold",)
    margin: ClassVar[float] = 0.02

    def check(self) -> None:
        if self.landmarks is not None and (self.denoise or self.weights != "none" or self.route != "chebyshev"):
            raise BenchError(
                "method.landmarks goes with route=chebyshev, denoise=0 and weights=none alone: the others need all pairs"
            )
