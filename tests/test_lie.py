"""GL+(n), SL(n), SO(n) and the affine group: bases, decompositions, charts, sampling and measures; warps of images by them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from models.geometry import lie, warps
from models.geometry.lie import Affine

F64 = torch.float64
GROUPS = ("gl2", "sl2", "so2", "gl3", "sl3", "so3", "gl4", "sl4", "so5")
R = math.sqrt(0.5)


def elements(group: str, count: int = 200, seed: int = 0) -> torch.Tensor:
    """Random elements, far from and near to the identity."""
    kind, n = lie.parse(group)
    generator = torch.Generator().manual_seed(seed)
    if kind == "so":
        return lie.haar_n(count, n, generator)
    g = torch.randn(count, n, n, dtype=F64, generator=generator)
    g[torch.linalg.det(g) < 0, 0] *= -1
    if kind == "sl":
        g = g / torch.linalg.det(g)[:, None, None] ** (1 / n)
    return g


# ------------------------------------------------------------------------------------------ algebra and decompositions


@pytest.mark.parametrize("group", GROUPS)
def test_bases_are_orthonormal_and_hat_inverts_vee(group):
    """Gram matrix of tr(X^T Y) = I; vee(hat v) = v; the span has the dimension of the group and lies in its algebra."""
    kind, n = lie.parse(group)
    b = lie.basis(group)
    assert len(b) == {"gl": n * n, "sl": n * n - 1, "so": n * (n - 1) // 2}[kind] == lie.dimension(group)
    gram = torch.einsum("iab,jab->ij", b, b)
    assert (gram - torch.eye(len(b), dtype=F64)).abs().max() < 1e-15
    v = torch.randn(7, len(b), dtype=F64, generator=torch.Generator().manual_seed(1))
    assert (lie.vee(lie.hat(v, group), group) - v).abs().max() < 1e-14
    if kind == "sl":
        assert b.diagonal(dim1=1, dim2=2).sum(-1).abs().max() < 1e-15
    if kind == "so":
        assert torch.equal(b, -b.mT)


def test_bases_of_the_plane_are_those_of_the_paper():
    gl2 = [[[1, 0], [0, 0]], [[0, R], [R, 0]], [[0, 0], [0, 1]], [[0, -R], [R, 0]]]
    sl2 = [[[0, R], [R, 0]], [[0, -R], [R, 0]], [[R, 0], [0, -R]]]
    for group, expected in (("gl2", gl2), ("sl2", sl2), ("so2", [gl2[3]])):
        assert (lie.basis(group) - torch.tensor(expected, dtype=F64)).abs().max() < 1e-15


@pytest.mark.parametrize("group", ["gl2", "sl2", "gl3", "sl3", "gl4"])
def test_polar_decomposition(group):
    """exp(log P) R = g to 1e-12 of |g|; P symmetric positive definite, P^2 = g g^T, R in SO(n); det P = 1 in SL."""
    g = elements(group)
    log_p, p, r = lie.polar(g)
    scale = g.flatten(1).norm(dim=1).clamp_min(1)[:, None, None]
    assert ((torch.linalg.matrix_exp(log_p) @ r - g) / scale).abs().max() < 1e-12
    assert ((p @ r - g) / scale).abs().max() < 1e-13
    assert ((p - p.mT) / scale).abs().max() < 1e-13 and (torch.linalg.eigvalsh(p) > 0).all()
    assert ((p @ p - g @ g.mT) / scale**2).abs().max() < 1e-13
    eye = torch.eye(g.shape[-1], dtype=F64)
    assert (r.mT @ r - eye).abs().max() < 1e-13 and (torch.linalg.det(r) - 1).abs().max() < 1e-12
    if group.startswith("sl"):
        assert log_p.diagonal(dim1=1, dim2=2).sum(-1).abs().max() < 1e-12
        assert (torch.linalg.det(torch.linalg.matrix_exp(log_p)) - 1).abs().max() < 1e-11


def test_polar_keeps_its_accuracy_where_g_g_t_would_lose_it():
    """cond(g) = 1e10: the smallest singular value survives to 1e-6 of itself; from eigenvalues of g g^T it could not."""
    k1, k2 = lie.haar_n(2, 2, torch.Generator().manual_seed(0))
    g = k1 @ torch.diag(torch.tensor([1e5, 1e-5], dtype=F64)) @ k2
    assert (lie.polar(g[None]).log_p[0] @ k1[:, 1] + 5 * math.log(10) * k1[:, 1]).norm() < 1e-4


@pytest.mark.parametrize("group", ["gl2", "sl2", "gl3", "sl4"])
def test_iwasawa_and_cartan(group):
    """g = K A N and g = K1 A K2: factors of the stated kind, their product g to 1e-12."""
    g = elements(group)
    n = g.shape[-1]
    eye = torch.eye(n, dtype=F64)
    k, a, u = lie.iwasawa(g)
    assert (k * a.unsqueeze(-2) @ u - g).abs().max() < 1e-12
    assert (a > 0).all() and (u.diagonal(dim1=1, dim2=2) - 1).abs().max() < 1e-13 and u.tril(-1).abs().max() < 1e-12
    k1, a2, k2 = lie.cartan(g)
    assert ((k1 * a2.unsqueeze(-2)) @ k2 - g).abs().max() < 1e-12 and (a2.diff(dim=-1) <= 0).all()
    for q in (k, k1, k2):
        assert (q.mT @ q - eye).abs().max() < 1e-13 and (torch.linalg.det(q) - 1).abs().max() < 1e-12
    if group.startswith("sl"):
        assert (a.prod(-1) - 1).abs().max() < 1e-12 * 1e3 and (a2.prod(-1) - 1).abs().max() < 1e-9


@pytest.mark.parametrize("group", ["gl2", "sl2", "so2", "gl3", "sl3", "so3", "so4", "so5"])
def test_the_chart_is_a_bijection(group):
    """xi(xi^-1(g)) = g to 1e-12; xi^-1(xi(v)) = v for small v; xi^-1(exp S) = vee(S) for symmetric S; xi^-1(I) = 0."""
    g = elements(group)
    scale = g.flatten(1).norm(dim=1).clamp_min(1)[:, None, None]
    assert ((lie.xi(lie.xi_inverse(g, group), group) - g) / scale).abs().max() < 1e-12
    generator = torch.Generator().manual_seed(3)
    v = 0.4 * torch.rand(50, lie.dimension(group), dtype=F64, generator=generator)
    assert (lie.xi_inverse(lie.xi(v, group), group) - v).abs().max() < 1e-12
    n = lie.parse(group)[1]
    assert lie.xi_inverse(torch.eye(n, dtype=F64)[None], group).abs().max() == 0
    even = torch.tensor(lie.is_symmetric(group))
    if even.any():
        s = lie.hat(torch.randn(50, len(even), dtype=F64, generator=generator) * even, group)
        assert (lie.xi_inverse(torch.linalg.matrix_exp(s), group) - lie.vee(s, group)).abs().max() < 1e-11


@pytest.mark.parametrize("n", [3, 4, 6])
def test_rotation_log(n):
    """exp(log R) = R with log R antisymmetric; scipy's principal logarithm agrees; repeated and tiny angles are no exception."""
    from scipy.linalg import logm

    r = lie.haar_n(40, n, torch.Generator().manual_seed(n))
    log = lie.rotation_log(r)
    assert (log + log.mT).abs().max() < 1e-13 and (torch.linalg.matrix_exp(log) - r).abs().max() < 1e-12
    assert np.abs(log[0].numpy() - logm(r[0].numpy()).real).max() < 1e-9
    twice = torch.zeros(n, n, dtype=F64)
    for i in range(0, n - 1, 2):
        twice[i, i + 1], twice[i + 1, i] = -0.7, 0.7
    for a in (twice, 1e-9 * twice, 3.0 / 0.7 * twice):
        q = r[1] @ a @ r[1].mT
        assert (lie.rotation_log(torch.linalg.matrix_exp(q)[None])[0] - q).abs().max() < 1e-12
    half = torch.eye(n, dtype=F64)
    half[0, 0] = half[1, 1] = -1
    with pytest.raises(ValueError, match="not unique"):
        lie.rotation_log(half[None])


