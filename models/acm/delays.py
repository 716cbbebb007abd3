"""(order, lag) of a delay embedding from the signals alone, without labels.

Traditional: lag = first minimum of the average mutual information I(x_t; x_{t+tau}) (Fraser and Swinney 1986), order by the averaged
false nearest neighbours of Cao 1997. Unified: MDOP (Nichkawde 2013), which adds the delay with the steepest derivative on the
projection, cycle by cycle, until few neighbours are false (Kennel, Brown and Abarbanel 1992). All take many signals x (s, T), one
channel of one trial each, and average their statistics over them: the setting of Carrara and Papadopoulo 2023.
"""

from __future__ import annotations

import numpy as np


def mutual_information(x: np.ndarray, max_lag: int) -> np.ndarray:
    """Average mutual information in nat (max_lag + 1,) at lags 0..max_lag, mean over signals x (s, T).

    Plug-in estimate on floor(sqrt(T / 5)) bins of equal counts per signal: five samples in a cell if both were independent.
    Ranks make it invariant under monotone changes of the amplitude.
    """
    x = _signals(x)
    s, t = x.shape
    if t <= max_lag + 20:
        raise ValueError(f"max_lag={max_lag}: signals of {t} samples are too short; lower the largest lag")
    bins = max(2, int(np.sqrt(t / 5)))
    code = x.argsort(1).argsort(1) * bins // t
    offset = np.arange(s)[:, None] * bins**2
    out = np.empty(max_lag + 1)
    for lag in range(max_lag + 1):
        cells = offset + code[:, : t - lag] * bins + code[:, lag:]
        p = np.bincount(cells.ravel(), minlength=s * bins**2).reshape(s, bins, bins) / (t - lag)
        independent = p.sum(2, keepdims=True) * p.sum(1, keepdims=True)
        ratio = np.divide(p, independent, out=np.ones_like(p), where=p > 0)
        out[lag] = (p * np.log(ratio)).sum((1, 2)).mean()
    return out


def first_minimum(curve: np.ndarray) -> int:
    """The first index >= 1 whose value is below the one before and not above the one after; the least value if there is none."""
    inner = np.flatnonzero((curve[1:-1] < curve[:-2]) & (curve[1:-1] <= curve[2:]))
    return int(inner[0]) + 1 if len(inner) else int(curve[1:].argmin()) + 1


def cao_e1(x: np.ndarray, lag: int, max_order: int) -> np.ndarray:
    """Cao's E1(d), d = 1..max_order, of signals x (s, T): 1 once the attractor is unfolded.

    a(i, d) = |y_i - y_n(i)| in d + 1 dimensions over the same in d, maximum norm, n(i) the nearest neighbour in d dimensions (not
    within `lag` samples in time); E(d) = mean of a; E1(d) = E(d + 1) / E(d).
    """
    x = _signals(x)
    t = x.shape[1]
    points = t - (max_order + 1) * lag
    if points < 10 * (lag + 1):
        raise ValueError(f"lag={lag}, max_order={max_order}: {t} samples leave {max(points, 0)} points; lower them")
    e = np.zeros(max_order + 1)
    for signal in x:  # one at a time: the table of distances is points x points
        apart = _apart(signal[:points], lag)
        for d in range(1, max_order + 2):
            near = apart.argmin(1)
            rows = np.arange(points)
            now = apart[rows, near]
            step = signal[d * lag : d * lag + points]
            more = np.maximum(now, np.abs(step - step[near]))
            e[d - 1] += np.mean(more[now > 0] / now[now > 0])
            np.maximum(apart, np.abs(step[:, None] - step), out=apart)
    return e[1:] / e[:-1]


def saturated(e1: np.ndarray, tolerance: float) -> int:
    """The first order d with E1(d) >= 1 - tolerance; the order of the largest E1 if there is none."""
    enough = np.flatnonzero(e1 >= 1 - tolerance)
    return int(enough[0]) + 1 if len(enough) else int(e1.argmax()) + 1


def mdop(
    x: np.ndarray, max_lag: int, max_cycles: int, threshold: float = 0.05, ratio: float = 2.0
) -> tuple[list[int], float]:
    """(delays, share of false neighbours left) of signals x (s, T); one delay per cycle, at most `max_cycles`.

    Each cycle takes the delay tau in 1..max_lag, not taken before, with the largest beta statistic

        beta(tau) = mean_i log10( |x(i + tau) - x(n(i) + tau)| / |Y_i - Y_n(i)| ),

    n(i) the nearest neighbour of i in the embedding Y so far (Euclidean, not within `max_lag` samples in time). A neighbour is
    false when that quotient exceeds `ratio` at the chosen delay; the search ends when at most `threshold` of them are.
    """
    x = _signals(x)
    points = x.shape[1] - max_lag
    if points < 4 * max_lag or points < 20:
        raise ValueError(
            f"max_lag={max_lag}: signals of {x.shape[1]} samples are too short for it; lower the largest lag"
        )
    x = (x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True)
    chosen: list[int] = []
    false = 1.0
    while len(chosen) < min(max_cycles, max_lag):
        quotient = np.concatenate([_quotients(signal, chosen, points, max_lag) for signal in x])
        with np.errstate(divide="ignore"):
            level = np.log10(quotient)
        beta = np.where(np.isfinite(level), level, 0.0).sum(0) / np.maximum(np.isfinite(level).sum(0), 1)
        beta[[tau - 1 for tau in chosen]] = -np.inf
        tau = int(beta.argmax()) + 1
        chosen.append(tau)
        false = float((quotient[:, tau - 1] > ratio).mean())
        if false <= threshold:
            break
    return chosen, false


def _quotients(signal: np.ndarray, chosen: list[int], points: int, max_lag: int) -> np.ndarray:
    """|x(i + tau) - x(n(i) + tau)| / |Y_i - Y_n(i)| (points with a distance, max_lag)."""
    apart = np.zeros((points, points))
    for tau in (0, *chosen):
        y = signal[tau : tau + points]
        apart += (y[:, None] - y) ** 2
    near = (apart + _apart(np.zeros(points), max_lag)).argmin(1)
    distance = np.sqrt(apart[np.arange(points), near])
    ahead = np.lib.stride_tricks.sliding_window_view(signal, max_lag + 1)[:, 1:]
    keep = distance > 0
    return np.abs(ahead[:points] - ahead[near])[keep] / distance[keep, None]


def _apart(y: np.ndarray, window: int) -> np.ndarray:
    """|y_i - y_j| (n, n), infinite within `window` samples in time: neighbours on the trajectory are no neighbours."""
    apart = np.abs(y[:, None] - y)
    i = np.arange(len(y))
    apart[np.abs(i[:, None] - i) <= window] = np.inf
    return apart


def _signals(x: np.ndarray) -> np.ndarray:
    x = np.asarray(x, dtype=np.float64)
    if x.ndim != 2 or not len(x):
        raise ValueError(f"x has shape {x.shape}; give signals x samples")
    if not np.isfinite(x).all() or (np.ptp(x, axis=1) == 0).any():
        raise ValueError("x has NaN, infinite or constant signals; leave those out")
    return x
