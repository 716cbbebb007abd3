"""Lie group decompositions: exact charts and measures, equivariant convolutions, warped digits, and the method."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import conv2d

from bench import plan
from bench.schema import BenchError
from models.geometry import lie, warps
from models.geometry.equivariance import equivariance_errors
from models.geometry.lie import Affine, Samples
from models.lie_decomposition.action import ImageAction
from models.lie_decomposition.layers import GroupConv, LiftingConv, mask, pixel_grid
from models.lie_decomposition.network import LieNetwork, PlainNetwork, count, matched_channels
from models.lie_decomposition.siren import Siren

F64 = torch.float64
GROUPS = ("gl2", "sl2", "so2", "gl3", "sl3", "so3", "gl4", "sl4", "so5")
R = math.sqrt(0.5)
EYE = torch.eye(2, dtype=F64)[None]


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


def rotations4() -> Samples:
    """The four rotations by multiples of 90 degrees, entries exact."""
    j = torch.tensor([[0.0, -1.0], [1.0, 0.0]], dtype=F64)
    g = torch.stack([torch.linalg.matrix_power(j, k) for k in range(4)])
    return Samples(g, g.mT.contiguous(), torch.ones(4, dtype=F64))


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


# ------------------------------------------------------------------------------------------ layers


def test_the_start_of_kernel_networks():
    """Bounds of every weight; sin(10 (W x + b)); biases 0 but for the first."""
    torch.manual_seed(0)
    net = Siren(5, 12, width=60, fan_in=40 * 25)
    assert len(net.hidden) == 3 and all(layer.out_features == 60 for layer in net.hidden)
    bounds = [1 / 5, math.sqrt(6 / 60) / 10, math.sqrt(6 / 60) / 10, math.sqrt(6 / 60) / math.sqrt(1000)]
    for layer, bound in zip([*net.hidden, net.last], bounds, strict=True):
        assert 0.95 * bound < float(layer.weight.detach().abs().max()) <= bound
    assert all(not layer.bias.any() for layer in [*net.hidden[1:], net.last]) and net.hidden[0].bias.any()
    x = torch.randn(4, 5)
    first = net.hidden[0]
    expected = x
    for layer in net.hidden:
        expected = torch.sin(10 * (expected @ layer.weight.mT + layer.bias))
    assert torch.allclose(net(x), expected @ net.last.weight.mT + net.last.bias) and first.in_features == 5


def test_pixel_grid_is_affine_grid():
    from torch.nn.functional import affine_grid

    for k in (3, 5, 6):
        theirs = affine_grid(torch.eye(2, 3, dtype=F64)[None], [1, 1, k, k], align_corners=False)[0]
        assert (pixel_grid(k, theirs) - theirs.reshape(-1, 2)).abs().max() < 1e-15


def test_masks():
    p = torch.tensor([[0.0, 0.0], [0.6, 0.8], [0.8, 0.8]], dtype=F64)
    assert mask(p, "sl2").tolist() == [1.0, 1.0, 0.0]
    c = torch.tensor([[0.0, 0, 0, 0], [1.0, 0, 0, 0], [0, 0, 2.0, 0]], dtype=F64)
    norm = torch.tensor([0.0, math.sqrt(2), math.sqrt(1.28 + 4)], dtype=F64)
    assert torch.allclose(mask(p, "gl2", c), torch.sigmoid(2 * (1 - norm)))


@pytest.mark.parametrize("group", ["sl2", "gl2", "so2"])
def test_lifting_commutes_with_quarter_turns(group):
    """With the four rotations by 90 degrees as samples, lift(rot90 x) = rot90 of lift(x), its samples shifted cyclically, to 1e-5."""
    torch.manual_seed(0)
    layer = LiftingConv(2, 3, 5, group).double()
    x = torch.randn(2, 2, 13, 13, dtype=F64)
    s = rotations4()
    y, turned = layer(x, s), layer(torch.rot90(x, -1, (2, 3)), s)  # -1: from x to y, the sense of j in (right, down)
    assert (turned - torch.rot90(y.roll(1, 2), -1, (3, 4))).abs().max() < 1e-5
    assert (turned - torch.rot90(y, -1, (3, 4))).abs().max() > 1e-2


@pytest.mark.parametrize(
    ("group", "angle"), [("sl2", "chart"), ("sl2", "circle"), ("gl2", "chart"), ("gl2", "circle"), ("so2", "chart")]
)
def test_the_network_is_invariant_under_the_group_its_samples_form(group, angle):
    """Lift, residual block, pooling, last convolution and maximum: scores of quarter turns agree to 1e-10, of other turns do not."""
    torch.manual_seed(0)
    net = LieNetwork(1, 10, group=group, channels=4, width=12, angle=angle).double().eval()
    net.given = (rotations4(), rotations4())
    x = torch.randn(2, 1, 24, 24, dtype=F64)
    y = net(x)
    for k in (1, 2, 3):
        assert (net(torch.rot90(x, k, (2, 3))) - y).abs().max() < 1e-10
    j = warps.homogeneous(lie.plane_rotation(torch.tensor([0.5, 0.5], dtype=F64)))
    assert (net(warps.resample(x, j)) - y).abs().max() > 1e-4


@pytest.mark.parametrize("group", ["sl2", "gl2", "so2"])
def test_one_sample_at_the_identity_is_a_plain_convolution(group):
    """g = h = I: conv2d with the kernel network's values at (x, xi^-1(I) = 0), times the mask."""
    torch.manual_seed(0)
    layer = GroupConv(3, 2, 5, group).double()
    eye = Samples(*(torch.eye(2, dtype=F64)[None],) * 2, torch.ones(1, dtype=F64))
    x = torch.randn(2, 3, 1, 9, 9, dtype=F64)
    grid = pixel_grid(5, x)
    zero = torch.zeros(25, lie.dimension(group), dtype=F64)
    w = layer.siren(torch.cat([grid, zero], -1)) * mask(grid, group, zero)[:, None]
    expected = conv2d(x[:, :, 0], w.T.reshape(2, 3, 5, 5))
    assert (layer(x, eye, eye)[:, :, 0] - expected).abs().max() < 1e-12


