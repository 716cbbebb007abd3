"""Spectral clustering of a given affinity, and what a graph of affinities looks like."""

from __future__ import annotations

import numpy as np
from scipy.linalg import eigh
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

RUNS = 10  # starts of k-means; the one of least inertia is kept


def check_affinity(w: np.ndarray, k: int) -> None:
    """Raise ValueError unless w (n, n) is a nonnegative affinity of at least k points."""
    if w.ndim != 2 or w.shape[0] != w.shape[1]:
        raise ValueError(f"affinity has shape {w.shape}; give a square matrix")
    if not 1 <= k <= len(w):
        raise ValueError(f"k={k} clusters of {len(w)} points: ask for 1 to {len(w)}")
    if not np.isfinite(w).all() or (w < 0).any():
        raise ValueError("affinity has entries that are negative or not finite; an affinity is nonnegative")


def spectral_embedding(w: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of the k leading eigenvectors of D^-1/2 W D^-1/2, normalised to length 1 (Ng, Jordan and Weiss, NIPS 2001).

    W (n, n) is symmetrised, D are its row sums (a point without affinity gets D = 1). Returns the embedding (n, k), the eigenvectors
    (n, k) and the eigenvalues (k,), largest first; float64. For a doubly stochastic W the matrix is W itself.
    """
    w = np.asarray(w, dtype=np.float64)
    check_affinity(w, k)
    w = (w + w.T) / 2
    degree = w.sum(1)
    scale = 1 / np.sqrt(np.where(degree > 0, degree, 1.0))
    values, vectors = eigh(w * scale[:, None] * scale, subset_by_index=(len(w) - k, len(w) - 1))
    values, vectors = values[::-1], vectors[:, ::-1]
    return unit_rows(vectors), vectors, values


def unit_rows(x: np.ndarray) -> np.ndarray:
    """Rows of length 1; a zero row stays zero."""
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return x / np.where(length > 0, length, 1.0)


def kmeans(x: np.ndarray, k: int, seed: int):
    """scikit-learn's k-means of x (n, d) with `RUNS` starts, fitted."""
    from sklearn.cluster import KMeans

    return KMeans(k, n_init=RUNS, random_state=seed % 2**32).fit(x)


def spectral_labels(w: np.ndarray, k: int, seed: int) -> np.ndarray:
    """Clusters (n,) of an affinity (n, n): k-means of `spectral_embedding`."""
    return kmeans(spectral_embedding(w, k)[0], k, seed).labels_.astype(np.int64)


def components(w: np.ndarray, share: float = 1.0) -> int:
    """Connected components of the graph whose edges are the affinities above `share` of the mean affinity of a point.

    Entries of an entropic kernel are all positive; those above the mean are what tells neighbours from the rest.
    """
    w = np.asarray(w)
    edges = (w + w.T) / 2 > share * w.sum(1, keepdims=True) / len(w)
    return int(connected_components(csr_array(edges), directed=False)[0])
