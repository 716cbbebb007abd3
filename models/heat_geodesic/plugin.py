"""The heat-geodesic embedding as a method of the harness."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.spatial.distance import squareform

from bench.schema import Bundle, Metric, Result, SolverMethod
from models.geometry.mds import classical, metric, stress
from models.heat_geodesic.config import Config
from models.heat_geodesic.distances import HeatDistances
from models.heat_geodesic.landmarks import landmark_embedding

LANDMARK_T = 20.0  # of landmarks without method.t: the grid's knee needs all pairs


class HeatGeodesic(SolverMethod):
    cfg: Config

    def skip(self, bundle: Bundle) -> str | None:
        if len(bundle.test) < self.cfg.knn + 2:
            return f"there are {len(bundle.test)} points and method.knn={self.cfg.knn}; lower it"
        return None

    def fit(self, bundle: Bundle, ctx: Any) -> None:
        c, x = self.cfg, np.asarray(bundle.test.x, dtype=np.float64)
        self.metrics: list[Metric] = []
        self.predictions: dict[str, Any] = {}
        if c.landmarks is not None:
            t = LANDMARK_T if c.t is None else c.t
            z, _, _ = landmark_embedding(
                x, c.landmarks, t, c.dim, c.knn, c.decay, c.laplacian, c.rho, c.bridge, ctx.seed("landmarks")
            )
            self.predictions["embedding"] = z
            return
        found = HeatDistances(
            c.knn,
            c.decay,
            c.bridge,
            c.laplacian,
            c.route,
            c.order,
            c.rank,
            c.t,
            (0.05, c.t_max, c.t_count),
            c.rho,
            c.denoise,
        )
        d = found(x)
        weights = found.kernel if c.weights == "heat" else None
        z = metric(d, classical(d, c.dim), None if weights is None else np.maximum(weights, 0))
        self.predictions = {"distances": squareform(d, checks=False), "embedding": z}
        self.metrics = [
            Metric("t", float(found.t or 0), "none", "1"),
            Metric("saturated", found.saturated, "lower", "fraction"),
            Metric("stress", stress(d, z), "lower", "1"),
        ]
        for value, at in zip(found.entropies, np.linspace(0.05, c.t_max, c.t_count), strict=False):
            ctx.log(round(at), entropy=value)

    def evaluate(self, bundle: Bundle, ctx: Any) -> Result:
        return Result(self.predictions, self.metrics, transductive=True)
