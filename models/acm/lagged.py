"""Covariances of delay-embedded trials: one at a time, and all orders of one lag from shared lagged products.

Embedding of order p and lag tau (Carrara and Papadopoulo 2023, as released): block k = 0..p-1 of the augmented signal is
X[:, k tau : T - (p - k) tau], so it has T - p tau samples, and tau samples more than necessary are dropped; p = 1 is X itself.

Sharing. Block (i, i + h) of the covariance of order p is, before mean removal,

    sum over s in [i tau, T - (p - i) tau) of x(s) x(s + h tau)^T = head_h(i) + tail_h(p - i),

head_h(i) over [i tau, c) and tail_h(q) over [c, T - q tau), with one split point c = (P - 1) tau for every order up to P. So all
orders of a lag need the same few sums: one product of nearly the whole trial for each h, and steps of tau samples, accumulated.
Sums of outer products are only ever added, never subtracted, so nothing cancels. The mean of a window comes from head and tail
sums in the same way. 10 h products of size d x T x d stand in place of sum p^2 = 385.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np


def augment(x: np.ndarray, order: int, lag: int) -> np.ndarray:
    """Delay-embedded trials (n, d * order, T - order * lag) of x (n, d, T); x itself for order 1.

    Raises ValueError when order or lag is below 1 or fewer than 2 samples would be left.
    """
    length = _length(x.shape[-1], order, lag)
    if order == 1:
        return x
    windows = [x[:, :, k * lag : k * lag + length] for k in range(order)]
    return np.concatenate(windows, axis=1)


def _length(t: int, order: int, lag: int) -> int:
    """Samples of the augmented signal."""
    if order < 1 or lag < 1:
        raise ValueError(f"order={order}, lag={lag}: both count from 1")
    length = t if order == 1 else t - order * lag
    if length < 2:
        raise ValueError(f"order={order}, lag={lag}: trials of {t} samples leave fewer than 2; lower order or lag")
    return length


def deficient(d: int, t: int, order: int, lag: int) -> bool:
    """Whether the sample covariance of an augmented trial of d channels and t samples is singular for want of samples."""
    left = t if order == 1 else t - order * lag
    return d * order > left - 1


class LaggedCovariances:
    """Augmented covariances of trials x (n, d, T), float64, for any (order, lag); lagged products are kept for one lag at a time.

    `estimator` cov, lwf or oas (pyriemann); `fallback` error, lwf or oas: what is done with a pair (order, lag) for which
    `deficient` holds. Ask for all orders of a lag in a row: they share their products.
    """

    def __init__(self, x: np.ndarray, max_order: int, estimator: str = "cov", fallback: str = "error") -> None:
        x = np.ascontiguousarray(x, dtype=np.float64)
        if x.ndim != 3:
            raise ValueError(f"x has shape {x.shape}; give trials x channels x samples")
        if not np.isfinite(x).all():
            bad = np.flatnonzero(~np.isfinite(x).all((1, 2)))
            raise ValueError(
                f"x has NaN or infinite samples in trial {bad[0]} ({len(bad)} trials); leave those trials out"
            )
        if (still := np.ptp(x, axis=-1) == 0).any():
            trial, channel = np.argwhere(still)[0]
            raise ValueError(f"x is constant in channel {channel} of trial {trial}; leave that channel or trial out")
        self.x, self.max_order, self.estimator, self.fallback = x, max_order, estimator, fallback
        self._blocks: _Blocks | None = None

    def __call__(self, order: int, lag: int) -> np.ndarray:
        """Covariances (n, d * order, d * order). Raises ValueError for a rank-deficient pair under fallback=error."""
        from pyriemann.estimation import Covariances

        _, d, t = self.x.shape
        length, estimator = _length(t, order, lag), self.estimator
        if estimator == "cov" and deficient(d, t, order, lag):
            if self.fallback not in ("lwf", "oas"):
                raise ValueError(
                    f"order={order}, lag={lag}: {d} channels x order = {d * order} dimensions need more than {length} samples "
                    "for a definite covariance; lower the order, or set method.deficient=lwf (or oas, leave_out)"
                )
            estimator = self.fallback
        # order 1 takes the library's road, so that it equals the plain pipeline bit for bit
        if estimator != "cov" or order == 1:
            return Covariances(estimator).transform(augment(self.x, order, lag))
        if order > _shared_orders(t, lag, self.max_order):  # windows that do not overlap: nothing to share
            return Covariances("cov").transform(augment(self.x, order, lag))
        if self._blocks is None or self._blocks.lag != lag:
            self._blocks = _Blocks(self.x, lag, _shared_orders(t, lag, self.max_order))
        return self._blocks.covariance(order)


def _shared_orders(t: int, lag: int, max_order: int) -> int:
    """The largest order P <= max_order with (2 P - 1) lag < t, so that all windows of all orders have a common core."""
    return min(max_order, max((t - 1) // lag + 1, 0) // 2)


class _Blocks:
    """The shared sums of one lag, for orders up to `most`: heads[h] (n, i, d, d) and tails[h] (n, q, d, d)."""

    def __init__(self, x: np.ndarray, lag: int, most: int) -> None:
        # the covariance does not see a constant; without it the correction by the windows' means is small
        self.x = x - x.mean(-1, keepdims=True)
        self.lag, self.most = lag, most
        self.n, self.d, self.t = x.shape
        first, last = (most - 1) * lag, self.t - most * lag
        self.core = slice(first, last)
        # steps of lag samples from the start and to the end of the trial: (n, step, d, lag)
        self.start = self._steps(self.x[:, :, : 2 * first])
        self.end = self._steps(self.x[:, :, last:])

    def _steps(self, x: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(x.reshape(self.n, self.d, -1, self.lag).swapaxes(1, 2))

    @cached_property
    def heads(self) -> list[np.ndarray]:
        """heads[h][:, i], i = 0..P-1: products over [i lag, (P - 1) lag)."""
        k, out = self.most - 1, []
        for h in range(self.most):
            steps = self.start[:, :k] @ self.start[:, h : h + k].swapaxes(-1, -2)
            heads = np.zeros((self.n, self.most, self.d, self.d))
            heads[:, :k] = np.cumsum(steps[:, ::-1], axis=1)[:, ::-1]
            out.append(heads)
        return out

    @cached_property
    def tails(self) -> list[np.ndarray]:
        """tails[h][:, m], m = P - q = 0..P-1-h: products over [(P - 1) lag, T - q lag)."""
        out = []
        for h in range(self.most):
            a = self.x[:, :, self.core]
            b = self.x[:, :, self.core.start + h * self.lag : self.core.stop + h * self.lag]
            k = self.most - 1 - h
            tails = np.empty((self.n, k + 1, self.d, self.d))
            np.matmul(a, b.swapaxes(1, 2), out=tails[:, 0])
            np.matmul(self.end[:, :k], self.end[:, h : h + k].swapaxes(-1, -2), out=tails[:, 1:])
            out.append(np.cumsum(tails, axis=1, out=tails))
        return out

    @cached_property
    def sums(self) -> tuple[np.ndarray, np.ndarray]:
        """Sums of samples: heads (n, P, d) over [i lag, (P - 1) lag), tails (n, P, d) over [(P - 1) lag, T - (P - m) lag)."""
        k = self.most - 1
        head = np.zeros((self.n, self.most, self.d))
        head[:, :k] = np.cumsum(self.start[:, :k].sum(-1)[:, ::-1], axis=1)[:, ::-1]
        tail = np.concatenate([self.x[:, None, :, self.core].sum(-1), self.end[:, :k].sum(-1)], axis=1)
        return head, np.cumsum(tail, axis=1)

    def covariance(self, p: int) -> np.ndarray:
        """(n, d p, d p) of order p <= P, assembled from the shared sums."""
        length, shift = self.t - p * self.lag, self.most - p  # window i ends at q = p - i, which is m = P - p + i
        head, tail = self.sums
        mean = ((head[:, :p] + tail[:, shift : shift + p]) / length).reshape(self.n, -1)
        out = np.empty((self.n, p, self.d, p, self.d))
        for h in range(p):
            block = self.heads[h][:, : p - h] + self.tails[h][:, shift : shift + p - h]
            for i in range(p - h):
                out[:, i, :, i + h] = block[:, i]
                if h:
                    out[:, i + h, :, i] = block[:, i].swapaxes(1, 2)
        out = out.reshape(self.n, p * self.d, p * self.d)
        out -= length * mean[:, :, None] * mean[:, None, :]
        out /= length - 1
        return out
