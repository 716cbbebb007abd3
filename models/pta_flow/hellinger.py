"""Hellinger distance between sets of samples of one parameter."""

from __future__ import annotations

import numpy as np

OUTER = (0.001, 0.999)  # pooled quantiles between which the bins lie


def hellinger(
    a: np.ndarray,
    b: np.ndarray,
    bins: int = 50,
    weights_a: np.ndarray | None = None,
    weights_b: np.ndarray | None = None,
) -> float:
    """sqrt(1 - sum_i sqrt(p_i q_i)) of histograms of a (n,) and b (m,) on common bins; in [0, 1].

    `bins` of equal width between the 0.1 % and the 99.9 % quantile of all samples together; what lies outside counts in the outermost
    bins, nothing is smoothed. Weights need no norm. Raises ValueError for fewer than 10 samples or samples that are not finite.
    """
    if min(len(a), len(b)) < 10 or not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise ValueError("a Hellinger distance needs at least 10 finite samples of each distribution")
    low, high = np.quantile(np.concatenate([a, b]), OUTER)
    if low == high:
        return 0.0
    edges = np.linspace(low, high, bins + 1)
    p, q = (
        np.histogram(np.clip(x, low, high), edges, weights=w)[0].astype(float)
        for x, w in ((a, weights_a), (b, weights_b))
    )
    return float(np.sqrt(max(0.0, 1 - np.sqrt(p / p.sum() * q / q.sum()).sum())))


def gaussian_hellinger(m1: float, s1: float, m2: float, s2: float) -> float:
    """Between N(m1, s1^2) and N(m2, s2^2), in closed form."""
    total = s1**2 + s2**2
    return float(np.sqrt(1 - np.sqrt(2 * s1 * s2 / total) * np.exp(-((m1 - m2) ** 2) / (4 * total))))
