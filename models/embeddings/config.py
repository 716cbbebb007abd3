"""Choices of the manifold-learning baselines; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import MethodConfig, option


@dataclass
class Config(MethodConfig):
    """Graph distances, diffusion distances and neighbour embeddings, by well-kept libraries."""

    algorithm: str = option(
        "shortest_path",
        "shortest_path (Isomap of scikit-learn), diffusion_map, tsne, spectral (scikit-learn), phate, umap",
        choices=("shortest_path", "diffusion_map", "tsne", "spectral", "phate", "umap"),
    )
    knn: int = option(10, "neighbours of the graph", low=2)
    t: int | None = option(None, "diffusion time of phate (null: chosen) and diffusion_map (null: 1)", low=1)
    perplexity: float = option(30.0, "of tsne", low=2.0)
    min_dist: float = option(0.1, "of umap", low=0.0)
    dim: int = option(2, "dimension of the embedding", low=1)

    plugin: ClassVar[str] = "models.embeddings.plugin:Baseline"
    accepts: ClassVar[tuple[str, ...]] = ("manifold",)
    margin: ClassVar[float | None] = None  # some are worse than Euclidean distances between noisy points
