"""Choices of the networks for surface pressure; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import BenchError, MethodConfig, option

INTRINSIC = ("metric", "connection", "gauss")
FEATURES: dict[str, tuple[str, ...]] = {  # beside coordinates and flight conditions
    "coordinates": (),
    "normal": ("normal",),
    "intrinsic": INTRINSIC,
    "riemann": (*INTRINSIC, "mean"),
    "riemann_normal": ("normal", *INTRINSIC, "mean"),
    "curvature_normal": ("normal", "gauss", "mean"),
    "index": ("index",),
    "index_riemann": ("index", *INTRINSIC, "mean"),
}
FEATURES_HELP = (
    "beside coordinates and flight conditions: intrinsic (the paper's: metric, connection, Gauss curvature), riemann (mean curvature too), "
    "normal, riemann_normal, curvature_normal (normal, Gauss and mean curvature), and as controls coordinates (nothing), index (place "
    "in the grid), index_riemann"
)
CHART_HELP = (
    "of metric and connection; grid: grid lines of the data; tangent: the tangent plane of the nearest points, which knows no grid; "
    "auto: grid where there is one"
)


@dataclass
class Config(MethodConfig):
    """Deep attention network (DAN), pointwise perceptron or PointNet on coordinates, conditions and geometric features."""

    network: str = option("dan", "how points of a surface see each other", choices=("dan", "mlp", "pointnet"))
    features: str = option("coordinates", FEATURES_HELP, choices=tuple(FEATURES))
    chart: str = option("auto", CHART_HELP, choices=("auto", "grid", "tangent"))
    neighbours: int = option(24, "points of a local fit with chart=tangent; on a grid a window of 5 x 5", low=6)
    pool: int = option(
        0, "append mean and maximum of the geometric features over so many nearest points; 0: none", low=0
    )
    width: int | None = option(None, "features of a token, or units of a hidden layer", low=4)
    depth: int | None = option(None, "attention blocks, or hidden layers", low=1)
    heads: int = option(4, "attention heads", low=1)
    tokens: int | None = option(
        None, "most points of a surface in a training step, drawn anew each time; prediction sees all", low=8
    )
    epochs: int | None = option(None, "passes over the training split", low=1)
    batch: int | None = option(None, "surfaces per optimiser step; points for network=mlp", low=1)
    lr: float = option(1e-3, "first step size of AdamW, a cosine to zero", low=0.0)
    weight_decay: float = option(1e-2, "of AdamW", low=0.0)
    steps: int | None = option(None, "stop after so many optimiser steps; null: after all epochs", low=1)

    plugin: ClassVar[str] = "models.wing_cp.plugin:WingCp"
    accepts: ClassVar[tuple[str, ...]] = ("surface_cp",)
    margin: ClassVar[float] = 0.0

    def check(self) -> None:
        if self.network == "dan" and self.width and self.width % self.heads:
            raise BenchError(f"method.width={self.width} is no multiple of method.heads={self.heads}; change one")
        if self.pool and self.features in ("coordinates", "normal", "index"):
            raise BenchError(
                f"method.pool={self.pool} pools geometric features; method.features={self.features} has none"
            )
