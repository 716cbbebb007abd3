"""How vector fields are scored, and the zeros of those that have a hole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bench.schema import Bundle, Metric

Z90 = 1.6448536269514722  # the 95 % quantile of the normal distribution: bounds of a 90 % interval


class FieldTask:
    """Predictions are `y` (n, F, D), F fields at the test points, and optionally `std` (n, F, D) of their components.

    alignment: mean inner product with the truth over the mean square of the truth, so for unit vectors the mean inner product, which
    punishes shrinkage; cosine: mean over vectors; relative_error: Frobenius norm of the error over that of the truth;
    coverage_90: share of components inside the central 90 % interval. Where `meta` has a hole: index_error, the difference of the
    Poincare index in the hole from the truth; one_zero, 1 where exactly one triangle has an index; zero_distance, from that triangle to the
    true one over the radius of the hole (1 where there is none).
    """

    main = "cosine"

    def score(self, bundle: Bundle, predictions: Mapping[str, Any]) -> list[Metric]:
        truth = np.asarray(bundle.test.y)
        y = np.asarray(predictions["y"], dtype=np.float64)
        if y.shape != truth.shape or not np.isfinite(y).all():
            raise ValueError(f"y has shape {y.shape} or is not finite; the test split needs finite {truth.shape}")
        inner, size = (y * truth).sum(-1), np.linalg.norm(truth, axis=-1)
        both = np.maximum(np.linalg.norm(y, axis=-1) * size, np.finfo(float).tiny)
        metrics = [
            Metric("alignment", float(inner.sum() / (size**2).sum()), "higher", "1"),
            Metric("cosine", float((inner / both).mean()), "higher", "1"),
            Metric("relative_error", float(np.linalg.norm(y - truth) / np.linalg.norm(truth)), "lower", "1"),
        ]
        if "std" in predictions:
            inside = np.abs(y - truth) <= Z90 * np.asarray(predictions["std"])
            metrics.append(Metric("coverage_90", float(inside.mean()), "none", "fraction"))
        return metrics + (hole_metrics(bundle, y[:, 0]) if "hole" in bundle.meta else [])

    def trivial(self, bundle: Bundle) -> dict[str, Any]:
        """The mean vector of the training points."""
        return {"y": np.broadcast_to(bundle.train.y.mean(0), bundle.test.y.shape)}

    def figures(self, bundle: Bundle, predictions: Mapping[str, Any]) -> dict[str, Any]:
        """Known (grey), true (black) and predicted (red) vectors of the first field, seen along the axis with the least extent."""
        from matplotlib.figure import Figure

        points = np.concatenate([bundle.train.x, bundle.test.x])
        drop = int(np.ptp(points, axis=0).argmin())
        keep = [i for i in range(points.shape[1]) if i != drop][:2]
        centre = points[:, drop].mean()
        figure = Figure(figsize=(6, 6), layout="constrained")
        axes = figure.add_subplot(aspect="equal", xticks=[], yticks=[], title=f"{bundle.group}: the half facing us")
        size = np.linalg.norm(np.ptp(points, axis=0)) / 18 / np.sqrt((bundle.train.y[:, 0] ** 2).sum(-1).mean())
        for x, y, colour, label in (
            (bundle.train.x, bundle.train.y[:, 0], "0.75", "known"),
            (bundle.test.x, bundle.test.y[:, 0], "black", "true"),
            (bundle.test.x, np.asarray(predictions["y"])[:, 0], "tab:red", "predicted"),
        ):
            near = x[:, drop] >= centre
            axes.quiver(
                *x[near][:, keep].T,
                *size * y[near][:, keep].T,
                angles="xy",
                scale_units="xy",
                scale=1,
                color=colour,
                label=label,
                width=0.003,
            )
        axes.legend(loc="lower right", fontsize=8)
        return {"field": figure}


def hole_metrics(bundle: Bundle, y: np.ndarray) -> list[Metric]:
    """Poincare indices of the triangles of the hole (see `hole`) with the prediction (n, 3) in place of the hidden vectors."""
    from models.geometry.singularities import plane_indices

    hole = bundle.meta["hole"]
    vectors = np.concatenate([bundle.train.y[:, 0], y])[hole["points"]] @ hole["axes"]
    index = plane_indices(hole["flat"], hole["triangles"], vectors)
    found = np.flatnonzero(index)
    centre = hole["flat"][hole["triangles"]].mean(1)
    away = np.linalg.norm(centre[found] - centre[hole["zero"]], axis=1).min() / hole["radius"] if len(found) else 1.0
    return [
        Metric("index_error", float(abs(index.sum() - hole["index"])), "lower", "1"),
        Metric("one_zero", float(len(found) == 1), "higher", "fraction"),
        Metric("zero_distance", float(min(away, 1.0)), "lower", "radius"),
    ]


def triangulate(points: np.ndarray, vectors: np.ndarray, axes: np.ndarray, chosen: np.ndarray, radius: float) -> dict:
    """The disc of `chosen` points (first: its centre) in the plane of `axes` (3, 2), with its Delaunay triangles and its zeros."""
    from scipy.spatial import Delaunay

    from models.geometry.singularities import plane_indices

    flat = (points[chosen] - points[chosen[0]]) @ axes
    triangles = Delaunay(flat).simplices
    index = plane_indices(flat, triangles, vectors[chosen] @ axes)
    return {"points": chosen, "flat": flat, "axes": axes, "triangles": triangles, "indices": index, "radius": radius}
