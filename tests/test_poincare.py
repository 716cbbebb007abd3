"""The Poincare ball: closed forms, limits and gradients, in float64; geoopt as an independent implementation."""

from __future__ import annotations

import math

import pytest
import torch

from models.geometry import poincare as ball

F64 = torch.float64
CURVATURES = [0.01, 0.05, 0.1, 1.0]


def randn(*shape, seed=0):
    return torch.randn(shape, dtype=F64, generator=torch.Generator().manual_seed(seed))


def points(n=20, d=5, c=1.0, reach=2.0, seed=0):
    """Points at geodesic radii up to 2 `reach` / sqrt(c)."""
    return ball.exp0(tangents(n, d, reach / c**0.5, seed), c)


def tangents(n=20, d=5, reach=1.0, seed=0):
    """Vectors of lengths up to `reach` in random directions."""
    u = randn(n, d, seed=seed)
    return u / u.norm(dim=1, keepdim=True) * torch.linspace(0.025, 1.0, n, dtype=F64)[:, None] * reach


def worst(a, b):
    return float((a - b).detach().abs().max())


@pytest.mark.parametrize("c", CURVATURES)
def test_exp_and_log_at_the_origin(c):
    """d(0, exp0(u)) = 2|u| and log0(exp0(u)) = u to 1e-10, for sqrt(c)|u| < 3."""
    u = randn(30, 4)
    u = u / u.norm(dim=1, keepdim=True) * torch.linspace(1e-6, 2.99, 30, dtype=F64)[:, None] / c**0.5
    x = ball.exp0(u, c)
    assert worst(ball.distance(torch.zeros_like(x), x, c) / (2 * u.norm(dim=1)), torch.ones(30)) < 1e-10
    assert worst(ball.log0(x, c), u) < 1e-10
    assert worst(ball.distance_by_addition(torch.zeros_like(x), x, c, 0.0), 2 * u.norm(dim=1)) < 1e-9


@pytest.mark.parametrize("c", CURVATURES)
def test_left_cancellation(c):
    """(-x) + (x + y) = y exactly; with the 1e-5 of the released code to 1e-4 for c <= .1 and to 1e-2 at c = 1."""
    x, y = points(c=c), points(c=c, seed=1)
    assert worst(ball.mobius_add(-x, ball.mobius_add(x, y, c), c), y) < 1e-10
    x, y = ball.exp0(tangents(), c), ball.exp0(tangents(seed=1), c)
    gap = worst(ball.mobius_add(-x, ball.mobius_add(x, y, c, 1e-5), c, 1e-5), y)
    assert 0 < gap < (1e-4 if c <= 0.1 else 1e-2)


@pytest.mark.parametrize("c", CURVATURES)
def test_distance(c):
    """Symmetric, the arccosh form to 1e-10, the form by Moebius addition exactly, with slack to 1e-4 (2e-3 at c = 1)."""
    x, y = points(c=c, reach=1.5), points(c=c, reach=1.5, seed=1)
    d = ball.distance(x, y, c)
    delta = (x - y).square().sum(1) / ((1 - c * x.square().sum(1)) * (1 - c * y.square().sum(1)))
    assert worst(d / (torch.arccosh(1 + 2 * c * delta) / c**0.5), torch.ones(20)) < 1e-10
    assert worst(d, ball.distance(y, x, c)) < 1e-14
    assert worst(ball.distance_by_addition(x, y, c, 0.0), d) < 1e-10
    x, y = ball.exp0(tangents(), c), ball.exp0(tangents(seed=1), c)
    released, d = ball.distance_by_addition(x, y, c), ball.distance(x, y, c)
    assert 0 < worst(released / d, torch.ones(20)) < (1e-4 if c <= 0.1 else 2e-3)
    assert worst(ball.pairwise_distance(x, y, c).diagonal(), d) < 1e-13
    far = torch.tensor([[1.0], [-1.0]], dtype=F64) * (1 - 1e-9) / c**0.5
    assert float(ball.distance_by_addition(far[0], far[1], c)) == pytest.approx(2 / c**0.5 * math.atanh(1 - 1e-5), 1e-9)


@pytest.mark.parametrize("c", CURVATURES)
def test_triangle_inequality_and_left_translation(c):
    """Distances are those of a metric space and do not change when all points are translated by z (+)."""
    x, y, z = points(c=c), points(c=c, seed=1), points(c=c, seed=2)
    d = ball.pairwise_distance(x, x, c)
    through = (d[:, :, None] + d[None]).amin(1)  # the shortest way over a third point
    assert float((d - through).max()) < 1e-10
    moved = ball.distance(ball.mobius_add(z, x, c), ball.mobius_add(z, y, c), c)
    assert worst(moved, ball.distance(x, y, c)) < 1e-8


@pytest.mark.parametrize("c", CURVATURES)
def test_against_geoopt(c):
    """The same numbers as geoopt's ball: distance, exponential map, Moebius addition and matrix product."""
    geoopt = pytest.importorskip("geoopt")
    other = geoopt.PoincareBall(c=c).double()
    x, y, w = points(c=c, reach=1.2), points(c=c, reach=1.2, seed=1), randn(3, 5, seed=2)
    tol = 1e-6 / c**0.5  # geoopt keeps c in single precision
    assert worst(ball.distance(x, y, c), other.dist(x, y)) < 5 * tol
    assert worst(ball.mobius_add(x, y, c), other.mobius_add(x, y)) < tol
    assert worst(ball.matvec(w, x, c), other.mobius_matvec(w, x, project=False)) < tol
    assert worst(ball.exp0(randn(9, 4), c), other.expmap0(randn(9, 4), project=False)) < tol


