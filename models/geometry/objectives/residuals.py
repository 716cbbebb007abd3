"""Powers of residual norms, f(x) = ||u(x)||^p / p, and the residual maps of the GNS paper."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from models.geometry.objectives.base import Objective, finite, same_length
from models.geometry.objectives.curvature import Curvature


class PowerResidual(Objective):
    """f(x) = ||u(x)||^p / p, p >= 2, for a map u: R^d -> R^m (Semenov et al. 2025).

    With s = ||u||: g = s^(p-2) J^T u and Hessian
        s^(p-2) J^T J  +  (p-2) s^(p-4) (J^T u)(J^T u)^T  +  s^(p-2) sum_i u_i Hess(u_i).
    "gauss_newton" is the first two terms ("inexact Hessian" in the paper), "fisher" the second alone,
    (p-2) / s^p g g^T, of rank one. At u = 0 the gradient is 0 and so are, for p > 2, all second-order terms.

    A subclass gives `residual` (..., d) -> (..., m), `pullback` x, w -> J(x)^T w, and the matrices
    `first(x)` = J^T J and `second(x, u)` = sum_i u_i Hess(u_i), as Curvature without a rank-one term.
    """

    kinds: ClassVar[tuple[str, ...]] = ("exact", "gauss_newton", "fisher", "zero")
    convex = False

    def __init__(self, dim: int, p: float) -> None:
        if not p >= 2:
            raise ValueError(f"p={p} must be at least 2: below, the Hessian is unbounded at u = 0")
        self.dim, self.p, self.minimum = dim, float(p), 0.0

    def residual(self, x: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def pullback(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def first(self, x: np.ndarray) -> Curvature:
        raise NotImplementedError

    def second(self, x: np.ndarray, u: np.ndarray) -> Curvature:
        raise NotImplementedError

    def value(self, x: np.ndarray) -> np.ndarray:
        return np.linalg.norm(self.residual(x), axis=-1) ** self.p / self.p

    def value_and_gradient(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        u = self.residual(x)
        s = np.linalg.norm(u, axis=-1)
        return s**self.p / self.p, s[..., None] ** (self.p - 2) * self.pullback(x, u)

    def _rank_one(self, x: np.ndarray, u: np.ndarray, s: float) -> tuple[np.ndarray | None, float]:
        """v, c with c v v^T = (p-2) s^(p-4) (J^T u)(J^T u)^T; v = J^T u / s keeps the powers of s non-negative."""
        if self.p == 2 or s == 0:
            return None, 0.0
        return self.pullback(x, u / s), (self.p - 2) * s ** (self.p - 2)

    def exact(self, x: np.ndarray) -> Curvature:
        return self._sum(x, with_second=True)

    def gauss_newton(self, x: np.ndarray) -> Curvature:
        return self._sum(x, with_second=False)

    def fisher(self, x: np.ndarray) -> Curvature:
        u = self.residual(x)
        vector, coefficient = self._rank_one(x, u, float(np.linalg.norm(u)))
        return Curvature(self.dim, vector=vector, coefficient=coefficient)

    def _sum(self, x: np.ndarray, with_second: bool) -> Curvature:
        u = self.residual(x)
        s = float(np.linalg.norm(u))
        vector, coefficient = self._rank_one(x, u, s)
        parts = [self.first(x), *([self.second(x, u)] if with_second else [])]
        scale = s ** (self.p - 2)

        def total(name: str) -> np.ndarray | None:
            some = [getattr(part, name) for part in parts if getattr(part, name) is not None]
            return scale * sum(some[1:], some[0]) if some else None

        return Curvature(self.dim, total("dense"), total("bands"), vector, coefficient)

    def hessian(self, x: np.ndarray) -> np.ndarray:
        flat = np.asarray(x, dtype=np.float64).reshape(-1, self.dim)
        return np.stack([self.exact(point).matrix() for point in flat]).reshape(*np.shape(x), self.dim)


class LinearResidual(PowerResidual):
    """u(x) = A x - b, A (m, d), b (m,): convex. x* is the least-squares point of smallest norm, which minimises every power.

    f* = ||A x* - b||^p / p, taken as 0 where the residual is rounding.
    """

    convex = True

    def __init__(self, a: np.ndarray, b: np.ndarray, p: float = 4.0) -> None:
        a, b = finite("a", a, 2), finite("b", b, 1)
        same_length(a=a, b=b)
        super().__init__(a.shape[1], p)
        self.a, self.b = a, b
        self.gram = a.T @ a
        self.minimiser = np.linalg.lstsq(a, b, rcond=None)[0]
        rest = float(np.linalg.norm(a @ self.minimiser - b))
        rounding = 1e3 * np.finfo(np.float64).eps * np.linalg.norm(b)
        self.minimum = 0.0 if rest <= rounding else rest**p / p

    def residual(self, x: np.ndarray) -> np.ndarray:
        return x @ self.a.T - self.b

    def pullback(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        return w @ self.a

    def first(self, x: np.ndarray) -> Curvature:
        return Curvature(self.dim, dense=self.gram)

    def second(self, x: np.ndarray, u: np.ndarray) -> Curvature:
        return Curvature(self.dim)


class RosenbrockResidual(PowerResidual):
    """u(x) = (1 - x_1, 10 (x_2 - x_1^2)), d = 2; x* = (1, 1)."""

    def __init__(self, p: float = 5.0) -> None:
        super().__init__(2, p)
        self.minimiser = np.ones(2)

    def residual(self, x: np.ndarray) -> np.ndarray:
        return np.stack([1 - x[..., 0], 10 * (x[..., 1] - x[..., 0] ** 2)], axis=-1)

    def pullback(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        return np.stack([-w[..., 0] - 20 * x[..., 0] * w[..., 1], 10 * w[..., 1]], axis=-1)

    def first(self, x: np.ndarray) -> Curvature:
        return Curvature(2, dense=np.array([[1 + 400 * x[0] ** 2, -200 * x[0]], [-200 * x[0], 100.0]]))

    def second(self, x: np.ndarray, u: np.ndarray) -> Curvature:
        return Curvature(2, dense=np.diag([-20 * u[1], 0.0]))


class ChebyshevResidual(PowerResidual):
    """u_1 = (1 - x_1) / 2, u_i = x_i - (2 x_{i-1}^2 - 1): Chebyshev's chain; x* = (1, ..., 1). J^T J is tridiagonal."""

    def __init__(self, dim: int, p: float = 4.0) -> None:
        if dim < 2:
            raise ValueError(f"dim={dim}: a chain needs at least 2 variables")
        super().__init__(dim, p)
        self.minimiser = np.ones(dim)

    def residual(self, x: np.ndarray) -> np.ndarray:
        return np.concatenate([(1 - x[..., :1]) / 2, x[..., 1:] - (2 * x[..., :-1] ** 2 - 1)], axis=-1)

    def pullback(self, x: np.ndarray, w: np.ndarray) -> np.ndarray:
        # du_1/dx_1 = -1/2, du_i/dx_i = 1, du_i/dx_{i-1} = -4 x_{i-1}
        out = np.concatenate([-w[..., :1] / 2, w[..., 1:]], axis=-1)
        out[..., :-1] -= 4 * x[..., :-1] * w[..., 1:]
        return out

    def first(self, x: np.ndarray) -> Curvature:
        bands = np.zeros((2, self.dim))
        bands[1] = 1.0
        bands[1, 0] = 0.25
        bands[1, :-1] += 16 * x[:-1] ** 2
        bands[0, 1:] = -4 * x[:-1]
        return Curvature(self.dim, bands=bands)

    def second(self, x: np.ndarray, u: np.ndarray) -> Curvature:
        bands = np.zeros((2, self.dim))
        bands[1, :-1] = -4 * u[1:]
        return Curvature(self.dim, bands=bands)
