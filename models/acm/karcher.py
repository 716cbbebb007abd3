"""The affine-invariant mean of SPD matrices and the logarithms at it, float64, batched.

The mean M of X_1..X_n minimises f(M) = 1/2 mean_k d(M, X_k)^2. In the frame that M whitens, A_k = log(M^-1/2 X_k M^-1/2), the
gradient is -J, J = mean_k A_k, and the Hessian is (Karcher 1977; Bini and Iannazzo 2013)

    H(V) = mean_k U_k ( h((a_i - a_j) / 2) o U_k^T V U_k ) U_k^T,   h(t) = t coth t,   A_k = U_k diag(a) U_k^T,

with eigenvalues in [1, mean_k h(spread of a / 2)]. A Newton step H(V) = J is solved by a few conjugate gradient steps in single
precision: matrix products, cheaper than the eigendecompositions that they save. The start, the geometric mean of arithmetic and
harmonic mean, needs no eigendecomposition of the X_k. The logarithms of the last iteration are the tangent vectors: nothing is
decomposed again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

TOL = 1e-8  # Frobenius norm of the gradient; pyriemann stops at the same
INNER = 6  # conjugate gradient steps of one Newton step
LOOSE = 0.05  # relative residual of the first ones, far from the mean, where the second-order model errs anyway
SINGLE = 1e-6  # what single precision can still tell apart
SINGULAR = (
    "channels depend on each other, e.g. by an average reference, or are too many; leave some out, lower the order, or set "
    "method.estimator=lwf"
)


@dataclass
class Mean:
    """`point` (n, n) the mean, `whitener` its inverse symmetric root, `logs` (k, n, n) log(M^-1/2 X_k M^-1/2), `iterations`."""

    point: np.ndarray
    whitener: np.ndarray
    logs: np.ndarray | None
    iterations: int

    def log(self, x: np.ndarray) -> np.ndarray:
        """log(M^-1/2 X M^-1/2) (k, n, n) of other matrices."""
        a, u = _eigen(self.whitener, x)
        return _rebuild(np.log(a), u)

    def distance2(self, x: np.ndarray) -> np.ndarray:
        """Squared affine-invariant distances (k,) of x (k, n, n) to the mean."""
        values = np.linalg.eigvalsh(self.whitener @ x @ self.whitener)
        _definite(values)
        return np.square(np.log(values)).sum(-1)


def inverse(x: np.ndarray) -> np.ndarray:
    """Inverses of covariances x (k, n, n). Raises ValueError for a singular one."""
    try:
        return np.linalg.inv(x)
    except np.linalg.LinAlgError:
        raise ValueError(f"a covariance is singular: {SINGULAR}") from None


def start_point(x: np.ndarray, inverses: np.ndarray) -> np.ndarray:
    """The geometric mean A # H of the arithmetic mean A and the harmonic mean H of x (k, n, n); exact for two matrices.

    `inverses` (k, n, n) holds the inverses of x, which are cheap beside eigendecompositions and shared by all subsets.
    """
    root, whitener = _roots(x.mean(0))
    e, q = np.linalg.eigh(whitener @ np.linalg.inv(inverses.mean(0)) @ whitener)
    point = root @ (q * np.sqrt(np.maximum(e, np.finfo(float).tiny))) @ q.T @ root
    return (point + point.T) / 2


def karcher_mean(
    x: np.ndarray, start: np.ndarray | None = None, tol: float = TOL, max_iter: int = 50, logs: bool = True
) -> Mean:
    """Affine-invariant mean of x (k, n, n), from `start` (n, n) or the arithmetic mean, until ||mean_k A_k||_F <= tol.

    Without `logs` the last evaluation, which only confirms, is left out once the Newton step before it leaves less than `tol`.
    Raises ValueError when a matrix is not definite, or when the iteration does not end.
    """
    point, last = x.mean(0) if start is None else start, np.inf
    for iteration in range(1, max_iter + 1):
        root, whitener = _roots(point)
        values, u = _eigen(whitener, x)
        a = np.log(values)
        rebuilt = _rebuild(a, u)
        gradient = rebuilt.mean(0)
        size = float(np.linalg.norm(gradient))
        if size <= tol:
            return Mean(point, whitener, rebuilt if logs else None, iteration)
        v, rest = _newton(gradient, a, u, tol)
        e, q = np.linalg.eigh(v)
        point = root @ (q * np.exp(e)) @ q.T @ root
        point = (point + point.T) / 2
        if not logs and max(rest, size * size) <= tol and size < last:
            return Mean(point, _roots(point)[1], None, iteration)
        last = size
    raise ValueError(
        f"the affine-invariant mean has not converged in {max_iter} iterations (gradient {size:.1e}); "
        "the covariances are too badly conditioned: use method.estimator=lwf"
    )


def _newton(gradient: np.ndarray, a: np.ndarray, u: np.ndarray, tol: float) -> tuple[np.ndarray, float]:
    """V with H(V) = gradient by conjugate gradients, and the norm of what is left. Single precision: V is a step, not a result."""
    single = np.float32
    a, u = a.astype(single), u.astype(single)
    t = (a[:, :, None] - a[:, None, :]) / 2
    small = np.abs(t) < 1e-2
    h = np.where(small, 1 + t * t / 3, t / np.tanh(np.where(small, single(1), t)))
    ut = np.ascontiguousarray(u.swapaxes(1, 2))
    scale = np.linalg.norm(gradient)
    r = gradient / scale
    v, d, rr = np.zeros_like(r), r, 1.0
    goal = max(min(LOOSE, scale), SINGLE, 0.3 * tol / scale) ** 2
    for _ in range(INNER):
        hd = _hessian(d.astype(single), h, u, ut)
        alpha = rr / float((d * hd).sum())
        v, r = v + alpha * d, r - alpha * hd
        before, rr = rr, float((r * r).sum())
        if rr <= goal:
            break
        d = r + rr / before * d
    v = scale * v
    return (v + v.T) / 2, float(scale * max(rr**0.5, SINGLE))


def _hessian(d: np.ndarray, h: np.ndarray, u: np.ndarray, ut: np.ndarray) -> np.ndarray:
    """H(d) = mean_k U_k (h_k o U_k^T d U_k) U_k^T."""
    w = ut @ d @ u
    w *= h
    return ((u @ w) @ ut).mean(0)


def _roots(m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(symmetric root, its inverse) of one SPD matrix."""
    e, q = np.linalg.eigh(m)
    if not e[0] > len(e) * np.finfo(float).eps * e[-1]:
        raise ValueError(f"the mean covariance is singular (eigenvalues from {e[0]:.1e} to {e[-1]:.1e}): {SINGULAR}")
    s = np.sqrt(e)
    return (q * s) @ q.T, (q / s) @ q.T


def _eigen(whitener: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    values, u = np.linalg.eigh(whitener @ x @ whitener)
    _definite(values)
    return values, u


def _definite(values: np.ndarray) -> None:
    floor = values.shape[-1] * np.finfo(float).eps * values[:, -1]
    if (bad := ~(values[:, 0] > floor)).any():
        raise ValueError(
            f"the covariance of trial {int(np.argmax(bad))} ({int(bad.sum())} of {len(bad)}) is not positive definite: {SINGULAR}"
        )


def _rebuild(a: np.ndarray, u: np.ndarray) -> np.ndarray:
    return (u * a[:, None, :]) @ u.swapaxes(1, 2)
