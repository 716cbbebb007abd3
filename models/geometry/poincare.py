"""The Poincare ball {x in R^d : c |x|^2 < 1} of curvature -c, with metric 4 / (1 - c |x|^2)^2 times the Euclidean one.

Points are the last axis of a tensor, any axes before it are a batch; c is a positive number. Everything is differentiable with finite
gradients everywhere, at the origin and at coinciding points too (there the value 0 of the subgradient is taken).

Formulas: Ungar (2008); Ganea, Becigneul and Hofmann, "Hyperbolic neural networks", NeurIPS 2018. `slack` is a number that some
released implementations add to a denominator or use as a clamp; 0 is the mathematics.
"""

from __future__ import annotations

import torch
from torch import Tensor

EDGE = 1e-3  # points are kept within (1 - EDGE) / sqrt(c), where single precision still tells radii apart
TINY = 1e-15  # below it a norm is taken for 0: x / |x| has no meaning there


def curvature(c: float) -> float:
    """c as a positive float. Raises ValueError for anything else: the ball of curvature 0 is Euclidean space."""
    if not (isinstance(c, (int, float)) and 0 < c < float("inf")):
        raise ValueError(
            f"curvature c={c} must be a positive number: the ball has curvature -c; take a small c for a flat space"
        )
    return float(c)


def _norm(x: Tensor) -> Tensor:
    """|x| along the last axis, kept, at least TINY; its gradient at 0 is 0."""
    return torch.linalg.vector_norm(x, dim=-1, keepdim=True).clamp_min(TINY)


def mobius_add(x: Tensor, y: Tensor, c: float, slack: float = 0.0) -> Tensor:
    """x (+) y = [(1 + 2c<x,y> + c|y|^2) x + (1 - c|x|^2) y] / [1 + 2c<x,y> + c^2 |x|^2 |y|^2 + slack], shapes broadcast."""
    c = curvature(c)
    xy, xx, yy = (x * y).sum(-1, keepdim=True), x.square().sum(-1, keepdim=True), y.square().sum(-1, keepdim=True)
    top = (1 + 2 * c * xy + c * yy) * x + (1 - c * xx) * y
    return top / (1 + 2 * c * xy + c * c * xx * yy + slack)


def distance(x: Tensor, y: Tensor, c: float) -> Tensor:
    """Geodesic distance (...) of points (..., d): (1/sqrt c) arccosh(1 + 2c|x-y|^2 / ((1-c|x|^2)(1-c|y|^2))).

    Written as (2/sqrt c) arsinh(sqrt(c) |x-y| / sqrt(...)), which keeps its digits for near points.
    """
    c = curvature(c)
    apart = torch.linalg.vector_norm(x - y, dim=-1)
    return _from_chord(apart, _gap(x, c).squeeze(-1) * _gap(y, c).squeeze(-1), c)


def pairwise_distance(x: Tensor, y: Tensor, c: float) -> Tensor:
    """Distances (n, m) of all pairs of points (n, d) and (m, d), without a tensor of n m d entries."""
    c = curvature(c)
    apart = torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")  # exact at 0, where its gradient is 0
    return _from_chord(apart, _gap(x, c) * _gap(y, c).mT, c)


def _gap(x: Tensor, c: float) -> Tensor:
    """1 - c |x|^2, positive inside the ball and kept so on its edge."""
    return (1 - c * x.square().sum(-1, keepdim=True)).clamp_min(torch.finfo(x.dtype).eps)


def _from_chord(apart: Tensor, gaps: Tensor, c: float) -> Tensor:
    return (2 / c**0.5) * torch.asinh(c**0.5 * apart / gaps.sqrt())


def distance_by_addition(x: Tensor, y: Tensor, c: float, slack: float = 1e-5) -> Tensor:
    """The same distance as (2/sqrt c) artanh(sqrt(c) |(-x) (+) y|), with `slack` in the denominator and as the clamp 1 - slack.

    The formula of the released code; distances above (2/sqrt c) artanh(1 - slack) are cut off there. Shapes broadcast, so all pairs
    need a tensor of n m d entries.
    """
    c = curvature(c)
    t = c**0.5 * torch.linalg.vector_norm(mobius_add(-x, y, c, slack), dim=-1)
    return (2 / c**0.5) * torch.atanh(t.clamp_max(1 - max(slack, torch.finfo(x.dtype).eps)))


def exp0(u: Tensor, c: float) -> Tensor:
    """Exponential map at the origin: tanh(sqrt(c)|u|) u / (sqrt(c)|u|); tangent vectors u are measured so that d(0, exp0(u)) = 2|u|."""
    t = curvature(c) ** 0.5 * _norm(u)
    return u * (torch.tanh(t) / t)


def log0(y: Tensor, c: float) -> Tensor:
    """Inverse of `exp0`: artanh(sqrt(c)|y|) y / (sqrt(c)|y|)."""
    t = curvature(c) ** 0.5 * _norm(y)
    return y * (torch.atanh(t.clamp_max(1 - torch.finfo(y.dtype).eps)) / t)


def project(x: Tensor, c: float) -> Tensor:
    """x, with points beyond the radius (1 - EDGE) / sqrt(c) moved back to it along their ray."""
    return clip(x, (1 - EDGE) / curvature(c) ** 0.5)


def clip(u: Tensor, radius: float, slack: float = 0.0) -> Tensor:
    """u min(1, radius / (|u| + slack)): vectors longer than `radius` are cut to it, and their length gets no gradient."""
    return u * (radius / (_norm(u) + slack)).clamp_max(1.0)


def to_ball(u: Tensor, c: float, radius: float | None = None, slack: float = 0.0) -> Tensor:
    """M(u) = project(exp0(clip(u))): features of a network (..., d) as points of the ball. `radius` None: not clipped."""
    return project(exp0(u if radius is None else clip(u, radius, slack), c), c)


def matvec(weight: Tensor, x: Tensor, c: float) -> Tensor:
    """Moebius matrix-vector product (..., k) of weight (k, d) and points (..., d): exp0(weight log0(x)).

    Equals tanh(|Wx|/|x| artanh(sqrt(c)|x|)) Wx / (|Wx| sqrt(c)), and stays differentiable where Wx or x is 0.
    """
    return exp0(log0(x, c) @ weight.mT, c)


def linear(weight: Tensor, bias: Tensor, x: Tensor, c: float, bias_curvature: str = "paper") -> Tensor:
    """Hyperbolic linear layer, project(W x (+) exp0(b)): points (..., d), weight (k, d), bias (k,) -> points (..., k).

    `bias_curvature` "paper" adds the bias in the ball of curvature c; "official" follows the released code, whose addition is that of
    the ball c = 1 (with 1e-5 in the denominator, needed since points of a flatter ball lie outside of it).
    """
    if bias_curvature not in ("paper", "official"):
        raise ValueError(f"bias_curvature={bias_curvature!r} is unknown; use paper or official")
    product, shift = project(matvec(weight, x, c), c), exp0(bias, c)
    if bias_curvature == "official":
        return project(mobius_add(product, shift, 1.0, slack=1e-5), c)
    return project(mobius_add(product, shift, c), c)