@pytest.mark.parametrize("group", ["sl2", "gl2", "so2"])
def test_kernels_jump_at_the_identity_in_the_chart_and_not_on_the_circle(group):
    """Weights for h^-1 g = R(+e) and R(-e): their gap goes to 0 with e on the circle, in the chart it does not."""
    gaps = {}
    for angle in ("chart", "circle"):
        torch.manual_seed(0)
        layer = GroupConv(1, 1, 5, group, angle=angle).double()
        for e in (1e-2, 1e-4):
            g = lie.plane_rotation(torch.tensor([e, -e], dtype=F64))
            into, out = Samples(g, g.mT, torch.ones(2)), Samples(EYE, EYE, torch.ones(1))
            w = layer.weights(into, out)[0, 0, 0]
            gaps[angle, e] = float((w[0] - w[1]).detach().abs().max())
    assert gaps["circle", 1e-4] < 0.02 * gaps["circle", 1e-2] and gaps["chart", 1e-4] > 0.5 * gaps["chart", 1e-2] > 1e-3


def test_shifted_rotations_are_equidistant_and_uniform():
    turns = [
        lie.angle(lie.sample(4, "so2", sampler="shifted", generator=torch.Generator().manual_seed(k)).g)
        for k in range(400)
    ]
    theta = torch.stack(turns).sort(-1).values
    assert (theta.diff(dim=-1) - math.pi / 2).abs().max() < 1e-12
    first = theta[:, 0] / (math.pi / 2)
    assert (first.sort().values - torch.arange(400) / 400).abs().max() < 0.07  # Kolmogorov-Smirnov at 4 percent


