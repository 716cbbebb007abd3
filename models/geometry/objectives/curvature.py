"""Second-order models H of an objective at a point, kept in the form that makes (H + lambda B) d = -g cheap to solve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import LinAlgError, blas, lapack, solveh_banded


class NotPositiveDefinite(LinAlgError):
    """H + lambda B has no Cholesky factor: lambda is too small for an indefinite H."""


class Metric:
    """The norm ||h|| = (h^T B h)^(1/2) of the iterates and its dual ||g||_* = (g^T B^-1 g)^(1/2); B SPD, or None for I.

    B is factorised once. `inverse(g)` is B^-1 g for g (d,) or (d, k).

    Raises ValueError where B is not square, symmetric and positive definite.
    """

    def __init__(self, b: np.ndarray | None, dim: int) -> None:
        self.matrix, self.dim = None if b is None else np.asarray(b, dtype=np.float64), dim
        if self.matrix is None:
            return
        if self.matrix.shape != (dim, dim) or not np.allclose(self.matrix, self.matrix.T, rtol=1e-10, atol=0.0):
            raise ValueError(f"the metric B has shape {self.matrix.shape}; give a symmetric ({dim}, {dim}) matrix")
        self.factor, info = lapack.dpotrf(self.matrix, lower=1)
        if info != 0:
            raise ValueError("the metric B is not positive definite; add a small multiple of the identity")

    def inverse(self, g: np.ndarray) -> np.ndarray:
        return g if self.matrix is None else _solve_factor(self.factor, g)

    def dual(self, g: np.ndarray) -> float:
        """||L^-1 g|| with B = L L^T: one triangular solve, and no difference that could be negative."""
        return float(np.linalg.norm(g if self.matrix is None else blas.dtrsv(self.factor, g, lower=1)))

    def norm(self, h: np.ndarray) -> float:
        return float(np.sqrt(max(float(h @ h if self.matrix is None else h @ self.matrix @ h), 0.0)))

    def apply(self, h: np.ndarray) -> np.ndarray:
        return h if self.matrix is None else self.matrix @ h

    def dense(self) -> np.ndarray:
        return np.eye(self.dim) if self.matrix is None else self.matrix


@dataclass(frozen=True)
class Curvature:
    """H = K + c v v^T with K dense (d, d), tridiagonal, or zero.

    Attributes
    ----------
    dim : d
    dense : K as a symmetric (d, d) array, or None
    bands : K as (2, d): `bands[1]` its diagonal, `bands[0, 1:]` its superdiagonal; or None
    vector, coefficient : v (d,) and c of the rank-one term, or None and 0
    """

    dim: int
    dense: np.ndarray | None = None
    bands: np.ndarray | None = None
    vector: np.ndarray | None = None
    coefficient: float = 0.0

    def matrix(self) -> np.ndarray:
        """H (d, d)."""
        h = np.zeros((self.dim, self.dim)) if self.dense is None else self.dense
        if self.bands is not None:
            i = np.arange(self.dim - 1)
            h = h + np.diag(self.bands[1])
            h[i, i + 1] += self.bands[0, 1:]
            h[i + 1, i] += self.bands[0, 1:]
        if self.vector is not None:
            h = h + self.coefficient * np.outer(self.vector, self.vector)
        return h

    def dot(self, x: np.ndarray) -> np.ndarray:
        """H x for x (d,), in O(d) where H is tridiagonal plus rank one."""
        out = np.zeros(self.dim) if self.dense is None else self.dense @ x
        if self.bands is not None:
            out = out + self.bands[1] * x
            out[:-1] += self.bands[0, 1:] * x[1:]
            out[1:] += self.bands[0, 1:] * x[:-1]
        if self.vector is not None:
            out = out + self.coefficient * (self.vector @ x) * self.vector
        return out

    def solve(self, shift: float, metric: Metric, g: np.ndarray, structured: bool = True) -> np.ndarray:
        """(H + shift B)^-1 g by Cholesky of the dense or banded part, and Sherman-Morrison for the rank-one term.

        (M + c v v^T)^-1 g = M^-1 g - c (v^T M^-1 g) / (1 + c v^T M^-1 v) M^-1 v. With `structured=False` everything is summed
        into one dense matrix. A tridiagonal K keeps its form only under B = I.

        Raises NotPositiveDefinite where H + shift B is not.
        """
        if structured and self.dense is None and (self.bands is None or metric.matrix is None):
            return self._sherman_morrison(shift, metric, g)
        h = self.matrix()
        if metric.matrix is None:
            m = h.copy()
            m[np.diag_indices(self.dim)] += shift
        else:
            m = shift * metric.matrix
            m += h
        m = m.T  # LAPACK's memory order, for nothing: m is symmetric
        factor, info = lapack.dpotrf(m, lower=1, clean=0, overwrite_a=1)
        if info != 0:
            raise NotPositiveDefinite(f"H + {shift:g} B is not positive definite")
        return _solve_factor(factor, g)

    def _sherman_morrison(self, shift: float, metric: Metric, g: np.ndarray) -> np.ndarray:
        right = np.stack([g, self.vector], axis=1) if self.vector is not None else g[:, None]
        if self.bands is None:
            if shift <= 0:
                raise NotPositiveDefinite(f"shift={shift:g} leaves a rank-one matrix")
            solved = metric.inverse(right) / shift
        else:
            bands = self.bands.copy()
            bands[1] += shift
            try:
                solved = solveh_banded(bands, right, check_finite=False)
            except LinAlgError:
                raise NotPositiveDefinite(f"K + {shift:g} I is not positive definite") from None
        if self.vector is None:
            return solved[:, 0]
        scale = 1.0 + self.coefficient * (self.vector @ solved[:, 1])
        if scale <= 0:
            raise NotPositiveDefinite("the rank-one term makes H + shift B indefinite")
        return solved[:, 0] - self.coefficient * (self.vector @ solved[:, 0]) / scale * solved[:, 1]


def _solve_factor(factor: np.ndarray, g: np.ndarray) -> np.ndarray:
    """(L L^T)^-1 g for g (d,) or (d, k)."""
    if g.ndim == 1:  # for one right side two vector solves take half the time of LAPACK's matrix solve
        return blas.dtrsv(factor, blas.dtrsv(factor, g, lower=1), lower=1, trans=1)
    out, info = lapack.dpotrs(factor, g, lower=1)
    if info != 0:
        raise ValueError(f"dpotrs: argument {-info} is not valid")
    return out


def gram(a: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """a^T diag(weight) a for a (m, d), weight (..., m) >= 0: (..., d, d).

    One product S^T S with S = diag(weight)^(1/2) a, which NumPy hands to the symmetric rank-k update (half the work).
    """
    s = np.sqrt(weight)[..., None] * a
    return np.swapaxes(s, -1, -2) @ s
