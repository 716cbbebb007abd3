"""Choices of the clustering baselines; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import MethodConfig, option

ALGORITHMS = ("kmeans", "spectral", "ds_spectral", "ensc", "ssc_omp")


@dataclass
class SubspaceConfig(MethodConfig):
    """What the two subspace clusterings are told."""

    gamma: float = option(10.0, "of ensc: weight of the error, in units of the least that gives a solution", low=1.0)
    tau: float = option(0.95, "of ensc: share of the 1-norm in the penalty", low=0.0, high=1.0)
    atoms: int = option(5, "of ssc_omp: points that express one point, at most", low=1)
    residual: float = option(1e-6, "of ssc_omp: squared error at which a point is expressed", low=0.0)


@dataclass
class Config(SubspaceConfig):
    """Clusters the entries of the samples themselves, into as many clusters as there are classes."""

    algorithm: str = option(
        "kmeans",
        "kmeans, spectral (scikit-learn), ds_spectral (of the doubly stochastic kernel), ensc or ssc_omp (subspaces)",
        choices=ALGORITHMS,
    )
    affinity: str = option(
        "nearest_neighbors",
        "of spectral: graph of the nearest neighbours, or Gaussian kernel of the median distance",
        choices=("nearest_neighbors", "rbf"),
    )
    neighbours: int = option(10, "of the graph of spectral", low=1)
    eta: float = option(0.15, "of ds_spectral: weight of the entropy", low=1e-6)

    plugin: ClassVar[str] = "models.clustering.plugin:Baseline"
    accepts: ClassVar[tuple[str, ...]] = ("clustering",)
    margin: ClassVar[float] = 0.0