def brute_force(layer: GroupConv, x: torch.Tensor, into: Samples, out: Samples, parity: bool) -> torch.Tensor:
    """The sum over pixels, samples and channels, term by term."""
    k, half = layer.kernel, layer.kernel // 2
    n, _, m_in, h, w = x.shape
    y = torch.zeros(n, layer.c_out, len(out.g), h - 2 * half, w - 2 * half, dtype=x.dtype)
    for i, (g_out, h_inv) in enumerate(zip(out.g, out.inverse, strict=True)):
        for j in range(m_in):
            v = lie.xi_inverse((torch.linalg.inv(g_out) @ into.g[j])[None], layer.group)[0]
            det = torch.linalg.det(into.g[i if parity else j]).abs() if layer.group == "gl2" else 1.0
            for row in range(k):
                for column in range(k):
                    u = h_inv @ torch.tensor([(2 * column + 1) / k - 1, (2 * row + 1) / k - 1], dtype=x.dtype)
                    size = torch.cat([u, v]).norm() if layer.group == "gl2" else u.norm()
                    weight = torch.sigmoid(2 * (1 - size)) if layer.group == "gl2" else float(size <= 1)
                    kernel = layer.siren(torch.cat([u, v])).reshape(layer.c_out, layer.c_in) * weight / det
                    part = x[:, :, j, row : row + h - 2 * half, column : column + w - 2 * half]
                    y[:, :, i] += torch.einsum("oc,nchw->nohw", kernel, part)
    return y


@pytest.mark.parametrize(("group", "parity"), [("sl2", False), ("gl2", False), ("gl2", True), ("so2", False)])
def test_group_convolution_is_its_sum(group, parity):
    """Against the definition, term by term; determinants of the input samples, of the wrong axis with parity."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(1)
    layer = GroupConv(2, 3, 3, group, parity=parity).double()
    into, out = (lie.sample(3, group, generator=generator) for _ in "12")
    x = torch.randn(1, 2, 3, 5, 6, dtype=F64)
    with torch.no_grad():
        assert (layer(x, into, out) - brute_force(layer, x, into, out, parity)).abs().max() < 1e-12


def test_lifting_is_its_sum():
    torch.manual_seed(0)
    layer = LiftingConv(1, 2, 3, "gl2").double()
    out = lie.sample(2, "gl2", generator=torch.Generator().manual_seed(1))
    x = torch.randn(1, 1, 4, 4, dtype=F64)
    with torch.no_grad():
        y = layer(x, out)
        for i in range(2):
            u = pixel_grid(3, x) @ torch.linalg.inv(out.g[i]).mT
            w = layer.siren(u) * torch.sigmoid(2 * (1 - u.norm(dim=-1)))[:, None] / torch.linalg.det(out.g[i]).abs()
            assert (y[:, :, i] - conv2d(x, w.T.reshape(2, 1, 3, 3))).abs().max() < 1e-12


def test_translated_images_give_translated_maps():
    torch.manual_seed(0)
    s = lie.sample(3, "sl2", generator=torch.Generator().manual_seed(1))
    lift, conv = LiftingConv(1, 2).double(), GroupConv(2, 2).double()
    x = torch.zeros(1, 1, 28, 28, dtype=F64)
    x[..., 10:14, 10:14] = torch.randn(4, 4, dtype=F64)
    y, z = (conv(lift(a, s), s, s) for a in (x, x.roll((3, 2), (2, 3))))
    assert (z - y.roll((3, 2), (3, 4))).abs().max() < 1e-12


def test_error_falls_with_the_number_of_samples():
    """Equivariance is approximate: with random kernels, the error of the group's maximum under rotations falls as samples are added,
    and with all of SL(2) as well, where the samples are random."""
    torch.manual_seed(0)
    x = blobs(6, 33)
    errors = {}
    for group, counts in (("so2", (2, 6, 18)), ("sl2", (2, 8, 64))):
        action = ImageAction(group, spread=0.0)
        errors[group] = []
        for m in counts:
            mean = 0.0
            for seed in range(4):
                torch.manual_seed(seed)
                lift = LiftingConv(1, 8, 9, group).double()
                s = lie.sample(m, group, variance=0.1, generator=torch.Generator().manual_seed(seed))

                def f(images, lift=lift, s=s):
                    return lift(images, s).amax((2, 3, 4))

                with torch.no_grad():
                    mean += equivariance_errors(f, action, x, draws=2, steps=0).mean / 4
            errors[group].append(mean)
    for few, some, many in errors.values():
        assert many < some < few and many < 0.6 * few, errors


def blobs(count: int, size: int) -> torch.Tensor:
    """Smooth images well inside their frame (count, 1, size, size)."""
    generator = torch.Generator().manual_seed(7)
    p = warps.centres(size, torch.zeros(1, dtype=F64)) / size
    centre = 0.12 * torch.randn(count, 4, 1, 2, dtype=F64, generator=generator)
    sign = torch.tensor([1.0, -1.0, 1.0, 0.7], dtype=F64)[:, None]
    return (sign * torch.exp(-((p - centre) ** 2).sum(-1) / 0.006)).sum(1).reshape(count, 1, size, size)


def test_the_network_as_published():
    """train.py's numbers: 10 samples, 40 channels, kernel networks of 3 x 60, head 256; the parameters are counted by hand."""
    net = LieNetwork(1, 10)

    def siren(d_in: int, d_out: int) -> int:
        return d_in * 60 + 60 + 2 * (60 * 60 + 60) + 60 * d_out + d_out

    assert count(net) == siren(2, 40) + 3 * siren(5, 1600) + 40 * 256 + 2 * 256 + 256 * 10 + 10
    assert net.samples == 10 and net.law["variance"] == 0.1 and len(net.blocks) == 1
    shapes = []
    small = LieNetwork(1, 10, channels=3, samples=2, width=4).eval()
    hook = small.last.register_forward_hook(lambda m, a, y: shapes.append((a[0].shape[-1], y.shape[-1])))
    assert small(torch.randn(2, 1, 40, 40)).shape == (2, 10) and shapes == [(18, 14)]
    hook.remove()


