"""Clustering of a whole set: the task that scores labels of clusters, whatever their numbering."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bench.schema import Bundle, Metric


class Clustering:
    """Predictions are `cluster` (n,), integers. The names of clusters do not matter: ACC is that of the best one-to-one naming."""

    main = "acc"

    def score(self, bundle: Bundle, predictions: Mapping[str, Any]) -> list[Metric]:
        """ACC (one assignment for the whole set), NMI (arithmetic mean of the entropies) and ARI."""
        from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

        guess, y = np.asarray(predictions["cluster"]), np.asarray(bundle.test.y)
        if guess.shape != y.shape:
            raise ValueError(f"cluster has shape {guess.shape}; the set needs {y.shape}")
        return [
            Metric("acc", accuracy(guess, y)),
            Metric("nmi", float(normalized_mutual_info_score(y, guess))),
            Metric("ari", float(adjusted_rand_score(y, guess))),
        ]

    def trivial(self, bundle: Bundle) -> dict[str, Any]:
        """One cluster."""
        return {"cluster": np.zeros(len(bundle.test), dtype=np.int64)}

    def figures(self, bundle: Bundle, predictions: Mapping[str, Any]) -> dict[str, Any]:
        """Points of the plane coloured by cluster; else the table of classes against clusters in matching order."""
        from matplotlib.figure import Figure

        guess, y = np.asarray(predictions["cluster"]), np.asarray(bundle.test.y)
        figure = Figure(figsize=(4.5, 4))
        title = f"{bundle.group}: ACC {accuracy(guess, y):.3f}"
        if bundle.shape == (2,):
            x = np.asarray(bundle.test.x)
            axes = figure.add_subplot(xlabel="x", ylabel="y", title=title, aspect="equal")
            axes.scatter(x[:, 0], x[:, 1], c=guess, cmap="tab10", s=8)
            return {"clusters": figure}
        count, clusters = contingency(guess, y), matching(guess, y)[1]
        axes = figure.add_subplot(xlabel="cluster", ylabel="class", title=title)
        axes.imshow(count[:, clusters], cmap="Blues")
        return {"clusters": figure}


def contingency(guess: np.ndarray, y: np.ndarray) -> np.ndarray:
    """How many points of each class (row) lie in each cluster (column), both in sorted order."""
    classes, rows = np.unique(y, return_inverse=True)
    clusters, columns = np.unique(guess, return_inverse=True)
    count = np.zeros((len(classes), len(clusters)), dtype=np.int64)
    np.add.at(count, (rows, columns), 1)
    return count


def matching(guess: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of `contingency` that are matched so that most points agree (Hungarian method)."""
    from scipy.optimize import linear_sum_assignment

    return linear_sum_assignment(contingency(guess, y), maximize=True)


def accuracy(guess: np.ndarray, y: np.ndarray) -> float:
    """ACC: the share of points whose cluster is the one matched to their class; clusters beyond the number of classes count as wrong."""
    return float(contingency(guess, y)[matching(guess, y)].sum() / len(y))


def cluster_scores(z: np.ndarray, y: np.ndarray) -> list[Metric]:
    """k-means with as many clusters as there are classes in y (n,), on z (n, d) with coordinates of variance one: the adjusted Rand index,
    adjusted mutual information and homogeneity. Ten starts of one seed: it is a score, not a method."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score, homogeneity_score
    from sklearn.preprocessing import StandardScaler

    k = len(np.unique(y))
    guess = KMeans(k, n_init=10, random_state=0).fit_predict(StandardScaler().fit_transform(z))
    return [
        Metric("ari", float(adjusted_rand_score(y, guess))),
        Metric("ami", float(adjusted_mutual_info_score(y, guess))),
        Metric("homogeneity", float(homogeneity_score(y, guess))),
    ]
