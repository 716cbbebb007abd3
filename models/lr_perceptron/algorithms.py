"""Five full-batch linear classifiers on z_i = y_i a_i (Tyurin, AAAI 2025, arXiv 2412.08424), in NumPy float64."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from scipy.special import log_expit

LOGISTIC = ("lr_gd", "norm_lr_gd")
STEPLESS = ("batch_perceptron", "norm_batch_perceptron", "perceptron")
BLOCK = 1 << 18  # numbers of z that one block holds: its second product reads them from the cache
GROUP = 512  # factors 1 + e <= 2 of a product that stays below the largest float64
TINY = 1e-250  # below, a sum of sigmoids has lost its digits


@dataclass
class Run:
    """theta (d,) after `updates` updates; `separated`: all margins positive. One entry of each list per theta_t, t = 0, 1, ...

    loss : f(theta_t) = (1/n) sum_i log(1 + exp(-m_i)); accuracy : share of m_i > 0; gradient_norm : Euclidean, of f.
    """

    theta: np.ndarray
    updates: int
    separated: bool
    loss: list[float] = field(default_factory=list)
    gradient_norm: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)


@dataclass
class Sums:
    """Sums over all samples at one theta: `pull` sum_i w_i z_i and `total` sum_i w_i of the rule's weights w; `least` = min_i m_i.

    `slope` sum_i sigmoid(-m_i) z_i, `loss` sum_i log(1 + exp(-m_i)) and `right` the number of m_i > 0, where they were asked for.
    """

    pull: np.ndarray
    slope: np.ndarray
    total: float = 0.0
    least: float = np.inf
    loss: float = 0.0
    right: int = 0


def sweep(z: np.ndarray, theta: np.ndarray, algorithm: str, curves: bool = True) -> Sums:
    """All sums of one step in one reading of z (n, d): block by block, so that memory is read once for both products."""
    n, d = z.shape
    out = Sums(np.zeros(d), np.zeros(d))
    rows = max(1, BLOCK // d)
    logistic = algorithm in LOGISTIC
    for start in range(0, n, rows):
        part = z[start : start + rows]
        m = part @ theta
        out.least = min(out.least, float(m.min()))
        if logistic or curves:
            e = np.exp(-np.abs(m))
            s = np.where(m >= 0, e, 1.0)
            e += 1.0
            s /= e  # sigmoid(-m), with all its digits on both sides
        if logistic:
            out.pull += s @ part
            out.total += float(s.sum())
        elif algorithm != "perceptron":
            wrong = m <= 0
            out.pull += part[wrong].sum(0)
            out.total += int(wrong.sum())
        elif out.total == 0 and out.least <= 0:
            out.pull, out.total = part[int((m <= 0).argmax())].copy(), 1.0
        if curves:
            if not logistic:
                out.slope += s @ part
            out.right += int((m > 0).sum())
            out.loss += _softplus_sum(m, e)
    if logistic and curves:
        out.slope = out.pull
    return out


def _softplus_sum(m: np.ndarray, one_plus_e: np.ndarray) -> float:
    """sum_i log(1 + exp(-m_i)) = sum max(-m_i, 0) + sum log(1 + e_i), e_i = exp(-|m_i|): one logarithm for a product of factors."""
    if float(m.min()) > 15:  # all e_i below 3e-7: 1 + e_i would have lost their digits
        return float(np.log1p(np.exp(-m)).sum())
    products = np.multiply.reduceat(one_plus_e, np.arange(0, len(m), GROUP))
    return float(np.log(products).sum()) - float(np.minimum(m, 0).sum())


def normalised_weights(m: np.ndarray) -> np.ndarray:
    """softmax_i(log sigmoid(-m_i)) = s_i / sum_j s_j with s = sigmoid(-m), for m (..., n), in log space.

    Where all margins are large every s_i underflows, and the quotient itself would be 0 / 0.
    """
    w = log_expit(-m)
    w = np.exp(w - w.max(-1, keepdims=True))
    return w / w.sum(-1, keepdims=True)


def update(z: np.ndarray, theta: np.ndarray, sums: Sums, algorithm: str, gamma: float, t: int) -> np.ndarray:
    """theta_{t+1} - theta_t.

    lr_gd: (gamma / n) sum s_i z_i, s = sigmoid(-m). norm_lr_gd: gamma sum s_i z_i / sum s_i. With S = {i: m_i <= 0}:
    batch_perceptron (1/n) sum_S z_i, and half of it at t = 0; norm_batch_perceptron (1/|S|) sum_S z_i; perceptron z_j, j the first
    in S.
    """
    if algorithm == "lr_gd":
        return gamma / len(z) * sums.pull
    if algorithm == "norm_lr_gd":
        if sums.total < TINY:
            return gamma * (normalised_weights(z @ theta) @ z)
        return gamma / sums.total * sums.pull
    if algorithm == "batch_perceptron":
        return (0.5 if t == 0 else 1.0) / len(z) * sums.pull
    return sums.pull / sums.total


def run(
    z: np.ndarray,
    algorithm: str,
    gamma: float = 1.0,
    max_iter: int = 20000,
    *,
    stop: bool = True,
    curves: bool = True,
    watch: Callable[[int, np.ndarray], None] | None = None,
) -> Run:
    """From theta_0 = 0 until every margin z_i^T theta is positive, or `max_iter` updates; z (n, d) float64, gamma > 0.

    `stop=False` goes on after separation, as far as the rule has a next update; `curves=False` records nothing per step.
    `watch(t, theta)` sees every iterate. theta, updates and separated of the result are those of the first separation.

    Raises ValueError for an unknown rule, z of another rank or not finite, and a step size that is not positive.
    """
    if algorithm not in LOGISTIC + STEPLESS:
        raise ValueError(f"unknown algorithm {algorithm!r}; use {', '.join(LOGISTIC + STEPLESS)}")
    z = np.ascontiguousarray(z, dtype=np.float64)
    if z.ndim != 2 or not z.size or not np.isfinite(z).all():
        raise ValueError(f"z has shape {z.shape}; give finite rows y_i a_i of one length")
    if not 0 < gamma < np.inf:
        raise ValueError(f"gamma={gamma} must be positive and finite: it is a step size")
    n, theta = len(z), np.zeros(z.shape[1])
    out = Run(theta, 0, False)
    for t in range(max_iter + 1):
        if watch is not None:
            watch(t, theta)
        sums = sweep(z, theta, algorithm, curves)
        if curves:
            out.loss.append(sums.loss / n)
            out.gradient_norm.append(float(np.linalg.norm(sums.slope)) / n)
            out.accuracy.append(sums.right / n)
        if not out.separated:
            out.theta, out.updates, out.separated = theta, t, sums.least > 0
        if t == max_iter or (out.separated and (stop or algorithm in STEPLESS)):
            break
        theta = theta + update(z, theta, sums, algorithm, gamma, t)
    return out