def test_the_plain_network_has_as_many_parameters():
    """The nearest number of channels: neither one more nor one fewer is closer."""
    options = {"blocks": 1, "kernel": 5, "head": 256}
    for target in (16_000, 100_000, 400_000):
        c = matched_channels(target, 1, 10, **options)
        sizes = {k: count(PlainNetwork(1, 10, channels=k, **options)) for k in (c - 1, c, c + 1)}
        assert min(sizes, key=lambda k: abs(sizes[k] - target)) == c


def test_samples_are_new_in_training_and_fixed_in_evaluation():
    torch.manual_seed(0)
    net = LieNetwork(1, 10, channels=3, samples=3, width=8, dropout=0.0)
    x = torch.randn(2, 1, 16, 16)
    assert not torch.equal(net(x), net(x))
    net.eval()
    assert torch.equal(net(x), net(x))
    more = net.resampled(9)
    assert more.samples == 9 and net.samples == 3 and not torch.equal(more(x), net(x))
    net.eval_draws = 3
    assert (net(x).exp().sum(1) - 1).abs().max() < 1e-5


def test_gradients_reach_every_parameter_and_pass_gradcheck():
    torch.manual_seed(0)
    net = LieNetwork(1, 3, channels=2, samples=2, width=4, head=4, dropout=0.0, group="gl2").double()
    net.given = tuple(lie.sample(2, "gl2", generator=torch.Generator().manual_seed(k)) for k in (0, 1))
    net(torch.randn(2, 1, 14, 14, dtype=F64)).square().sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() and p.grad.any() for p in net.parameters())
    layer = GroupConv(1, 1, 3, "sl2", width=3, layers=1).double()
    s = lie.sample(2, "sl2", generator=torch.Generator().manual_seed(0))
    x = torch.randn(1, 1, 2, 4, 4, dtype=F64, requires_grad=True)
    torch.autograd.gradcheck(lambda x, w: torch.func.functional_call(layer, {"siren.last.weight": w}, (x, s, s)),
                             (x, layer.siren.last.weight.detach().requires_grad_()))  # fmt: skip


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


# ------------------------------------------------------------------------------------------ data


def bundle_of(*words: str):
    from bench.cell import load

    return load(plan.expand(["method=lie_cnn", "scale=smoke", "fold=0", "data.source=synthetic", *words])[0])