@pytest.mark.parametrize(
    "entries", [[[-2.0, 0.0], [0.0, -0.5]], [[-1.0, 1.0], [0.0, -1.0]], [[-3.0, 5.0], [1.0, -2.0]]]
)
def test_matrices_without_a_real_logarithm(entries):
    """In SL(2), with no real logarithm: the chart is finite there and inverts exactly."""
    g = torch.tensor(entries, dtype=F64)[None]
    assert abs(float(torch.linalg.det(g)) - 1) < 1e-14
    assert float(torch.linalg.eigvals(g).real.min()) < 0  # negative: no real logarithm by repetition of Jordan blocks
    for group in ("sl2", "gl2"):
        v = lie.xi_inverse(g, group)
        assert torch.isfinite(v).all() and (lie.xi(v, group) - g).abs().max() < 1e-13


def test_angles_lie_in_a_half_open_turn():
    """[0, 2 pi); rotations by -1e-7 and -0 have the angle 0, not 2 pi; the coordinate is the angle itself."""
    theta = torch.tensor([0.0, -0.0, -1e-7, 1e-3, math.pi, -math.pi, -1e-3, 1.5 * math.pi], dtype=F64)
    found = lie.angle(lie.plane_rotation(theta))
    assert found[:3].abs().max() == 0 and (found >= 0).all() and (found < 2 * math.pi).all()
    assert ((found - theta).remainder(2 * math.pi).sub(math.pi).abs() - math.pi).abs().max() < 1e-6
    v = lie.xi_inverse(lie.plane_rotation(theta), "sl2")
    assert (v[:, 1] - found).abs().max() < 1e-14 and v[:, ::2].abs().max() < 1e-14