@pytest.mark.parametrize("c", CURVATURES)
def test_radius_of_clipped_features(c):
    """|M(u)| <= tanh(sqrt(c) r) / sqrt(c); the length of a clipped vector has gradient 0; angles stay."""
    r = 0.9 / c**0.5
    u = tangents(40, 6, 2 * r).requires_grad_()
    m = ball.to_ball(u, c, r)
    assert float(m.detach().norm(dim=1).max()) <= math.tanh(c**0.5 * r) / c**0.5 + 1e-12
    (grad,) = torch.autograd.grad((m * randn(40, 6, seed=3)).sum(), u)
    cut = u.detach().norm(dim=1) > r
    along = ((grad * u).sum(1) / u.norm(dim=1)).detach()
    assert cut.sum() > 5 and float(along[cut].abs().max()) < 1e-12 < float(along[~cut].abs().max())
    cosine = torch.nn.functional.cosine_similarity
    assert worst(cosine(m[:20], m[20:]), cosine(u[:20], u[20:])) < 1e-6
    assert float(ball.to_ball(1e3 * u.detach(), c).norm(dim=1).max()) <= (1 - ball.EDGE) / c**0.5 * (1 + 1e-12)


def test_flat_limit():
    """c = 1e-6: dist -> 2|x - y| and the linear layer -> W z + b to 1e-4; with the bias added at c = 1 it is another layer."""
    c, x, y = 1e-6, randn(10, 4), randn(10, 4, seed=1)
    w, b = 0.4 * randn(3, 4, seed=2), 0.4 * randn(3, seed=3)
    assert worst(ball.distance(x, y, c), 2 * (x - y).norm(dim=1)) < 1e-4
    assert worst(ball.linear(w, b, x, c), x @ w.mT + b) < 1e-4
    assert worst(ball.linear(w, b, x, c, "official"), x @ w.mT + b) > 1e-2
    assert (
        worst(ball.linear(w, b, ball.exp0(x, 1.0), 1.0, "official"), ball.linear(w, b, ball.exp0(x, 1.0), 1.0)) < 1e-4
    )


@pytest.mark.parametrize("c", CURVATURES)
def test_matrix_product(c):
    """W = identity is the identity to 1e-12; 0 goes to 0 with finite gradients, whether the point or its image is 0."""
    x = points(c=c)
    assert worst(ball.matvec(torch.eye(5, dtype=F64), x, c), x) < 1e-12
    ratio = c**0.5 * x.norm(dim=1, keepdim=True)
    w = randn(3, 5, seed=4)
    wx = x @ w.mT
    size = wx.norm(dim=1, keepdim=True)
    written = torch.tanh(size / x.norm(dim=1, keepdim=True) * torch.atanh(ratio)) * wx / (size * c**0.5)
    assert worst(ball.matvec(w, x, c), written) < 1e-12
    for point, weight in ((torch.zeros(2, 5), w), (x[:2], torch.zeros(3, 5)), (torch.zeros(2, 5), torch.zeros(3, 5))):
        z, v = point.to(F64).clone().requires_grad_(), weight.to(F64).clone().requires_grad_()
        out = ball.matvec(v, z, c)
        assert float(out.detach().abs().max()) == 0
        grads = torch.autograd.grad(out.sum(), (z, v))
        assert all(bool(g.isfinite().all()) for g in grads)
    z = torch.zeros(1, 5, dtype=F64, requires_grad=True)
    (at_zero,) = torch.autograd.grad(ball.matvec(w, z, c)[0, 0], z)
    assert worst(at_zero[0], w[0]) < 1e-12  # the derivative at 0 is W


@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_gradients_are_finite_everywhere(dtype):
    """At coinciding points, at the origin, on and beyond the edge."""
    u = torch.tensor(
        [[0.0, 0.0], [0.0, 0.0], [1e-20, 0.0], [3.0, 1.0], [1e4, 1e4], [1e4, 1e4]], dtype=dtype
    ).requires_grad_()
    for make in (
        lambda: ball.pairwise_distance(*2 * [ball.to_ball(u, 1.0)], 1.0),
        lambda: ball.log0(ball.exp0(u, 1.0), 1.0),
    ):
        out = make()
        (grad,) = torch.autograd.grad(out.sum(), u)
        assert bool(out.isfinite().all()) and bool(grad.isfinite().all())
    x = 0.3 * randn(4, 3)
    assert torch.autograd.gradcheck(
        lambda a, b: ball.pairwise_distance(a, b, 0.7), (x.requires_grad_(), 0.3 * randn(5, 3).requires_grad_())
    )
    assert torch.autograd.gradcheck(
        lambda a, w, b: ball.linear(w, b, ball.to_ball(a, 0.7, 2.0), 0.7),
        (x, randn(2, 3).requires_grad_(), randn(2).requires_grad_()),
    )


def test_bad_curvature():
    for c in (0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="must be a positive number"):
            ball.exp0(randn(2, 2), c)
    with pytest.raises(ValueError, match="use paper or official"):
        ball.linear(randn(2, 2), randn(2), randn(1, 2), 0.1, "other")
