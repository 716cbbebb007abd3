"""How distances and embeddings of a manifold are scored against its geodesics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bench.schema import Bundle, Metric
from datasets.clustering import cluster_scores

NEAR = 10  # k of precision at k


class Geodesics:
    """Predictions are `distances` (n (n - 1) / 2,), condensed, and `embedding` (n, k); either may be missing.

    Rank and linear correlation of each point's distances to all others with the true ones, and the share of its 10 nearest
    points that are among the true 10; means over points. Of the embedding: the same with its Euclidean distances, and the
    clusters of k-means on it where the points have labels.
    """

    main = "spearman"

    def score(self, bundle: Bundle, predictions: Mapping[str, Any]) -> list[Metric]:
        from scipy.spatial.distance import pdist, squareform

        truth = np.asarray(bundle.test.y)
        found = {}
        if "distances" in predictions:
            found[""] = squareform(np.asarray(predictions["distances"], dtype=np.float64))
        if "embedding" in predictions:
            found["embedding_"] = squareform(pdist(np.asarray(predictions["embedding"], dtype=np.float64)))
            if "" not in found:
                found[""] = found["embedding_"]
        if not found:
            raise ValueError("there are neither distances nor an embedding to score")
        metrics = []
        for prefix in ("", "embedding_"):
            if prefix not in found:
                continue
            d = found[prefix]
            if d.shape != truth.shape or not np.isfinite(d).all():
                raise ValueError(f"distances have shape {d.shape}; the points need finite ones {truth.shape}")
            for name, value in agreement(d, truth).items():
                metrics.append(Metric(prefix + name, value))
        if "labels" in bundle.meta and "embedding" in predictions:
            metrics += cluster_scores(np.asarray(predictions["embedding"], dtype=np.float64), bundle.meta["labels"])
        return metrics

    def trivial(self, bundle: Bundle) -> dict[str, Any]:
        """Euclidean distances between the noisy points."""
        from scipy.spatial.distance import pdist

        return {"distances": pdist(np.asarray(bundle.test.x))}

    def figures(self, bundle: Bundle, predictions: Mapping[str, Any]) -> dict[str, Any]:
        """The embedding's first two coordinates, coloured along the manifold."""
        if "embedding" not in predictions:
            return {}
        from matplotlib.figure import Figure

        z = np.asarray(predictions["embedding"])
        figure = Figure(figsize=(4, 4), layout="constrained")
        axes = figure.add_subplot(title=bundle.group, aspect="equal", xticks=[], yticks=[])
        axes.scatter(*z[:, :2].T, c=bundle.meta["parameter"], s=6, cmap="viridis")
        return {"embedding": figure}


def agreement(d: np.ndarray, truth: np.ndarray, near: int = NEAR) -> dict[str, float]:
    """Row-wise agreement of two distance matrices (n, n): spearman, pearson, precision at `near`."""
    from scipy.stats import rankdata

    def correlation(a: np.ndarray, b: np.ndarray) -> float:
        a, b = a - a.mean(1, keepdims=True), b - b.mean(1, keepdims=True)
        scale = np.sqrt((a**2).sum(1) * (b**2).sum(1))
        return float(np.mean((a * b).sum(1) / np.where(scale > 0, scale, 1)))

    n = len(d)
    apart = ~np.eye(n, dtype=bool)
    a, b = (v[apart].reshape(n, n - 1) for v in (d, truth))
    nearest = [np.argpartition(v, near - 1, axis=1)[:, :near] for v in (a, b)]
    hits = np.zeros((2, n, n - 1), dtype=bool)
    for hit, rows in zip(hits, nearest, strict=True):
        np.put_along_axis(hit, rows, True, axis=1)
    return {
        "spearman": correlation(rankdata(a, axis=1), rankdata(b, axis=1)),
        "pearson": correlation(a, b),
        f"precision_at_{near}": float((hits[0] & hits[1]).sum() / (n * near)),
    }