# ------------------------------------------------------------------------------------------ sampling and measures


@pytest.mark.parametrize("group", ["sl2", "gl2", "so2", "sl3", "gl3"])
def test_sampled_pairs_are_inverse(group):
    """g g^-1 = I to 1e-14 times the size of the factors; det g = 1 in SL to 1e-13."""
    s = lie.sample(300, group, sampler="haar", generator=torch.Generator().manual_seed(0))
    eye = torch.eye(s.g.shape[-1], dtype=F64)
    size = (s.g.flatten(1).norm(dim=1) * s.inverse.flatten(1).norm(dim=1))[:, None, None]
    assert ((s.g @ s.inverse - eye) / size).abs().max() < 1e-14
    if not group.startswith("gl"):
        assert (torch.linalg.det(s.g) - 1).abs().max() < 1e-13


def test_the_law_of_samples():
    """Symmetric coordinates of g g^T have the variance asked for; equidistant rotations differ, with both ends two coincide."""
    s = lie.sample(40000, "gl2", variance=0.1, sampler="uniform", generator=torch.Generator().manual_seed(0))
    v = 2 * lie.xi_inverse(s.g, "gl2")[:, :3]
    assert (torch.cov(v.T) - 0.1 * torch.eye(3, dtype=F64)).abs().max() < 0.004
    for both_ends, coincide in ((False, False), (True, True)):
        r = lie.polar(lie.sample(6, "sl2", both_ends=both_ends, generator=torch.Generator().manual_seed(0)).g).r
        assert bool((r[0] - r[-1]).abs().max() < 1e-12) is coincide
    gaps = (
        lie.angle(lie.polar(lie.sample(6, "sl2", generator=torch.Generator().manual_seed(0)).g).r).sort().values.diff()
    )
    assert (gaps - math.pi / 3).abs().max() < 1e-9


