r"""Optimal transport between samples of equal mass: ground costs, entropic value, Sinkhorn divergence, Monge gap.

For cost matrices C (n, m), a = 1/n, b = 1/m, and H(P) = -sum P log P, the entropic value has two conventions:

    "ent"  min_P <C, P> - epsilon H(P)                 (that of the ott library),
    "kl"   min_P <C, P> + epsilon KL(P | a b^T)  =  ent + epsilon log(n m),

over P >= 0 with P 1 = a, P^T 1 = b. The KL form lies between the transport cost and the mean of C, and tends to them as epsilon goes to
0 and to infinity. Gradients are those of the envelope theorem: d value = <P, dC> with the plan held fixed.

Monge gap (Uscidda and Cuturi, ICML 2023) of a map with y_i = T(x_i):  (1/n) sum_i c(x_i, y_i) - W_c(x, y) >= 0, which is 0 exactly if no
other pairing of these points is cheaper. Its "ent" form exceeds the exact gap by at least epsilon log n; the KL form lies
below the exact gap by at most epsilon log n.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from models.geometry.sinkhorn import potentials

Cost = Callable[[Tensor, Tensor], Tensor]
"""c(x, y) for x (..., d), y (..., d), broadcast over the leading dimensions."""
NAMES = ("sqeuclidean", "euclidean", "power", "sphere")
TINY = 1e-12  # under roots: the distance has no gradient where two points coincide


def ground_cost(name: str, p: float = 1.5) -> Cost:
    """|x - y|^2, |x - y|, |x - y|^p, or half the squared geodesic distance on the unit sphere.

    The roots have 1e-12 added below them, so that gradients are finite where points coincide.
    """
    if name not in NAMES:
        raise ValueError(f"cost {name!r} is unknown; there is {', '.join(NAMES)}")
    if name == "power" and not p >= 1:
        raise ValueError(f"p={p} must be at least 1: below it the cost is not convex")
    if name == "sphere":
        return _half_geodesic

    def cost(x: Tensor, y: Tensor) -> Tensor:
        square = (x - y).square().sum(-1)
        if name == "sqeuclidean":
            return square
        return (square + TINY).pow(p / 2 if name == "power" else 0.5)

    return cost


def _half_geodesic(x: Tensor, y: Tensor) -> Tensor:
    """d^2 / 2, d the angle between unit vectors: 2 arcsin(|x - y| / 2), accurate for near points."""
    half = ((x - y).square().sum(-1) + TINY).sqrt() / 2
    return 2 * torch.arcsin(half.clamp(max=1 - 1e-7)).square()


def matrix(cost: Cost, x: Tensor, y: Tensor) -> Tensor:
    """C_ij = c(x_i, y_j) (n, m) of samples x (n, d), y (m, d)."""
    if x.dim() != 2 or y.dim() != 2 or x.shape[1] != y.shape[1] or not len(x) or not len(y):
        raise ValueError(
            f"samples have shapes {tuple(x.shape)} and {tuple(y.shape)}; pass (n, d) and (m, d), n, m >= 1"
        )
    return cost(x[:, None], y[None])


def entropic_cost(c: Tensor, epsilon: float, form: str = "kl", *, tol: float = 1e-4, steps: int = 1000) -> Tensor:
    """The entropic value of C (n, m) with uniform marginals, a scalar whose gradient is the plan.

    Evaluated by its dual, epsilon (a . f + b . g), a lower bound where the columns are not yet within `tol` after `steps`.
    """
    if form not in ("kl", "ent"):
        raise ValueError(f"form {form!r} is unknown; there is kl and ent")
    n, m = c.shape
    fixed = c.detach()
    found = potentials(fixed, epsilon, c.new_full((n,), 1 / n), c.new_full((m,), 1 / m), tol=tol, steps=steps)
    value = epsilon * (found.f.mean() + found.g.mean())
    if form == "kl":
        value = value + epsilon * torch.log(torch.tensor(float(n * m), dtype=c.dtype, device=c.device))
    return value + (found.plan * (c - fixed)).sum()


def monge_gap(
    cost: Cost, x: Tensor, y: Tensor, epsilon: float, form: str = "kl", *, tol: float = 1e-4, steps: int = 1000
) -> Tensor:
    """Entropic Monge gap of the pairs x_i -> y_i (n, d), differentiable in y (and x)."""
    if x.shape != y.shape:
        raise ValueError(f"x has shape {tuple(x.shape)} and its images {tuple(y.shape)}; they must be pairs")
    return cost(x, y).mean() - entropic_cost(matrix(cost, x, y), epsilon, form, tol=tol, steps=steps)


def exact_cost(c: Tensor) -> float:
    """min over permutations s of the mean of C_i,s(i) for C (n, n), by assignment, in float64."""
    from scipy.optimize import linear_sum_assignment

    if c.dim() != 2 or c.shape[0] != c.shape[1] or not bool(c.isfinite().all()):
        raise ValueError(f"C has shape {tuple(c.shape)}; pass a finite square matrix")
    values = c.detach().double().cpu().numpy()
    return float(values[linear_sum_assignment(values)].mean())


def exact_gap(cost: Cost, x: Tensor, y: Tensor) -> float:
    """Monge gap of the pairs x_i -> y_i by assignment, in float64; 0 up to rounding if no other pairing is cheaper."""
    x, y = x.detach().double(), y.detach().double()
    c = matrix(cost, x, y)
    return float(c.diagonal().mean()) - exact_cost(c)


def sinkhorn_divergence(
    cost: Cost, x: Tensor, y: Tensor, epsilon: float, *, tol: float = 1e-4, steps: int = 1000
) -> Tensor:
    """W(x, y) - W(x, x) / 2 - W(y, y) / 2 of entropic values (the conventions agree when n = m): >= 0, 0 for equal samples.

    Feydy et al., AISTATS 2019. The gradient is that of the envelope theorem in both samples.
    """
    pairs = ((x, y, 1.0), (x, x, -0.5), (y, y, -0.5))
    return torch.stack(
        [w * entropic_cost(matrix(cost, p, q), epsilon, tol=tol, steps=steps) for p, q, w in pairs]
    ).sum()
