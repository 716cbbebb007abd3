"""What every objective has: value, gradient, Hessian and its approximations at x, in float64."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from models.geometry.objectives.curvature import Curvature


class Objective:
    """f: R^d -> R, twice differentiable.

    `value` (..., d) -> (...), `gradient` (..., d) -> (..., d) and `hessian` (..., d) -> (..., d, d) take any number of points
    at once. `second_order(x, kind)` gives one of `kinds` at one point: "exact", "gauss_newton", "fisher", "zero".

    Attributes
    ----------
    dim : d
    convex : whether f is convex, so that its Hessian is never indefinite
    minimum, minimiser : f* and one x*, or None where they are not known in closed form
    """

    dim: int
    convex: bool = True
    minimum: float | None = None
    minimiser: np.ndarray | None = None
    kinds: ClassVar[tuple[str, ...]] = ("exact", "zero")

    def value(self, x: np.ndarray) -> np.ndarray:
        return self.value_and_gradient(x)[0]

    def gradient(self, x: np.ndarray) -> np.ndarray:
        return self.value_and_gradient(x)[1]

    def value_and_gradient(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """f and its gradient from one evaluation of what they share."""
        raise NotImplementedError

    def hessian(self, x: np.ndarray) -> np.ndarray:
        raise NotImplementedError

    def exact(self, x: np.ndarray) -> Curvature:
        return Curvature(self.dim, dense=self.hessian(x))

    def gauss_newton(self, x: np.ndarray) -> Curvature:
        """For f = h(u(x)) the term J^T h''(u) J, where it is defined."""
        raise NotImplementedError

    def fisher(self, x: np.ndarray) -> Curvature:
        """The empirical Fisher matrix or Fisher term, where it is defined."""
        raise NotImplementedError

    def zero(self, x: np.ndarray) -> Curvature:
        return Curvature(self.dim)

    def hvp(self, x: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Hessian times v (d,) at x (d,)."""
        return self.exact(x).dot(v)

    def second_order(self, x: np.ndarray, kind: str) -> Curvature:
        """H at x (d,). Raises ValueError for a kind that this objective does not have."""
        if kind not in self.kinds:
            raise ValueError(
                f"curvature {kind!r} is not defined for {type(self).__name__}; use {', '.join(self.kinds)}"
            )
        return getattr(self, kind)(x)


def finite(name: str, a: np.ndarray, ndim: int) -> np.ndarray:
    """`a` as a float64 array, C order; ValueError with the argument's name for another rank or values that are not finite."""
    a = np.ascontiguousarray(a, dtype=np.float64)
    if a.ndim != ndim or a.size == 0:
        raise ValueError(f"{name} has shape {a.shape}; give a non-empty array with {ndim} axes")
    if not np.isfinite(a).all():
        raise ValueError(f"{name} has {int((~np.isfinite(a)).sum())} entries that are NaN or infinite; remove them")
    return a


def same_length(**arrays: np.ndarray) -> None:
    """ValueError naming the arguments whose first axes differ."""
    lengths = {name: len(a) for name, a in arrays.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(
            f"first axes differ: {', '.join(f'{n} has {k}' for n, k in lengths.items())}; give one row per sample"
        )
