"""Entropic transport plans, batched: P = diag(e^f) exp(-C / epsilon) diag(e^g) with given row and column sums (Sinkhorn's scaling).

P is the unique minimiser of <C, P> + epsilon sum_ij P_ij (log P_ij - 1) over nonnegative P (n, m) with P 1 = a and P^T 1 = b (Cuturi,
NeurIPS 2013). With a = b = 1 and C = -A it is the entropic projection of a kernel A (n, n) to the doubly stochastic matrices.

`sinkhorn` iterates until the marginals hold and differentiates the minimiser itself (implicit function theorem); `sinkhorn_steps`
takes a fixed number of half-iterations in the log domain and is differentiated step by step. Potentials f, g are in units of epsilon.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

CHUNK = 12  # iterations between two looks at the size of the scalings and at the rate


@dataclass
class Potentials:
    """f (..., n), g (..., m) of P = exp(f + g - C / epsilon), whose rows are exact; `error` the largest, over the batch, of
    |P^T 1 - b|_1 / |b|_1; `steps` iterations taken (one is a row and a column update); `plan` (..., n, m) is P itself."""

    f: Tensor
    g: Tensor
    plan: Tensor
    steps: int
    error: float


def marginals(cost: Tensor, epsilon: float, a: Tensor | None, b: Tensor | None) -> tuple[Tensor, Tensor]:
    """Checked marginals (..., n) and (..., m); null: 1 in every row, n / m in every column. ValueError names what is wrong."""
    if cost.dim() < 2 or not cost.is_floating_point() or 0 in cost.shape:
        raise ValueError(f"cost has shape {tuple(cost.shape)} and dtype {cost.dtype}; give real matrices (..., n, m)")
    if not epsilon > 0:
        raise ValueError(f"epsilon={epsilon} must be positive: without entropy the plan is not unique")
    if not bool(torch.stack(cost.detach().aminmax()).isfinite().all()):  # NaN comes through aminmax
        raise ValueError("cost has entries that are not finite; look where they come from, or give a large finite cost")
    n, m = cost.shape[-2:]
    total = float(n)
    if a is None and b is not None:
        a = b.sum(-1, keepdim=True).expand(*b.shape[:-1], n) / n
    rows = cost.new_full((n,), total / n) if a is None else a
    columns = rows.sum(-1, keepdim=True).expand(*rows.shape[:-1], m) / m if b is None else b
    for name, value, size in (("a", rows, n), ("b", columns, m)):
        if value.shape[-1:] != (size,) or not bool((value > 0).all()) or not bool(value.isfinite().all()):
            raise ValueError(
                f"{name} has shape {tuple(value.shape)} and smallest entry {float(value.min()):g}; give {size} positive finite masses, "
                "and leave out points without mass"
            )
    s, t = rows.sum(-1), columns.sum(-1)
    if not bool(((s - t).abs() <= 1e-4 * s).all()):
        raise ValueError(
            f"a sums to {float(s.max()):g} and b to {float(t.max()):g}; no plan has both: scale one of them"
        )
    return rows.to(cost.dtype), columns.to(cost.dtype)


@torch.no_grad()
def potentials(
    cost: Tensor, epsilon: float, a: Tensor | None = None, b: Tensor | None = None, *, tol: float = 1e-6, steps: int = 1000,
) -> Potentials:  # fmt: skip
    """Potentials for cost (..., n, m), iterated until the columns are within `tol` (relative, 1-norm) or `steps` are taken.

    Updates are products with a kernel that has the potentials found so far in it, so its entries are moderate (Schmitzer, SIAM J.
    Sci. Comput. 2019); where a scaling leaves the range of the dtype all the same, they are taken by logsumexp. After a plain start
    they are overrelaxed, by what is best for the rate seen there (Thibault et al., Algorithms 2021; Lehmann et al., Optim. Lett.
    2022), as long as that pays. The last row update is plain, so rows are exact.
    """
    a, b = marginals(cost, epsilon, a, b)
    far = float(torch.finfo(cost.dtype).max) ** 0.25
    low, high = cost.aminmax()
    f, g = cost[..., 0] * 0, cost[..., 0, :] * 0
    if float(high - low) < epsilon * math.log(far):
        f += low / epsilon
    else:
        f += cost.amin(-1) / epsilon
        g += (cost / epsilon - f.unsqueeze(-1)).amin(-2)
    done, before, relax = 0, float("inf"), None
    while True:
        k, u, v = _kernel(cost, epsilon, f, g).exp_(), torch.ones_like(f), torch.ones_like(g)
        while True:
            found = _scale(k, u, v, a, b, relax, tol, min(CHUNK, steps - done))
            size = float(torch.stack([x.amax() for x in (found.u, 1 / found.u, found.v, 1 / found.v)]).amax())
            if not size <= far:  # out of range, or no number at all: u and v are the last good ones
                break
            u, v, done = found.u, found.v, done + found.steps
            if found.error <= tol or done >= steps:
                k *= u.unsqueeze(-1)
                k *= v.unsqueeze(-2)
                return Potentials(f + u.log(), g + v.log(), k, done, found.error)
            if relax is None:
                relax = 2 / (1 + (1 - found.rate.clamp(0, 0.9999)).sqrt()).unsqueeze(-1)
            elif found.error > 0.5 * before:
                relax = None
            before = found.error
            if size > far**0.5:
                break
        f, g = f + u.log(), g + v.log()
        if not size <= far:
            relax = None
            for _ in range(min(CHUNK, steps - done)):
                f = f + a.log() - _kernel(cost, epsilon, f, g).logsumexp(-1)
                g = g + b.log() - _kernel(cost, epsilon, f, g).logsumexp(-2)
                done += 1
            if done >= steps:
                f = f + a.log() - _kernel(cost, epsilon, f, g).logsumexp(-1)
                k = _kernel(cost, epsilon, f, g).exp_()
                return Potentials(f, g, k, done, float(((k.sum(-2) - b).abs().sum(-1) / b.sum(-1)).max()))


def _kernel(cost: Tensor, epsilon: float, f: Tensor, g: Tensor) -> Tensor:
    """f + g - cost / epsilon (..., n, m)."""
    if bool(g.any()):
        return torch.add(f.unsqueeze(-1) + g.unsqueeze(-2), cost, alpha=-1 / epsilon)
    return torch.add(f.unsqueeze(-1), cost, alpha=-1 / epsilon)


@dataclass
class _Scaled:
    """Scalings after `steps` iterations, with exact rows; `error` of the columns and, by matrix, the `rate` at which it fell last."""

    u: Tensor
    v: Tensor
    steps: int
    error: float
    rate: Tensor


def _scale(
    k: Tensor, u: Tensor, v: Tensor, a: Tensor, b: Tensor, relax: Tensor | None, tol: float, steps: int
) -> _Scaled:
    """Up to `steps` iterations u = (a / k v)^w u^(1 - w), v likewise, with w = `relax` (..., 1), null for 1."""
    mass, kt = b.sum(-1), k.mT
    error = rate = torch.ones_like(mass)
    for done in range(1, max(1, steps) + 1):
        plain = a / (k @ v.unsqueeze(-1)).squeeze(-1)
        last = done >= steps
        u = plain if relax is None or last else plain**relax * u ** (1 - relax)
        sums = (kt @ u.unsqueeze(-1)).squeeze(-1)
        before, error = error, (v * sums - b).abs().sum(-1) / mass
        if relax is not None and not last and float(error.max()) <= tol:
            u = plain  # rows are exact again; are the columns still good?
            sums = (kt @ u.unsqueeze(-1)).squeeze(-1)
            error = (v * sums - b).abs().sum(-1) / mass
        rate = error / before
        if last or not float(error.max()) > tol:
            break
        v = b / sums if relax is None else (b / sums) ** relax * v ** (1 - relax)
    return _Scaled(u, v, done, float(error.max()), rate)


class _Implicit(torch.autograd.Function):
    """Cost -> plan with the derivative of the minimiser. With M = [[diag a, P], [P^T, diag b]] and [alpha; beta] a solution of
    M [alpha; beta] = [(P o G) 1; (P o G)^T 1] for the incoming gradient G, the gradients are -P o (G - alpha 1^T - 1 beta^T) / epsilon
    for C, alpha for a and beta for b (up to a constant, +c and -c, that no admissible change of a and b sees)."""

    @staticmethod
    def forward(ctx: Any, cost: Tensor, a: Tensor, b: Tensor, epsilon: float, tol: float, steps: int) -> Tensor:
        found = potentials(cost, epsilon, a, b, tol=tol, steps=steps)
        if not found.error <= tol:
            raise ValueError(
                f"the columns are off by {found.error:.2g} after {found.steps} iterations and tol={tol:g} is asked for: raise steps, "
                "tol or epsilon, or use sinkhorn_steps"
            )
        plan = found.plan
        ctx.save_for_backward(plan)
        ctx.epsilon, ctx.shapes = epsilon, (a.shape, b.shape)
        return plan

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (plan,) = ctx.saved_tensors
        p, pg = plan.double(), (plan * grad).double()
        a, b = p.sum(-1), p.sum(-2)  # of the plan itself: its derivative is then exact whatever the tolerance
        r, c = pg.sum(-1), pg.sum(-2)
        scaled = p / a.unsqueeze(-1)
        # the complement of diag a has the kernel 1; adding b b^T / |b| moves only that direction
        schur = torch.diag_embed(b) - p.mT @ scaled + b.unsqueeze(-1) * b.unsqueeze(-2) / b.sum(-1)[..., None, None]
        right = c - (scaled.mT @ r.unsqueeze(-1)).squeeze(-1)
        beta = torch.cholesky_solve(right.unsqueeze(-1), torch.linalg.cholesky(schur)).squeeze(-1)
        alpha = r / a - (scaled @ beta.unsqueeze(-1)).squeeze(-1)
        d_cost = (p * (alpha.unsqueeze(-1) + beta.unsqueeze(-2)) - pg) / ctx.epsilon
        like = plan.dtype
        d_a, d_b = (x.to(like).sum_to_size(s) for x, s in zip((alpha, beta), ctx.shapes, strict=True))
        return d_cost.to(like), d_a, d_b, None, None, None


def sinkhorn(
    cost: Tensor, epsilon: float, a: Tensor | None = None, b: Tensor | None = None, *, tol: float = 1e-6, steps: int = 1000,
) -> Tensor:  # fmt: skip
    """The entropic plan (..., n, m), converged; its gradient is that of the exact minimiser, at the cost of one Cholesky factor (m, m).

    Parameters
    ----------
    cost : (..., n, m), float32 or float64
    epsilon : weight of the entropy, > 0, in the unit of the cost
    a, b : row sums (..., n) and column sums (..., m), positive, with equal totals; null: 1 in each row, n / m in each column
    tol : on |P^T 1 - b|_1 / |b|_1; rows are exact up to rounding
    steps : iterations at most

    Raises
    ------
    ValueError : misshapen, non-finite or inconsistent arguments; marginals that are not reached (the remedy is named).
    """
    rows, columns = marginals(cost, epsilon, a, b)
    return _Implicit.apply(cost, rows, columns, epsilon, tol, steps)


def sinkhorn_steps(
    cost: Tensor, epsilon: float, a: Tensor | None = None, b: Tensor | None = None, *, half_steps: int = 21, detach_columns: bool = False,
) -> Tensor:  # fmt: skip
    """The plan (..., n, m) after `half_steps` alternating row and column updates from g = 0, rows first, in the log domain.

    An odd number leaves the rows exact and the columns approximate, an even one the reverse. The gradient goes through all updates,
    or, with `detach_columns`, takes g as a constant after each column update. Other parameters and errors as for `sinkhorn`.
    """
    if half_steps < 1:
        raise ValueError(f"half_steps={half_steps} must be at least 1")
    rows, columns = marginals(cost, epsilon, a, b)
    s = cost * (-1 / epsilon)
    f, g = rows.log() - s.logsumexp(-1), torch.zeros_like(columns)
    for half in range(1, half_steps):
        if half % 2:
            g = columns.log() - (s + f.unsqueeze(-1)).logsumexp(-2)
            g = g.detach() if detach_columns else g
        else:
            f = rows.log() - (s + g.unsqueeze(-2)).logsumexp(-1)
    return (s + f.unsqueeze(-1) + g.unsqueeze(-2)).exp()
