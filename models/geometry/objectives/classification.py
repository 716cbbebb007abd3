"""Logistic and softmax regression: finite sums f = (1/n) sum_i f_i with an optional ridge."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from scipy.special import expit, logsumexp, softmax

from models.geometry.objectives.base import Objective, finite, same_length
from models.geometry.objectives.curvature import Curvature, gram


def signs(y: np.ndarray) -> np.ndarray:
    """Labels (n,) as float64; ValueError unless every one is -1 or +1."""
    y = np.asarray(y)
    found = np.unique(y)
    if y.ndim != 1 or not np.isin(found, (-1, 1)).all():
        raise ValueError(f"labels must be -1 and +1, and {found[:5].tolist()} occur; map the two classes to them")
    return y.astype(np.float64)


class Logistic(Objective):
    """f(x) = (1/n) sum_i log(1 + exp(-y_i a_i^T x)) + ridge/2 ||x||^2; `a` (n, d), labels `y` (n,) in {-1, +1}.

    With s_i = 1 / (1 + exp(y_i a_i^T x)): g = -(1/n) sum s_i y_i a_i + ridge x; Hessian (1/n) sum s_i (1 - s_i) a_i a_i^T + ridge I,
    which is also the Gauss-Newton matrix; "fisher" is the empirical one, (1/n) sum s_i^2 a_i a_i^T + ridge I.
    """

    kinds: ClassVar[tuple[str, ...]] = ("exact", "gauss_newton", "fisher", "zero")

    def __init__(self, a: np.ndarray, y: np.ndarray, ridge: float = 0.0) -> None:
        self.a, self.y = finite("a", a, 2), signs(y)
        same_length(a=self.a, y=self.y)
        if not ridge >= 0:
            raise ValueError(f"ridge={ridge} must not be negative: f would be unbounded below")
        self.z, self.ridge, self.dim = self.a * self.y[:, None], float(ridge), self.a.shape[1]

    def value_and_gradient(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        margin, n = x @ self.z.T, len(self.z)
        value = np.logaddexp(0, -margin).mean(-1) + self.ridge / 2 * (x * x).sum(-1)
        return value, self.ridge * x - expit(-margin) @ self.z / n

    def hessian(self, x: np.ndarray) -> np.ndarray:
        s = expit(x @ self.z.T)
        return gram(self.a, s * (1 - s) / len(self.z)) + self.ridge * np.eye(self.dim)

    def gauss_newton(self, x: np.ndarray) -> Curvature:
        return self.exact(x)

    def fisher(self, x: np.ndarray) -> Curvature:
        s = expit(-(self.z @ x))
        return Curvature(self.dim, dense=gram(self.a, s * s / len(self.z)) + self.ridge * np.eye(self.dim))

    def hvp(self, x: np.ndarray, v: np.ndarray) -> np.ndarray:
        s = expit(self.z @ x)
        return self.z.T @ (s * (1 - s) * (self.z @ v)) / len(self.z) + self.ridge * v

    def scores(self, x: np.ndarray, a: np.ndarray) -> np.ndarray:
        """Scores (n, 2) of classes -1, +1 for samples a (n, d)."""
        t = a @ x
        return np.stack([-t / 2, t / 2], axis=1)


class Softmax(Objective):
    """f(x) = (1/n) sum_i [logsumexp(W a_i) - w_{y_i}^T a_i] + ridge/2 ||x||^2, x = vec(W) of W (classes, k) row by row.

    `a` (n, k), class indices `y` (n,) in 0..classes-1; d = classes * k. Hessian blocks (1/n) sum (p_c [c=c'] - p_c p_c') a a^T;
    it equals the Gauss-Newton matrix. "fisher": (1/n) sum r_i r_i^T kron a_i a_i^T with r_i = p_i - e_{y_i}.
    """

    kinds: ClassVar[tuple[str, ...]] = ("exact", "gauss_newton", "fisher", "zero")

    def __init__(self, a: np.ndarray, y: np.ndarray, classes: int | None = None, ridge: float = 0.0) -> None:
        self.a, y = finite("a", a, 2), np.asarray(y)
        same_length(a=self.a, y=y)
        if y.ndim != 1 or not np.equal(np.mod(y, 1), 0).all() or y.min() < 0:
            raise ValueError(f"class indices must be whole numbers from 0, and {np.unique(y)[:5].tolist()} occur")
        self.y = y.astype(np.int64)
        self.classes = int(self.y.max()) + 1 if classes is None else int(classes)
        if self.y.max() >= self.classes or self.classes < 2:
            raise ValueError(
                f"classes={self.classes} and the largest index is {self.y.max()}; it must be below classes"
            )
        if not ridge >= 0:
            raise ValueError(f"ridge={ridge} must not be negative: f would be unbounded below")
        self.ridge, self.dim = float(ridge), self.classes * self.a.shape[1]
        self.one_hot = np.eye(self.classes)[self.y]

    def _logits(self, x: np.ndarray) -> np.ndarray:
        w = x.reshape(*x.shape[:-1], self.classes, self.a.shape[1])
        return self.a @ np.swapaxes(w, -1, -2)

    def value_and_gradient(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        z, n = self._logits(x), len(self.a)
        log_z = logsumexp(z, axis=-1)
        value = (log_z - (z * self.one_hot).sum(-1)).mean(-1) + self.ridge / 2 * (x * x).sum(-1)
        r = np.exp(z - log_z[..., None]) - self.one_hot
        return value, (np.swapaxes(r, -1, -2) @ self.a / n).reshape(x.shape) + self.ridge * x

    def hessian(self, x: np.ndarray) -> np.ndarray:
        p = softmax(self._logits(x), axis=-1)
        weight = p[..., :, None] * np.eye(self.classes) - p[..., :, None] * p[..., None, :]  # (..., n, c, c)
        return self._blocks(np.moveaxis(weight, -3, -1))

    def _blocks(self, weight: np.ndarray) -> np.ndarray:
        """(1/n) sum_i weight[..., c, e, i] a_i a_i^T at block (c, e), plus the ridge: (..., d, d)."""
        n = len(self.a)
        h = np.swapaxes(weight[..., None] * self.a, -1, -2) @ self.a / n  # (..., c, e, k, k)
        h = np.swapaxes(h, -3, -2).reshape(*h.shape[:-4], self.dim, self.dim)
        return h + self.ridge * np.eye(self.dim)

    def gauss_newton(self, x: np.ndarray) -> Curvature:
        return self.exact(x)

    def fisher(self, x: np.ndarray) -> Curvature:
        r = (softmax(self._logits(x), axis=-1) - self.one_hot).T
        return Curvature(self.dim, dense=self._blocks(r[:, None] * r[None, :]))

    def hvp(self, x: np.ndarray, v: np.ndarray) -> np.ndarray:
        p, t = softmax(self._logits(x), axis=-1), self._logits(v)
        t = p * (t - (p * t).sum(-1, keepdims=True))
        return (t.T @ self.a).ravel() / len(self.a) + self.ridge * v

    def scores(self, x: np.ndarray, a: np.ndarray) -> np.ndarray:
        """Logits (n, classes) for samples a (n, k)."""
        return a @ x.reshape(self.classes, -1).T
