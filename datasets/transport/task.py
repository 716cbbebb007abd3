"""How a transport map is scored: is the target reached, and is the map optimal?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bench.schema import Bundle, Metric

GAP = 512  # points of the exact assignment
DIVERGENCE = 1024  # of each sample in the Sinkhorn divergence
EPSILON = 0.05  # its regularisation, in units of the mean cost within the target


class Transport:
    """Predictions are `y` (n, d): the images of the test split's source points.

    l2_uvp: 100 E|T - T*|^2 / Var(target), where T* is known. gap: (1/512) sum c(x_i, T(x_i)) less the cheapest pairing of these
    points, over the mean cost, so that costs compare. divergence: Sinkhorn divergence to fresh points of the target, squared
    Euclidean (on the sphere: half squared geodesic), over the same mean cost.
    """

    def __init__(self, cost: str, power: float, known: bool) -> None:
        self.cost, self.power = cost, power
        self.main = "l2_uvp" if known else "divergence"

    def score(self, bundle: Bundle, predictions: Mapping[str, Any]) -> list[Metric]:
        import torch

        from models.geometry.transport import exact_gap, ground_cost, matrix, sinkhorn_divergence

        images = np.asarray(predictions["y"], dtype=np.float64)
        x, y = (np.asarray(v, dtype=np.float64) for v in (bundle.test.x, bundle.test.y))
        if images.shape != x.shape:
            raise ValueError(f"y has shape {images.shape}; the test split needs the images {x.shape} of its points")
        if not np.isfinite(images).all():
            raise ValueError("y holds NaN or infinity; the map has diverged: lower its step size")
        cost = ground_cost(self.cost, self.power)
        fit = ground_cost("sphere" if self.cost == "sphere" else "sqeuclidean")
        source, mapped, target = (torch.from_numpy(v) for v in (x, images, y))
        scale = float(matrix(cost, source[:GAP], target[:GAP]).mean())
        spread = float(matrix(fit, target[:DIVERGENCE], target[:DIVERGENCE]).mean())
        gap = exact_gap(cost, source[:GAP], mapped[:GAP])
        divergence = sinkhorn_divergence(fit, mapped[:DIVERGENCE], target[:DIVERGENCE], EPSILON * spread, tol=1e-6)
        metrics = [
            Metric("gap", gap / scale, "lower", "mean cost"),
            Metric("divergence", float(divergence) / spread, "lower", "mean cost"),
        ]
        if "truth" in bundle.meta:
            truth = np.asarray(bundle.meta["truth"])
            error = np.square(images - truth).sum(1).mean() / np.square(truth - truth.mean(0)).sum(1).mean()
            metrics.insert(0, Metric("l2_uvp", 100 * float(error), "lower", "percent"))
        return metrics

    def trivial(self, bundle: Bundle) -> dict[str, Any]:
        """The source shifted to the mean of the target (on the sphere: left where it is)."""
        x = np.asarray(bundle.test.x)
        if self.cost == "sphere":
            return {"y": x}
        return {"y": x - np.asarray(bundle.train.x).mean(0) + np.asarray(bundle.train.y).mean(0)}

    def figures(self, bundle: Bundle, predictions: Mapping[str, Any]) -> dict[str, Any]:
        """Source, target and images in the first two coordinates, with the ways of 100 points."""
        from matplotlib.figure import Figure

        x, y, images = np.asarray(bundle.test.x), np.asarray(bundle.test.y), np.asarray(predictions["y"])
        figure = Figure(figsize=(5, 5), layout="constrained")
        axes = figure.add_subplot(title=f"{bundle.group}, {self.cost}", aspect="equal")
        for name, points, colour in (("source", x, "0.6"), ("target", y, "tab:orange"), ("images", images, "tab:blue")):
            axes.plot(*points[:600, :2].T, ".", markersize=3, color=colour, label=name, alpha=0.6)
        for a, b in zip(x[:100, :2], images[:100, :2], strict=True):
            axes.plot(*np.stack([a, b]).T, color="0.3", linewidth=0.4)
        axes.legend(fontsize=8)
        return {"map": figure}
