"""The soft maximum of affine functions."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from scipy.special import logsumexp, softmax

from models.geometry.objectives.base import Objective, finite, same_length
from models.geometry.objectives.curvature import Curvature, gram


class LogSumExp(Objective):
    """f(x) = mu log sum_i exp((a_i^T x - b_i) / mu), a_i the rows of `a` (m, d), `b` (m,), mu > 0 (Semenov et al. 2025).

    With pi = softmax((A x - b) / mu): grad f = A^T pi, Hessian (A^T diag(pi) A - g g^T) / mu; the Gauss-Newton matrix, which is
    also mu times the Fisher matrix of pi, leaves out g g^T. `centred=True` subtracts grad f(0) from every row: then x* = 0.

    Raises ValueError for arrays of unequal length, values that are not finite, and mu <= 0.
    """

    kinds: ClassVar[tuple[str, ...]] = ("exact", "gauss_newton", "zero")

    def __init__(self, a: np.ndarray, b: np.ndarray, mu: float = 1.0, centred: bool = True) -> None:
        a, b = finite("a", a, 2), finite("b", b, 1)
        same_length(a=a, b=b)
        if not mu > 0:
            raise ValueError(f"mu={mu} must be positive: it is the temperature of the soft maximum")
        self.mu, self.b, self.dim = float(mu), b, a.shape[1]
        self.a = a - softmax(-b / mu) @ a if centred else a
        if centred:
            self.minimiser = np.zeros(self.dim)
            self.minimum = float(self.value(self.minimiser))

    def _scaled(self, x: np.ndarray) -> np.ndarray:
        return (x @ self.a.T - self.b) / self.mu

    def value(self, x: np.ndarray) -> np.ndarray:
        return self.mu * logsumexp(self._scaled(x), axis=-1)

    def value_and_gradient(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        z = self._scaled(x)
        top = z.max(-1, keepdims=True)
        e = np.exp(z - top)
        total = e.sum(-1, keepdims=True)
        return self.mu * (top + np.log(total))[..., 0], (e / total) @ self.a

    def hessian(self, x: np.ndarray) -> np.ndarray:
        pi = softmax(self._scaled(x), axis=-1)
        g = pi @ self.a
        return gram(self.a, pi / self.mu) - g[..., :, None] * g[..., None, :] / self.mu

    def gauss_newton(self, x: np.ndarray) -> Curvature:
        return Curvature(self.dim, dense=gram(self.a, softmax(self._scaled(x)) / self.mu))

    def hvp(self, x: np.ndarray, v: np.ndarray) -> np.ndarray:
        pi = softmax(self._scaled(x))
        av = self.a @ v
        return self.a.T @ (pi * (av - pi @ av)) / self.mu
