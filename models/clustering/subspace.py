"""Subspace clustering: each point is expressed by few others, and points that express one another are neighbours."""

from __future__ import annotations

import warnings

import numpy as np

from models.clustering.spectral import unit_rows


def points(x: np.ndarray) -> np.ndarray:
    """Points (n, d) as float64 rows of length 1. ValueError for other shapes, fewer than two points, or entries that are no numbers."""
    x = np.asarray(x, dtype=np.float64)
    if x.ndim != 2 or len(x) < 2:
        raise ValueError(f"x has shape {x.shape}; give two or more points as rows")
    if not np.isfinite(x).all():
        raise ValueError("x has entries that are not finite; leave those points out")
    return unit_rows(x)


def ensc(x: np.ndarray, gamma: float = 10.0, tau: float = 0.95, tol: float = 1e-6) -> np.ndarray:
    """Elastic net subspace clustering (You, Li, Robinson and Vidal, CVPR 2016): coefficients C (n, n), row j expresses point j.

    min over c with c_j = 0 of tau |c|_1 + (1 - tau) / 2 |c|^2 + g_j / 2 |x_j - X^T c|^2, where g_j = gamma tau / max_i |<x_i, x_j>| and
    a gamma of 1 is where the solution leaves 0. Solved by scikit-learn's coordinate descent to a duality gap of tol |x_j|^2.

    Parameters
    ----------
    x : (n, d), scaled to unit rows here
    gamma : above 1; tau in [0, 1], where 1 is the lasso. With tau = 0 the least g_j is 0 and gamma is g_j itself.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import ElasticNet

    if gamma < 1 or not 0 <= tau <= 1:
        raise ValueError(f"gamma={gamma}, tau={tau}: gamma is at least 1 and tau lies in [0, 1]")
    x = points(x)
    n, d = x.shape
    gram = np.abs(x @ x.T)
    np.fill_diagonal(gram, 0)
    top = np.maximum(gram.max(1), 1e-12)
    weight = gamma * (tau / top if tau else np.ones(n))
    atoms, out = np.array(x.T, order="F"), np.zeros((n, n))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # near-duplicates stop at max_iter with a small gap
        for j in range(n):  # the solver takes one target, and each has a dictionary of its own
            atoms[:, j] = 0
            net = ElasticNet(
                alpha=1 / (weight[j] * d), l1_ratio=tau, fit_intercept=False, tol=tol, max_iter=5000, copy_X=False
            )
            out[j] = net.fit(atoms, x[j]).coef_
            atoms[:, j] = x[j]
    return out


def ssc_omp(x: np.ndarray, atoms: int = 5, residual: float = 1e-6) -> np.ndarray:
    """Sparse subspace clustering by orthogonal matching pursuit (You, Robinson and Vidal, CVPR 2016): C (n, n), row j expresses point j.

    Every point takes the other point that correlates most with its residual and refits by least squares, `atoms` times or until the
    squared residual is at most `residual`. All points go on together: one matrix product and one batch of small systems a round.

    Parameters
    ----------
    x : (n, d), scaled to unit rows here
    """
    if atoms < 1 or residual < 0:
        raise ValueError(f"atoms={atoms}, residual={residual}: at least one atom, and a residual of 0 or more")
    x = points(x)
    n, d = x.shape
    rounds, every = min(atoms, n - 1, d), np.arange(n)
    chosen = np.zeros((n, rounds), dtype=np.int64)
    coefficients, rest = np.zeros((n, rounds)), x.copy()
    free = ~np.eye(n, dtype=bool)
    active = (rest**2).sum(1) > residual
    used = np.zeros((n, rounds), dtype=bool)
    for t in range(rounds):
        score = np.abs(rest @ x.T)
        score[~free] = -1
        pick = score.argmax(1)
        active &= score[every, pick] > 1e-12  # what is left is orthogonal to all others
        if not active.any():
            break
        chosen[:, t], used[:, t] = pick, active
        free[every, pick] = False
        d_t = x[chosen[active, : t + 1]]  # (points, t + 1, d)
        gram = d_t @ d_t.transpose(0, 2, 1)
        right = np.einsum("ptd,pd->pt", d_t, x[active])
        solution = np.linalg.solve(gram, right[..., None])[..., 0]
        coefficients[active, : t + 1] = solution
        rest[active] = x[active] - np.einsum("pt,ptd->pd", solution, d_t)
        active &= (rest**2).sum(1) > residual
    out = np.zeros((n, n))
    rows, columns = np.nonzero(used)
    out[rows, chosen[rows, columns]] = coefficients[rows, columns]
    return out


def self_affinity(c: np.ndarray) -> np.ndarray:
    """|C| + |C|^T of coefficients whose rows are scaled to length 1 first."""
    c = np.abs(unit_rows(c))
    return c + c.T