@pytest.mark.parametrize("data", ["warped_digits", "affnist", "homnist"])
def test_warped_images(data):
    """Test images upright then moved, of the same labels; strength 0 upright and positive moved; upright ones are whole."""
    b = bundle_of(f"data={data}")
    n = len(b.test) // 2
    assert b.test.x.dtype == np.uint8 and (b.test.y[:n] == b.test.y[n:]).all()
    assert (b.test.group == np.repeat([0, 1], n)).all()
    assert not b.meta["strength"][:n].any() and (b.meta["strength"][n:] > 0).all()
    assert (b.test.x[:n] != b.test.x[n:]).any(axis=(1, 2, 3)).all()
    scores = np.eye(b.n_out)[b.test.y]
    scores[n : n + n // 2] = np.eye(b.n_out)[(b.test.y[n : n + n // 2] + 1) % b.n_out]
    rows = {m.name: m.value for m in b.task.score(b, {"y_score": scores})}
    assert (
        rows["accuracy_upright"] == 1
        and rows["accuracy_transformed"] == rows["accuracy_upright"] - rows["accuracy_gap"]
    )
    assert abs(rows["accuracy_transformed"] - 0.5) < 0.02
    assert set(b.task.figures(b, {"y_score": scores})) == {"digits", "strength"}


def test_placing_pads_without_change():
    """Images of the stored size: the canvas holds them pixel by pixel in its middle, 0 around."""
    b = bundle_of("data=affnist")
    x = b.train.x
    assert x.shape[1:] == (1, 40, 40) and not x[:, :, :6].any() and not x[:, :, :, 34:].any()
    from bench.cell import load

    inner = load(plan.expand(["method=lie_cnn", "data=affnist", "scale=smoke", "fold=0", "data.source=synthetic",
                              "data.canvas=28"])[0]).train.x  # fmt: skip
    assert (x[:, :, 6:34, 6:34] == inner).all()


def mat_files(home, n=(12, 6), labels=None):
    from scipy.io import savemat

    rng = np.random.default_rng(0)
    for place, k in (("just_centered/training_and_validation", n[0]), ("just_centered/test", n[1]), ("transformed/test_batches/1", n[1]),
                     ("transformed/test_batches/2", n[1]), ("transformed/training_and_validation_batches/1", n[0])):  # fmt: skip
        path = home / f"{place}.mat"
        path.parent.mkdir(parents=True, exist_ok=True)
        y = np.arange(k) % 10 if labels is None else np.resize(labels, k)
        savemat(
            path,
            {
                "affNISTdata": {
                    "image": rng.integers(0, 256, (1600, k), dtype=np.uint8),
                    "label_int": y[None].astype(np.uint8),
                }
            },
        )


def test_affnist_files_are_read(tmp_path):
    """The published layout: images by column, batches in the order of their numbers, 5 of 6 of the shared file for training."""
    from datasets.warped_images.affnist import read_mat, read_part

    home = tmp_path / "affNIST"
    mat_files(home)
    x, y, used = read_part(home, "train")
    whole = read_mat(home / "just_centered/training_and_validation.mat")
    assert x.shape == (10, 1, 40, 40) and (x == whole[0][:10]).all() and (y == np.arange(10)).all() and len(used) == 1
    test = read_part(home, "test")
    assert len(test[1]) == 12 and [p.name for p in test[2]] == ["1.mat", "2.mat"]
    from scipy.io import loadmat

    raw = loadmat(home / "just_centered/test.mat")["affNISTdata"][0, 0]["image"]
    assert (read_part(home, "upright")[0][3, 0] == raw[:, 3].reshape(40, 40)).all()
    from bench.cell import load

    cell = plan.expand(["method=lie_cnn", "data=affnist_original", "scale=smoke", "fold=0", f"root={tmp_path}"])[0]
    assert cell.source == "real"
    b = load(cell)
    assert len(b.train) == 10 and len(b.val) == 2 and len(b.test) == 6 + 12 and np.isnan(b.meta["strength"][6:]).all()
    assert "accuracy_strong" not in {m.name for m in b.task.score(b, b.task.trivial(b))}
    assert set(b.task.figures(b, b.task.trivial(b))) == {"digits"}


def test_damaged_affnist_files_are_named(tmp_path):
    from datasets.warped_images.affnist import read_mat, read_part

    with pytest.raises(BenchError, match="unpack affNIST"):
        read_part(tmp_path, "train")
    (tmp_path / "bad.mat").write_bytes(b"x" * 300)
    with pytest.raises(BenchError, match="unpack it again"):
        read_mat(tmp_path / "bad.mat")
    mat_files(tmp_path, labels=[17])
    with pytest.raises(BenchError, match="digits 0 to 9"):
        read_part(tmp_path, "test")


# ------------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: lie.parse("su2"), "use gl, sl or so"),
        (lambda: lie.polar(torch.full((1, 2, 2), float("nan"))), "NaN or Inf"),
        (lambda: lie.polar(-torch.eye(3)[None]), "not positive"),
        (lambda: lie.polar(torch.zeros(1, 2, 2)), "not positive"),
        (lambda: lie.polar(torch.ones(1, 2, 3)), "n, n"),
        (lambda: lie.polar(torch.eye(2, dtype=torch.int64)[None]), "floating"),
        (lambda: lie.xi_inverse(torch.eye(3)[None], "sl2"), "2, 2"),
        (lambda: lie.hat(torch.ones(4), "sl2"), "dimension 3"),
        (lambda: lie.sample(0, "sl2"), "at least 1"),
        (lambda: lie.sample(3, "sl2", variance=-1.0), "0 or more"),
        (lambda: lie.sample(3, "sl2", sampler="random"), "equidistant, shifted, uniform, haar"),
        (lambda: lie.sample(3, "sl3"), "use haar"),
        (lambda: LiftingConv(1, 1, 5, "sl3"), "does not act on images"),
        (lambda: LiftingConv(1, 1, 0), "must be 1 or more"),
        (lambda: GroupConv(1, 1, angle="sphere"), "chart, circle"),
        (lambda: LiftingConv(1, 1)(torch.ones(1, 2, 9, 9), rotations4()), "1 channels is needed"),
        (lambda: LiftingConv(1, 1).double()(torch.ones(1, 1, 4, 4, dtype=F64), rotations4()), "enlarge the images"),
        (lambda: GroupConv(1, 1).double()(torch.ones(1, 1, 3, 9, 9, dtype=F64), rotations4(), rotations4()), "samples x lives on"),
        (lambda: GroupConv(1, 1, 5, "gl2", parity=True).double().weights(rotations4(), Samples(EYE, EYE, torch.ones(1))), "equal numbers"),
        (lambda: warps.resample(torch.ones(1, 1, 4, 5), torch.eye(3)[None]), "w, w"),
        (lambda: warps.resample(torch.ones(1, 1, 4, 4), torch.zeros(1, 3, 3)), "singular"),
        (lambda: warps.resample(torch.ones(2, 1, 4, 4), torch.eye(3)[None]), "for each of 2"),
    ],
)  # fmt: skip
def test_bad_input_is_told_in_one_sentence(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["method.kernel=4"], "no centre"),
        (["method.official_parity=true", "method.importance=true"], "importance"),
        (["data.canvas=8"], "data.canvas=8 is smaller"),
        (["data.scale_low=2"], "swap them"),
        (["data.size=8", "data.canvas=10"], "14 pixels or more"),
        (["data.augment=shift"], "data.augment"),
        (["data=homnist", "data.shift=inside"], "affine maps"),
        (["method=lie_cnn_aug", "data=homnist"], "tested under others"),
        (["method=lie_cnn_aug", "data=mnist"], "has none"),
        (["data=affnist_original", "data.canvas=30"], "40 x 40"),
        (["data=affnist_original", "data.source=real", "fold=0"], "affNIST"),
    ],
)
def test_bad_choices_are_told_in_one_sentence(words, sentence, tmp_path):
    with pytest.raises(BenchError, match=sentence):
        plan.expand(["method=lie_decomposition", "scale=smoke", *words, f"root={tmp_path}"])


# ------------------------------------------------------------------------------------------ the method


def test_training_and_the_meter(tmp_path):
    """Rows of a small real run: parameters as matched, the meter's three errors in order, the second one with more samples."""
    from bench import cell as cells

    words = ["scale=smoke", "fold=0", f"out={tmp_path}", "method.epochs=1", "data.n_train=40", "data.n_test=20"]
    rows = {}
    for method in ("lie_decomposition", "lie_cnn"):
        outcome, record = cells.run(plan.expand([f"method={method}", *words])[0])
        assert outcome == "done", record["traceback"]
        rows[method] = {m["metric"]: m["value"] for m in record["metrics"]} | {"params": record["params"]}
    ours, plain = rows["lie_decomposition"], rows["lie_cnn"]
    assert abs(plain["params"] / ours["params"] - 1) < 0.15
    for r in (ours, plain):
        assert r["equivariance_error"] <= r["equivariance_error_worst"] <= r["equivariance_error_adversarial"]
    assert "equivariance_error_more" in ours and "equivariance_error_more" not in plain
