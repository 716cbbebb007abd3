"""Clustering accuracy of category discovery, as GCD's second version counts it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Accuracy:
    """Shares of samples in matched pairs of cluster and class; `match` (k,) the class of each cluster."""

    all: float
    old: float
    new: float
    match: np.ndarray


def accuracy(y: np.ndarray, cluster: np.ndarray, old: np.ndarray) -> Accuracy:
    """One Hungarian assignment of clusters to classes over all samples; then the shares of matched samples.

    Parameters
    ----------
    y, cluster : (n,) integers from 0: true class and cluster of each sample
    old : (n,) bool: the class of the sample is a known one; both kinds must occur

    With w[i, j] the number of samples of cluster i and class j, the assignment maximises the sum of w over matched pairs. `old` and
    `new` are the matched shares of known and of novel classes under this same assignment (a second assignment for each would be
    more lenient).
    """
    from scipy.optimize import linear_sum_assignment

    y, cluster, old = np.asarray(y), np.asarray(cluster), np.asarray(old, dtype=bool)
    if not (y.shape == cluster.shape == old.shape and y.ndim == 1 and len(y)):
        raise ValueError(f"y {y.shape}, cluster {cluster.shape} and old {old.shape} must be vectors of one length")
    if min(y.min(), cluster.min()) < 0:
        raise ValueError("classes and clusters are numbered from 0; a sample without one has no accuracy")
    if old.all() or not old.any():
        raise ValueError("the samples are all of known or all of novel classes; accuracies of old and new need both")
    k = int(max(y.max(), cluster.max())) + 1
    w = np.zeros((k, k), dtype=np.int64)
    np.add.at(w, (cluster, y), 1)
    match = np.empty(k, dtype=np.int64)
    rows, columns = linear_sum_assignment(w, maximize=True)
    match[rows] = columns
    hit = match[cluster] == y
    return Accuracy(float(hit.mean()), float(hit[old].mean()), float(hit[~old].mean()), match)
