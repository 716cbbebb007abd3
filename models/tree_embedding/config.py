"""Choices of the embedding of a metric space; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import BenchError, MethodConfig, option


@dataclass
class Config(MethodConfig):
    """Points of R^d or of the Poincare ball whose distances are, up to one scale, those of a given metric space."""

    space: str = option("ball", "where the points lie", choices=("ball", "euclidean"))
    c: float | None = option(None, "ball: curvature -c; null: 1")
    clip: float | None = option(None, "ball: longest tangent vector (r of the paper); null: none", low=1e-6)
    dim: int = option(2, "coordinates of a point", low=1)
    starts: int = option(8, "starts, of which the best is kept: the problem has many minima", low=1)
    steps: int | None = option(None, "steps of Adam, cosine schedule", low=1)
    lr: float = option(0.03, "step size of Adam at the start", low=0.0)

    plugin: ClassVar[str] = "models.tree_embedding.plugin:Embedding"
    accepts: ClassVar[tuple[str, ...]] = ("metric_space",)
    margin: ClassVar[None] = None  # a distortion has no trivial predictor

    def check(self) -> None:
        if self.c is not None and not self.c > 0:
            raise BenchError(
                f"method.c={self.c} must be positive: the ball has curvature -c; space=euclidean is the flat one"
            )
        if self.space == "euclidean" and (self.c or self.clip):
            raise BenchError("method.c and method.clip belong to the ball; leave them null with method.space=euclidean")
