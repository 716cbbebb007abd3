"""How embeddings of cells are scored: by k-means against types, by interpolation of times that are withheld."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bench.schema import Bundle, Metric
from datasets.clustering import cluster_scores


class Cells:
    """Predictions are `embedding` (n, k).

    Where types are known: k-means with as many clusters as types on the standardised embedding; adjusted Rand index,
    adjusted mutual information, homogeneity. Where times are known: `interpolation`, see `interpolation_error`.
    """

    def __init__(self, main: str = "ari") -> None:
        self.main = main

    def score(self, bundle: Bundle, predictions: Mapping[str, Any]) -> list[Metric]:
        z = np.asarray(predictions["embedding"], dtype=np.float64)
        if z.ndim != 2 or len(z) != len(bundle.test) or not np.isfinite(z).all():
            raise ValueError(f"embedding has shape {z.shape}; {len(bundle.test)} finite rows are needed")
        metrics = []
        if "labels" in bundle.meta:
            metrics += cluster_scores(z, bundle.meta["labels"])
        if "time" in bundle.meta:
            between, nearest = interpolation_error(z, bundle.meta["time"])
            metrics += [
                Metric("interpolation", between, "lower", "radius"),
                Metric("interpolation_nearest", nearest, "lower", "radius"),
            ]
        return metrics

    def trivial(self, bundle: Bundle) -> dict[str, Any]:
        """The first two coordinates: the two leading principal components where there are any."""
        return {"embedding": np.asarray(bundle.test.x)[:, :2]}

    def figures(self, bundle: Bundle, predictions: Mapping[str, Any]) -> dict[str, Any]:
        """The embedding's first two coordinates, coloured by time, else by type."""
        from matplotlib.figure import Figure

        z, names = np.asarray(predictions["embedding"]), bundle.meta.get("label_names")
        figure = Figure(figsize=(5.5, 4), layout="constrained")
        axes = figure.add_subplot(title=bundle.group, xticks=[], yticks=[])
        if names is None or "time" in bundle.meta:
            points = axes.scatter(*z[:, :2].T, c=bundle.meta["parameter"], s=6, cmap="viridis")
            figure.colorbar(points, label="time" if "time" in bundle.meta else "type")
            return {"embedding": figure}
        for code, name in enumerate(names):
            axes.scatter(*z[bundle.meta["labels"] == code, :2].T, s=6, color=f"C{code % 10}", label=name)
        axes.legend(fontsize=6, loc="center left", bbox_to_anchor=(1, 0.5))
        return {"embedding": figure}


def interpolation_error(z: np.ndarray, time: np.ndarray) -> tuple[float, float]:
    """Mean earth mover's distance between the cells of an inner time and those put in its place, in units of the embedding's radius.

    The cells of the times before and after are matched by optimal transport under the squared distance; their mass stands
    at (1 - s) a + s b, s the place of the withheld time between the two (displacement interpolation, McCann 1997). The second number is
    the same with the cells of the nearer neighbour in time in its place. The radius is the root mean square distance to the mean:
    embeddings have no scale of their own. All cells are embedded; the withheld ones are unknown to the interpolation alone.

    Parameters
    ----------
    z : (n, k) embedding.
    time : (n,) with three or more values.
    """
    import ot

    z = (z - z.mean(0)) / np.sqrt(((z - z.mean(0)) ** 2).sum(1).mean())
    times = np.unique(time)
    found = []
    for before, now, after in zip(times[:-2], times[1:-1], times[2:], strict=True):
        a, b, truth = (z[time == t] for t in (before, after, now))
        plan = ot.emd(*map(_even, (a, b)), ot.dist(a, b))
        i, j = np.nonzero(plan)
        s = (now - before) / (after - before)
        between = (1 - s) * a[i] + s * b[j]
        mass = plan[i, j] / plan[i, j].sum()
        nearest = a if s <= 0.5 else b
        found.append((_emd(between, mass, truth), _emd(nearest, _even(nearest), truth)))
    between, nearest = np.mean(found, axis=0)
    return float(between), float(nearest)


def _even(points: np.ndarray) -> np.ndarray:
    return np.full(len(points), 1 / len(points))


def _emd(x: np.ndarray, mass: np.ndarray, y: np.ndarray) -> float:
    import ot

    return float(ot.emd2(mass, _even(y), ot.dist(x, y, metric="euclidean")))
