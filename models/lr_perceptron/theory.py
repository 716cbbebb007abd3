"""The margin of separable data, certificates either way, and the bounds on the time to separation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog, nnls


@dataclass(frozen=True)
class Margin:
    """mu = max_{||theta|| = 1} min_i z_i^T theta, its theta (d,), and R = max_i ||z_i||; mu = 0 where no theta separates."""

    mu: float
    theta: np.ndarray
    radius: float


def margin(z: np.ndarray, tol: float = 1e-7) -> Margin:
    """The exact hard margin of rows z (n, d), without intercept.

    By duality mu is the distance of 0 from the convex hull of the z_i. The non-negative least-squares problem
    min_w ||Z^T w||^2 + (1^T w - 1)^2 has its minimum on the ray of the nearest point: for w = t v, sum(v) = 1, the best t leaves
    q / (1 + q) with q = ||Z^T v||^2, which increases in q.

    A theta whose smallest margin is positive proves separability. Otherwise a distance below `tol` R proves the contrary
    (Gordan: w >= 0, w != 0, Z^T w = 0); what lies between is decided by linear programming.
    """
    scale = float(np.linalg.norm(z, axis=1).max())
    if scale == 0:
        return Margin(0.0, np.zeros(z.shape[1]), 0.0)
    unit = np.unique(z, axis=0) / scale  # repeated samples change nothing
    try:
        w = nnls(np.vstack([unit.T, np.ones(len(unit))]), np.r_[np.zeros(unit.shape[1]), 1.0], maxiter=30 * len(unit))[
            0
        ]
        nearest = unit.T @ (w / w.sum())
        length = float(np.linalg.norm(nearest))
        least = float((unit @ nearest).min()) / length if length > 0 else 0.0
    except RuntimeError:  # nnls ran out of iterations
        length, least, nearest = np.inf, 0.0, np.zeros(unit.shape[1])
    if least > 0:
        return Margin(least * scale, nearest / length, scale)
    if length <= tol or not feasible(unit):
        return Margin(0.0, np.zeros(unit.shape[1]), scale)
    raise ValueError(
        "the data are separable, with a margin too small to be found in double precision; scale the features"
    )


def feasible(z: np.ndarray) -> bool:
    """Whether some theta has z_i^T theta >= 1 for all i, by linear programming."""
    n, d = z.shape
    return linprog(np.zeros(d), A_ub=-z, b_ub=-np.ones(n), bounds=(None, None), method="highs").status == 0


def bound(algorithm: str, n: int, mu: float, radius: float, gamma: float = 1.0) -> float | None:
    """The largest number of updates until separation; None for lr_gd, which has no bound of this kind.

    batch_perceptron n R^2/mu^2 (Theorem 3.3); perceptron, norm_batch_perceptron R^2/mu^2 (5.2, 5.3); norm_lr_gd
    R^2/mu^2 + 2 log(2n - 1) / (gamma mu^2) (6.1).
    """
    ratio = (radius / mu) ** 2
    if algorithm == "batch_perceptron":
        return n * ratio
    if algorithm in ("perceptron", "norm_batch_perceptron"):
        return ratio
    if algorithm == "norm_lr_gd":
        return ratio + 2 * float(np.log(2 * n - 1)) / (gamma * mu**2)
    return None