def test_the_polar_jacobian_is_that_of_haar_measure():
    """integral of F(h g k) J dX dR does not depend on h and k: quadrature over SL(2), to 1e-6. Without J it does."""
    a = torch.linspace(-4, 4, 321, dtype=F64)
    x, y = (t.flatten() for t in torch.meshgrid(a, a, indexing="ij"))
    p = torch.linalg.matrix_exp(lie.hat(torch.stack([x, 0 * x, y], -1), "sl2"))
    j = lie.polar_jacobian(torch.linalg.eigvalsh(lie.hat(torch.stack([x, 0 * x, y], -1), "sl2")))
    turns = lie.plane_rotation(2 * math.pi * torch.arange(24, dtype=F64) / 24)
    h = torch.tensor([[1.2, 0.3], [0.1, (1 + 0.03) / 1.2]], dtype=F64)
    k = torch.tensor([[0.8, -0.2], [0.4, (1 - 0.08) / 0.8]], dtype=F64)

    def integral(left: torch.Tensor, right: torch.Tensor, weight: torch.Tensor) -> float:
        total = 0.0
        for r in turns:
            g = left @ p @ r @ right
            f = torch.exp(-g.square().sum((1, 2)) + 0.5 * g[:, 0, 0] - 0.2 * g[:, 1, 0])
            total += float((f * weight).sum())
        return total

    eye = torch.eye(2, dtype=F64)
    plain = integral(eye, eye, j)
    for left, right in ((h, eye), (eye, k), (h, k)):
        assert abs(integral(left, right, j) / plain - 1) < 1e-6
    flat = torch.ones_like(j)
    assert abs(integral(h, eye, flat) / integral(eye, eye, flat) - 1) > 1e-3


def test_importance_weights_estimate_haar_integrals():
    """E[F(g) / density] is the same for F and F(h .), to the error of Monte Carlo."""
    s = lie.sample(200_000, "sl2", variance=1.0, sampler="uniform", generator=torch.Generator().manual_seed(0))
    h = torch.tensor([[1.3, 0.4], [0.0, 1 / 1.3]], dtype=F64)

    def estimate(g: torch.Tensor, density: torch.Tensor) -> torch.Tensor:
        return torch.exp(-2 * g.square().sum((1, 2)) + g[:, 0, 0]) / density

    a, b = estimate(s.g, s.density), estimate(h @ s.g, s.density)
    error = (a - b).mean() / ((a - b).std() / math.sqrt(len(a)))
    assert abs(float(error)) < 4 and float((a - b).std() / math.sqrt(len(a)) / a.mean()) < 0.01
    one = torch.ones_like(s.density)
    biased = estimate(s.g, one) - estimate(h @ s.g, one)
    assert abs(float(biased.mean() / (biased.std() / math.sqrt(len(a))))) > 8


@pytest.mark.parametrize("group", ["gl2", "sl2", "gl3"])
def test_the_affine_group(group):
    """Associative, inverses, action, the homogeneous matrices and the chart; 1 / |det A| dt dA is left-invariant by its Jacobian."""
    n = lie.parse(group)[1]
    generator = torch.Generator().manual_seed(4)
    one, two, three = (
        Affine(elements(group, 20, k), torch.randn(20, n, dtype=F64, generator=generator)) for k in (1, 2, 3)
    )
    x = torch.randn(20, n, dtype=F64, generator=generator)
    left, right = lie.compose(lie.compose(one, two), three), lie.compose(one, lie.compose(two, three))
    assert all((a - b).abs().max() < 1e-11 for a, b in zip(left, right, strict=True))
    assert (lie.act(lie.compose(one, two), x) - lie.act(one, lie.act(two, x))).abs().max() < 1e-11
    assert (lie.homogeneous(lie.compose(one, two)) - lie.homogeneous(one) @ lie.homogeneous(two)).abs().max() < 1e-11
    unit = lie.compose(one, lie.inverse(one))
    cond = torch.linalg.cond(one.a).max()
    assert (unit.a - torch.eye(n, dtype=F64)).abs().max() < 1e-14 * cond and unit.t.abs().max() < 1e-13 * cond
    back = lie.affine_xi(lie.affine_xi_inverse(one, group), group)
    assert all((a - b).abs().max() < 1e-11 for a, b in zip(one, back, strict=True))
    # left translation by `one` scales dt by |det a_1| and the weight at the image by 1 / |det a_1|
    ratio = lie.left_haar_weight(lie.compose(one, two)) * torch.linalg.det(one.a).abs() / lie.left_haar_weight(two)
    assert (ratio - 1).abs().max() < 1e-9


