"""Bures-Wasserstein (BW) geometry of SPD matrices and its generalisation by a metric matrix M (GBW).

Conventions (Malago, Montrucchio, Pistone 2018; Wang et al. 2025, arXiv 2504.00660): for the Lyapunov operator
L = L_P[V], P L + L P = V, the metric is g_P(V, V) = 1/2 tr(L_P[V] V) and the squared distance
d^2(A, B) = tr A + tr B - 2 tr (A^(1/2) B A^(1/2))^(1/2). Shapes are (..., n, n), batch dimensions broadcast,
float64 is meant (float32 loses half the digits of a root). Arguments are not validated here: see `check_spd`.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from models.geometry.eig import FROM_IDENTITY, TO_IDENTITY, Eig, floored, inv_sqrtm, powm, sqrtm, sym


def lyapunov(p: Tensor, v: Tensor) -> Tensor:
    """The symmetric L with p L + L p = v, p SPD, v symmetric."""
    return Eig(p).lyapunov(v)


def bw_inner(p: Tensor, v: Tensor, u: Tensor | None = None) -> Tensor:
    """g_p(v, u) = 1/2 tr(L_p[v] u) (...,); u defaults to v."""
    return 0.5 * (lyapunov(p, v) * (v if u is None else u)).sum((-2, -1))


def bw_log(p: Tensor, x: Tensor) -> Tensor:
    """Log_p(x) = (p x)^(1/2) + (x p)^(1/2) - 2 p.

    (p x)^(1/2) = p^(1/2) (p^(1/2) x p^(1/2))^(1/2) p^(-1/2).
    """
    h, hi = Eig(p).roots()
    cross = h @ sqrtm(h @ x @ h) @ hi
    return cross + cross.mT - 2.0 * p


def bw_exp(p: Tensor, v: Tensor) -> Tensor:
    """Exp_p(v) = (I + L) p (I + L), L = L_p[v]: positive semi-definite for every symmetric v."""
    step = lyapunov(p, v) + torch.eye(p.shape[-1], dtype=p.dtype, device=p.device)
    return sym(step @ p @ step)


def bw_log_identity(x: Tensor) -> Tensor:
    """Log_I(x) = 2 (x^(1/2) - I)."""
    return 2.0 * (sqrtm(x) - torch.eye(x.shape[-1], dtype=x.dtype, device=x.device))


def bw_exp_identity(v: Tensor) -> Tensor:
    """Exp_I(v) = (I + v/2)^2."""
    step = torch.eye(v.shape[-1], dtype=v.dtype, device=v.device) + 0.5 * v
    return step @ step


def bw_transport_to_identity(p: Tensor, v: Tensor) -> Tensor:
    """Parallel transport of v from p to I: factor sqrt(2 / (p_i + p_j)) in the eigenbasis of p."""
    return Eig(p).schur(v, TO_IDENTITY)


def bw_transport_from_identity(p: Tensor, v: Tensor) -> Tensor:
    """Parallel transport of v from I to p: factor sqrt((p_i + p_j) / 2) in the eigenbasis of p."""
    return Eig(p).schur(v, FROM_IDENTITY)


def bw_geodesic(a: Tensor, b: Tensor, t: float | Tensor) -> Tensor:
    """gamma(t) = (1-t)^2 a + t^2 b + t (1-t) ((a b)^(1/2) + (b a)^(1/2)), written J J^T.

    J = (1-t) a^(1/2) + t a^(-1/2) (a^(1/2) b a^(1/2))^(1/2), so the result is positive semi-definite by form.
    t is a number, or a tensor that broadcasts against (..., 1, 1).
    """
    h, hi = Eig(a).roots()
    j = (1.0 - t) * h + t * (hi @ sqrtm(h @ b @ h))
    return j @ j.mT


def _factor(a: Tensor) -> Tensor:
    """Some F with F F^T = a: Cholesky, or the symmetric root where a matrix is only semi-definite."""
    low, info = torch.linalg.cholesky_ex(a)
    return low if bool((info == 0).all()) else sqrtm(a)


def bw_distance2(a: Tensor, b: Tensor) -> Tensor:
    """d^2(a, b) (...,) = tr a + tr b - 2 sum_i sqrt(lambda_i(F^T b F)), a = F F^T.

    One Cholesky factorisation and eigenvalues only, instead of two square roots. The subtraction leaves an
    absolute error of about 1e-15 (tr a + tr b); the result is clamped at 0. The gradient needs eigenvectors
    but no eigenvalue gaps, so ties are harmless; at a = b it is 0.
    """
    f = _factor(a)
    w = torch.linalg.eigvalsh(f.mT @ b @ f)
    if w.requires_grad:
        # forward value sqrt(max(w, 0)), finite derivative at 0
        floor = floored(w.detach())
        safe = torch.where(w >= floor, w, floor)
        root = safe.sqrt() + (w.detach().clamp_min(0.0).sqrt() - safe.detach().sqrt())
    else:
        root = w.clamp_min(0.0).sqrt()
    trace = a.diagonal(dim1=-2, dim2=-1).sum(-1) + b.diagonal(dim1=-2, dim2=-1).sum(-1)
    return (trace - 2.0 * root.sum(-1)).clamp_min(0.0)


def bw_distance(a: Tensor, b: Tensor) -> Tensor:
    """d(a, b) (...,); its gradient is infinite where a = b, use `bw_distance2` in losses."""
    return bw_distance2(a, b).sqrt()


def bw_mean(x: Tensor, weights: Tensor | None = None, n_iter: int = 50, tol: float = 1e-12) -> Tensor:
    """Frechet mean of x (..., k, n, n) over k, from the arithmetic mean.

    Fixed point of Alvarez-Esteban et al. (2016):
    G <- G^(-1/2) ( sum_i w_i (G^(1/2) x_i G^(1/2))^(1/2) )^2 G^(-1/2). Any factor G = F F^T gives the same
    iterate: with S = sum_i w_i (F^T x_i F)^(1/2) the next factor is F^(-T) S, so a step costs one batched
    eigendecomposition and one n x n solve. It converges linearly; where no gradient is asked for and x is one
    batch, Newton steps replace it as soon as they are short (`_newton_step`), which halves the number of
    eigendecompositions. With a gradient the fixed point is unrolled.

    Parameters
    ----------
    x : Tensor (..., k, n, n)
        SPD matrices; their arithmetic mean must be positive definite.
    weights : Tensor (k,), optional
        Non-negative weights, normalised here; equal by default.
    n_iter : int
        Largest number of steps; n_iter=1 is the one-step fixed-point mean of the batch norm layers.
    tol : float
        Stop when the relative residual r = ||S - F^T F|| / ||S|| of the fixed point equation is at most tol
        (the step is still taken), or before a Newton step whose predicted residual, 10 r^2 plus that of its
        linear solve, is.

    Returns
    -------
    Tensor (..., n, n)
    """
    k = x.shape[-3]
    if weights is None:
        wt = torch.full((k, 1, 1), 1.0 / k, dtype=x.dtype, device=x.device)
    else:
        wt = (weights / weights.sum()).reshape(k, 1, 1).to(x)
    newton = x.dim() == 3 and n_iter > 1 and not (x.requires_grad and torch.is_grad_enabled())
    f = torch.linalg.cholesky((wt * x).sum(-3))
    for _ in range(n_iter):
        e = Eig(f.mT.unsqueeze(-3) @ x @ f.unsqueeze(-3))
        s = (wt * e.sqrt()).sum(-3)
        done, low = False, None
        if n_iter > 1:
            residual = (s - f.mT @ f).detach()
            gap = (torch.linalg.matrix_norm(residual) / torch.linalg.matrix_norm(s.detach())).amax()
            done = bool(gap <= tol)
            if newton and gap < 0.1:
                low, predicted = _newton_step(e, s, wt, residual, float(gap), tol)
                done = done or predicted <= tol
        f = torch.linalg.solve(f.mT, s) if low is None else f @ low
        if done:
            break
    return f @ f.mT


def _newton_step(
    e: Eig, s: Tensor, wt: Tensor, residual: Tensor, gap: float, tol: float
) -> tuple[Tensor | None, float]:
    """Cholesky factor of I + D for the Newton step M <- F (I + D) F^T of the mean, and predicted residual.

    The factor is None if the step is too long to be trusted.

    The mean solves sum_i w_i T_i = I for the transport maps T_i M T_i = x_i. With S_i = F^T T_i F the
    derivative of S_i at dM = F D F^T is -E_i, S_i E_i + E_i S_i = S_i D S_i, so D solves H[D] = sum_i w_i E_i
    = S - F^T F. H is positive definite; conjugate gradients, preconditioned by the same operator for one
    matrix S, need few products.
    """
    k, n, _ = e.q.shape
    r = floored(e.w).sqrt()
    inverse = 1.0 / r
    weight = wt / (inverse.unsqueeze(-1) + inverse.unsqueeze(-2))  # r_a r_b / (r_a + r_b)
    flat = e.q.transpose(0, 1).reshape(n, k * n)

    def hessian(d: Tensor) -> Tensor:
        inner = weight * (e.q.mT @ (d @ e.q))
        return (e.q @ inner).transpose(0, 1).reshape(n, k * n) @ flat.mT

    ws, qs = torch.linalg.eigh(sym(s))
    inverse = 1.0 / floored(ws)
    scale = inverse.unsqueeze(-1) + inverse.unsqueeze(-2)
    d, rest = torch.zeros_like(s), sym(residual)
    goal = min(0.1, max(gap, 0.3 * tol / max(gap, tol)))  # relative, as accurate as the quadratic error or tol ask for
    size, left = max(float(rest.norm()), torch.finfo(s.dtype).tiny), 1.0
    rho_old, p = None, None
    for _ in range(12):
        z = qs @ (scale * (qs.mT @ rest @ qs)) @ qs.mT
        rho = (rest * z).sum()
        p = z if p is None else z + (rho / rho_old) * p
        hp = hessian(p)
        alpha = rho / (p * hp).sum()
        d, rest, rho_old = d + alpha * p, rest - alpha * hp, rho
        left = float(rest.norm()) / size
        if not left > goal:
            break
    if not float(d.norm()) < 0.5:  # I + D is positive definite below 1; NaN is refused too
        return None, math.inf
    return torch.linalg.cholesky(torch.eye(n, dtype=s.dtype, device=s.device) + sym(d)), gap * (10.0 * gap + left)


def gbw_chart(x: Tensor, m: Tensor | None = None, theta: float = 1.0) -> Tensor:
    """m^(-1/2) x^theta m^(-1/2): the isometry from the (power-deformed) GBW space to the BW space."""
    z = x if theta == 1.0 else powm(x, theta)
    if m is None:
        return z
    c = inv_sqrtm(m)
    return sym(c @ z @ c)


def gbw_unchart(z: Tensor, m: Tensor | None = None, theta: float = 1.0) -> Tensor:
    """(m^(1/2) z m^(1/2))^(1/theta): inverse of `gbw_chart`."""
    if m is not None:
        h = sqrtm(m)
        z = sym(h @ z @ h)
    return z if theta == 1.0 else powm(z, 1.0 / theta)


def gbw_distance2(a: Tensor, b: Tensor, m: Tensor | None = None, theta: float = 1.0) -> Tensor:
    """theta^(-2) d^2_BW(chart a, chart b) (...,)."""
    return bw_distance2(gbw_chart(a, m, theta), gbw_chart(b, m, theta)) / theta**2


def gbw_log(p: Tensor, x: Tensor, m: Tensor) -> Tensor:
    """m^(1/2) Log_{chart p}(chart x) m^(1/2), the logarithm under the metric matrix m (theta = 1)."""
    h, c = Eig(m).roots()
    return sym(h @ bw_log(sym(c @ p @ c), sym(c @ x @ c)) @ h)


def gbw_exp(p: Tensor, v: Tensor, m: Tensor) -> Tensor:
    """Inverse of `gbw_log` in its second argument."""
    h, c = Eig(m).roots()
    return sym(h @ bw_exp(sym(c @ p @ c), sym(c @ v @ c)) @ h)


def gbw_geodesic(a: Tensor, b: Tensor, t: float, m: Tensor | None = None, theta: float = 1.0) -> Tensor:
    """Geodesic from a (t = 0) to b (t = 1)."""
    return gbw_unchart(bw_geodesic(gbw_chart(a, m, theta), gbw_chart(b, m, theta), t), m, theta)


def gbw_mean(
    x: Tensor,
    m: Tensor | None = None,
    theta: float = 1.0,
    weights: Tensor | None = None,
    n_iter: int = 50,
    tol: float = 1e-12,
) -> Tensor:
    """Frechet mean of x (..., k, n, n) over k; see `bw_mean`."""
    return gbw_unchart(bw_mean(gbw_chart(x, m, theta), weights, n_iter, tol), m, theta)
