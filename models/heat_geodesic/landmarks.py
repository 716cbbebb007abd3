"""Many points: dissimilarities to landmarks alone, in memory that grows linearly with the number of points."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from models.geometry.heat import FLOOR, SMALL, alpha_decay_graph, chebyshev, laplacian
from models.geometry.mds import landmarks as place

PROBES = 64  # of the estimate of the diagonal
PART = 128  # columns of the kernel at once


def landmark_distances(lap: sp.csr_array, t: float, at: np.ndarray, rho: float, rng: np.random.Generator) -> np.ndarray:
    """d (n, m) to the points `at` (m,), as `varadhan`, from columns of exp(-t L).

    The diagonal h_ii = |H_(t/2) e_i|^2 is exact at the landmarks and estimated elsewhere by 64 random signs, |H_(t/2) z|^2 averaged over
    z; its relative error, about sqrt(2 / 64), enters the logarithm with weight rho / 2.
    """
    n = lap.shape[0]
    out = np.empty((n, len(at)))
    signs = rng.choice([-1.0, 1.0], size=(n, PROBES))
    half = chebyshev(lap, [t / 2], signs, SMALL)[0]
    diagonal = np.square(half).mean(1)
    for i in range(0, len(at), PART):
        columns = np.zeros((n, len(at[i : i + PART])))
        columns[at[i : i + PART], np.arange(columns.shape[1])] = 1.0
        out[:, i : i + PART] = np.maximum(chebyshev(lap, [t], columns, SMALL)[0], 0.0)
    own = out[at, np.arange(len(at))]
    diagonal[at] = own
    squared = 4 * t * (rho * np.log((diagonal[:, None] + own) / 2 + FLOOR) - np.log(out + FLOOR))
    return np.sqrt(np.maximum(squared, 0.0))


def landmark_embedding(
    x: np.ndarray, m: int, t: float, dim: int = 2, knn: int = 10, decay: float = 40.0, kind: str = "normalised", rho: float = 1.0,
    bridge: bool = False, seed: int = 0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """(embedding (n, dim), distances (n, m), landmarks (m,)) of points x (n, d); landmarks are drawn at random."""
    rng = np.random.default_rng(seed)
    if not 3 <= m <= len(x):
        raise ValueError(f"{m} landmarks of {len(x)} points; choose between 3 and that many")
    at = np.sort(rng.choice(len(x), m, replace=False))
    lap = laplacian(alpha_decay_graph(x, knn, decay, bridge), kind)
    d = landmark_distances(lap, t, at, rho, rng)
    return place(d, at, dim), d, at