def test_shifted_rotations_are_equidistant_and_uniform():
    turns = [
        lie.angle(lie.sample(4, "so2", sampler="shifted", generator=torch.Generator().manual_seed(k)).g)
        for k in range(400)
    ]
    theta = torch.stack(turns).sort(-1).values
    assert (theta.diff(dim=-1) - math.pi / 2).abs().max() < 1e-12
    first = theta[:, 0] / (math.pi / 2)
    assert (first.sort().values - torch.arange(400) / 400).abs().max() < 0.07  # Kolmogorov-Smirnov at 4 percent


# ------------------------------------------------------------------------------------------ warps


def test_resampling_is_exact():
    """Quarter turns and whole shifts are permutations of pixels; a linear ramp is mapped exactly; scipy agrees on a general map."""
    from scipy.ndimage import affine_transform

    x = torch.randn(2, 1, 8, 8, dtype=F64)
    j = torch.tensor([[0.0, -1.0], [1.0, 0.0]], dtype=F64).repeat(2, 1, 1)
    assert (warps.resample(x, warps.homogeneous(j)) - torch.rot90(x, -1, (2, 3))).abs().max() < 1e-12
    shift = warps.homogeneous(
        torch.eye(2, dtype=F64).repeat(2, 1, 1), torch.tensor([[2.0, 1.0]], dtype=F64).repeat(2, 1)
    )
    assert (warps.resample(x, shift)[..., 1:, 2:] - x[..., :-1, :-2]).abs().max() < 1e-12
    a = warps.random_affine(2, 40, 0.3, (0.8, 1.2), torch.Generator().manual_seed(0))
    ours = warps.resample(x, warps.homogeneous(a))[0, 0]
    inverse = np.linalg.inv(a[0].numpy())[::-1, ::-1]  # scipy has rows first
    centre = np.full(2, 3.5)
    theirs = affine_transform(x[0, 0].numpy(), inverse, centre - inverse @ centre, order=1, mode="grid-constant")
    assert np.abs(ours.numpy() - theirs).max() < 1e-12


def test_homographies_send_corners_where_they_should():
    h = warps.random_homography(50, 0.15, 40.0, torch.Generator().manual_seed(0))
    corners = torch.tensor([[-20.0, -20], [20, -20], [20, 20], [-20, 20]], dtype=F64)
    moved = warps.project(h, corners) - corners
    assert moved.abs().max() <= 6 + 1e-9 and moved.abs().max() > 5
    exact = warps.four_points(corners, corners @ torch.tensor([[1.1, 0.2], [-0.1, 0.9]], dtype=F64)[None])
    assert (exact[0, 2] - torch.tensor([0.0, 0, 1], dtype=F64)).abs().max() < 1e-12  # an affine map stays affine
    with pytest.raises(ValueError, match="1/4"):
        warps.random_homography(1, 0.3, 40.0)
    with pytest.raises(ValueError, match="infinity"):
        warps.project(torch.tensor([[[1.0, 0, 0], [0, 1, 0], [0.1, 0, 1]]], dtype=F64), corners)


def test_room_keeps_all_ink_on_the_canvas():
    """The sum of ink inside the canvas is what it is on a larger one, for both extreme translations; a step further loses some."""
    generator = torch.Generator().manual_seed(0)
    x = torch.zeros(6, 1, 12, 12, dtype=F64)
    x[:, :, 3:9, 4:8] = torch.rand(6, 1, 6, 4, dtype=F64, generator=generator) + 0.5
    a = warps.random_affine(6, 20, 0.2, (0.8, 1.2), generator)
    least, most = warps.room(x, a, 20)
    assert (least < most).all()
    for t in (least, most):
        inside, everywhere = (warps.resample(x, warps.homogeneous(a, t), size).sum((1, 2, 3)) for size in (20, 60))
        assert (inside / everywhere - 1).abs().max() < 0.02  # bilinear interpolation reaches one pixel beyond the ink
        beyond = warps.homogeneous(a, t + 4 * (most - least).sign() * (1 if t is most else -1))
        assert (warps.resample(x, beyond, 20).sum((1, 2, 3)) < 0.9 * everywhere).all()
    blank = warps.room(torch.zeros(1, 1, 12, 12, dtype=F64), a[:1], 20)
    assert not blank[0].any() and not blank[1].any()
