"""Affine-invariant (AIM), log-Euclidean (LEM) and log-Cholesky (LCM) geometry: the counterparts of `bures`.

Sources: Pennec et al. 2006 (AIM), Arsigny et al. 2007 (LEM), Lin 2019 (LCM). Shapes (..., n, n), SPD points,
symmetric tangent vectors, float64; batch dimensions broadcast; arguments are not validated (see `check_spd`).
"""

from __future__ import annotations

import warnings

import torch
from torch import Tensor

from models.geometry.eig import LOG, Eig, expm, logm, sym


def _weights(x: Tensor, weights: Tensor | None) -> Tensor:
    k = x.shape[-3]
    if weights is None:
        return torch.full((k, 1, 1), 1.0 / k, dtype=x.dtype, device=x.device)
    return (weights / weights.sum()).reshape(k, 1, 1).to(x)


def aim_log(p: Tensor, x: Tensor) -> Tensor:
    """Log_p(x) = p^(1/2) log(p^(-1/2) x p^(-1/2)) p^(1/2)."""
    h, hi = Eig(p).roots()
    return sym(h @ logm(hi @ x @ hi) @ h)


def aim_exp(p: Tensor, v: Tensor) -> Tensor:
    """Exp_p(v) = p^(1/2) exp(p^(-1/2) v p^(-1/2)) p^(1/2)."""
    h, hi = Eig(p).roots()
    return sym(h @ expm(hi @ v @ hi) @ h)


def aim_distance2(a: Tensor, b: Tensor) -> Tensor:
    """d^2(a, b) (...,) = ||log(a^(-1/2) b a^(-1/2))||_F^2, by the eigenvalues of L^-1 b L^-T, a = L L^T."""
    low = torch.linalg.cholesky(a)
    half = torch.linalg.solve_triangular(low, b, upper=False)
    w = torch.linalg.eigvalsh(sym(torch.linalg.solve_triangular(low, half.mT, upper=False)))
    return w.log().square().sum(-1)


def aim_geodesic(a: Tensor, b: Tensor, t: float) -> Tensor:
    """a^(1/2) (a^(-1/2) b a^(-1/2))^t a^(1/2)."""
    h, hi = Eig(a).roots()
    return sym(h @ Eig(hi @ b @ hi).power(t) @ h)


def aim_mean(x: Tensor, weights: Tensor | None = None, n_iter: int = 200, tol: float = 1e-12) -> Tensor:
    """Karcher mean of x (..., k, n, n) over k: G <- Exp_G(t sum_i w_i Log_G(x_i)), from the arithmetic mean.

    n_iter=1 is the one-step mean of SPDNetBN (t = 1). Stops when the whitened tangent mean has norm <= tol. A full step may
    overshoot where the x_i are far apart (condition numbers from about 1e4 in unlike eigenbases): t is halved for each mean
    whose tangent norm grew. A mean that has not converged to 1e-6 is told by a warning.
    """
    wt = _weights(x, weights)
    g = (wt * x).sum(-3)
    step = torch.ones(g.shape[:-2], dtype=g.dtype, device=g.device)
    before = torch.full_like(step, torch.inf)
    for _ in range(n_iter):
        h, hi = Eig(g).roots()
        v = (wt * logm(hi.unsqueeze(-3) @ x @ hi.unsqueeze(-3))).sum(-3)
        size = torch.linalg.matrix_norm(v.detach())
        step = torch.where(size > before, 0.5 * step, step)
        g = sym(h @ expm(step[..., None, None] * v) @ h)
        if n_iter > 1 and bool((size <= tol).all()):
            break
        before = size
    if n_iter > 1 and bool((size > 1e-6).any()):
        warnings.warn(
            f"the affine-invariant mean has not converged in {n_iter} steps: {float(size.max()):.1e}", stacklevel=2
        )
    return g


def lem_log(p: Tensor, x: Tensor) -> Tensor:
    """Log_p(x) = D_{log p} exp [log x - log p]; p must not require a gradient."""
    e = Eig(p)
    return e.frechet(logm(x) - e.log(), LOG, inverse=True)


def lem_exp(p: Tensor, v: Tensor) -> Tensor:
    """Exp_p(v) = exp(log p + D_p log [v]); p must not require a gradient."""
    e = Eig(p)
    return expm(e.log() + e.frechet(v, LOG))


def lem_distance2(a: Tensor, b: Tensor) -> Tensor:
    """||log a - log b||_F^2 (...,)."""
    return (logm(a) - logm(b)).square().sum((-2, -1))


def lem_geodesic(a: Tensor, b: Tensor, t: float) -> Tensor:
    """exp((1-t) log a + t log b)."""
    return expm((1.0 - t) * logm(a) + t * logm(b))


def lem_mean(x: Tensor, weights: Tensor | None = None) -> Tensor:
    """exp(sum_i w_i log x_i) of x (..., k, n, n)."""
    return expm((_weights(x, weights) * logm(x)).sum(-3))


def lcm_chart(x: Tensor) -> Tensor:
    """Strict lower part of the Cholesky factor plus the logarithm of its diagonal (..., n, n)."""
    low = torch.linalg.cholesky(x)
    return low.tril(-1) + torch.diag_embed(low.diagonal(dim1=-2, dim2=-1).log())


def lcm_unchart(y: Tensor) -> Tensor:
    """Inverse of `lcm_chart`."""
    low = y.tril(-1) + torch.diag_embed(y.diagonal(dim1=-2, dim2=-1).exp())
    return low @ low.mT


def lcm_log(p: Tensor, x: Tensor) -> Tensor:
    """Log_p(x) = L K^T + K L^T, p = L L^T; K = the chart difference, its diagonal multiplied by that of L."""
    low = torch.linalg.cholesky(p)
    d = lcm_chart(x) - lcm_chart(p)
    k = d.tril(-1) + torch.diag_embed(d.diagonal(dim1=-2, dim2=-1) * low.diagonal(dim1=-2, dim2=-1))
    return low @ k.mT + k @ low.mT


def lcm_exp(p: Tensor, v: Tensor) -> Tensor:
    """Inverse of `lcm_log`: K = L (L^-1 v L^-T)_half, half = strict lower part plus half the diagonal."""
    low = torch.linalg.cholesky(p)
    half = torch.linalg.solve_triangular(low, v, upper=False)
    s = torch.linalg.solve_triangular(low, half.mT, upper=False)
    k = low @ (s.tril(-1) + 0.5 * torch.diag_embed(s.diagonal(dim1=-2, dim2=-1)))
    d = k.tril(-1) + torch.diag_embed(k.diagonal(dim1=-2, dim2=-1) / low.diagonal(dim1=-2, dim2=-1))
    return lcm_unchart(lcm_chart(p) + d)


def lcm_distance2(a: Tensor, b: Tensor) -> Tensor:
    """||chart a - chart b||_F^2 (...,)."""
    return (lcm_chart(a) - lcm_chart(b)).square().sum((-2, -1))


def lcm_geodesic(a: Tensor, b: Tensor, t: float) -> Tensor:
    """Straight line in the chart."""
    return lcm_unchart((1.0 - t) * lcm_chart(a) + t * lcm_chart(b))


def lcm_mean(x: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean of x (..., k, n, n) in the chart."""
    return lcm_unchart((_weights(x, weights) * lcm_chart(x)).sum(-3))
