"""Multidimensional scaling: classical, metric by majorisation, and from distances to landmarks."""

from __future__ import annotations

import numpy as np


def classical(d: np.ndarray, dim: int = 2) -> np.ndarray:
    """Coordinates (n, dim) of Torgerson's solution for dissimilarities d (n, n): leading eigenvectors of -J d^2 J / 2."""
    from scipy.linalg import eigh

    n = len(d)
    b = np.square(d)
    b = -(b - b.mean(0) - b.mean(1)[:, None] + b.mean()) / 2
    values, vectors = eigh(b, subset_by_index=[max(0, n - dim), n - 1])
    vectors = vectors * np.where(vectors[np.abs(vectors).argmax(0), np.arange(vectors.shape[1])] < 0, -1, 1)
    return (vectors * np.sqrt(np.maximum(values, 0)))[:, ::-1]


def stress(d: np.ndarray, x: np.ndarray, weights: np.ndarray | None = None) -> float:
    """sum w (|x_i - x_j| - d_ij)^2 / sum w d_ij^2 over pairs."""
    own = _distances(x)
    w = np.ones_like(d) if weights is None else weights
    return float((w * (own - d) ** 2).sum() / (w * d**2).sum())


def metric(
    d: np.ndarray, start: np.ndarray, weights: np.ndarray | None = None, steps: int = 300, tol: float = 1e-6
) -> np.ndarray:
    """Coordinates (n, k) of small stress from `start` (n, k) by majorisation (SMACOF; de Leeuw 1977), weighted or not.

    It ends after `steps` or when the stress falls by less than `tol` of itself; it never rises.
    """
    n = len(d)
    x = np.array(start, dtype=np.float64)
    w = None if weights is None else np.where(np.eye(n, dtype=bool), 0.0, weights)
    if w is not None:
        v = np.diag(w.sum(1)) - w
        inverse = np.linalg.pinv(v, hermitian=True)
    last = stress(d, x, w)
    for _ in range(steps):
        own = _distances(x)
        ratio = np.divide(d, own, out=np.zeros_like(d), where=own > 1e-12)
        ratio = ratio if w is None else w * ratio
        b = np.diag(ratio.sum(1)) - ratio
        x = b @ x / n if w is None else inverse @ (b @ x)
        now = stress(d, x, w)
        if last - now <= tol * last:
            break
        last = now
    return x


def landmarks(d: np.ndarray, at: np.ndarray, dim: int = 2) -> np.ndarray:
    """Coordinates (n, dim) from dissimilarities d (n, m) to m landmarks, which are points `at` (m,) (de Silva and Tenenbaum 2004).

    Classical scaling of the landmarks; every point is then placed linearly by its squared distances to them.
    """
    own = np.square((d[at] + d[at].T) / 2)
    b = -(own - own.mean(0) - own.mean(1)[:, None] + own.mean()) / 2
    values, vectors = np.linalg.eigh(b)
    values, vectors = values[::-1][:dim], vectors[:, ::-1][:, :dim]
    pseudo = vectors / np.sqrt(np.maximum(values, 1e-12))
    return -0.5 * (np.square(d) - own.mean(1)) @ pseudo


def _distances(x: np.ndarray) -> np.ndarray:
    """(n, n) Euclidean distances, exactly symmetric with zero diagonal."""
    from scipy.spatial.distance import pdist, squareform

    return squareform(pdist(x))
