"""Representations of rotations: group membership, exact inverses, agreement with SciPy, continuity, gradients, bad input."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.linalg import expm
from scipy.spatial.transform import Rotation

from models.geometry import rotations as rot
from models.geometry import rotations_n as rot_n

F64 = torch.float64
TOL = 1e-12
NAMES = sorted(rot.REPRESENTATIONS)


def raw(name: str, n: int = 500, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, rot.REPRESENTATIONS[name].dim, dtype=F64, generator=torch.Generator().manual_seed(seed))


def some(n: int = 500, seed: int = 1) -> torch.Tensor:
    return rot.haar(n, torch.Generator().manual_seed(seed))


def gap(a, b) -> float:
    return float((torch.as_tensor(a) - torch.as_tensor(b)).abs().max())


@pytest.mark.parametrize("name", NAMES)
def test_every_map_gives_rotations(name):
    """R^T R = I and det R = +1 to 1e-12 on random input."""
    r = rot.to_rotation(name, raw(name))
    assert gap(r.mT @ r, torch.eye(3, dtype=F64)) < TOL
    assert gap(torch.linalg.det(r), 1.0) < TOL


@pytest.mark.parametrize("name", NAMES)
def test_every_inverse_is_a_right_inverse(name):
    """map(inverse(R)) = R for Haar rotations, the identity and half turns."""
    half = torch.diag_embed(torch.tensor([[1.0, -1, -1], [-1, 1, -1], [-1, -1, 1], [1, 1, 1]], dtype=F64))
    r = torch.cat([some(), half])
    rep = rot.REPRESENTATIONS[name]
    assert rep.inverse(r).shape == (504, rep.dim)
    assert gap(rep.map(rep.inverse(r)), r) < TOL


def test_agreement_with_scipy():
    """Quaternion, rotation vector, Euler angles (intrinsic XZY) and nearest rotation equal scipy's to 1e-12, both ways."""
    q, v, e = raw("quaternion"), raw("rotation_vector"), raw("euler")
    assert gap(rot.quaternion(q), Rotation.from_quat(q[:, [1, 2, 3, 0]].numpy()).as_matrix()) < TOL
    assert gap(rot.quaternion(-q), rot.quaternion(q)) < TOL
    assert gap(rot.rotation_vector(v), Rotation.from_rotvec(v.numpy()).as_matrix()) < TOL
    assert gap(rot.euler(e), Rotation.from_euler("XZY", e[:, [0, 2, 1]].numpy()).as_matrix()) < TOL
    r = some()
    peer = Rotation.from_matrix(r.numpy())
    assert gap(rot.quaternion_inverse(r)[:, [1, 2, 3, 0]], peer.as_quat(canonical=True)) < TOL
    assert gap(rot.rotation_vector_inverse(r), peer.as_rotvec()) < TOL
    assert gap(rot.euler_inverse(r)[:, [0, 2, 1]], peer.as_euler("XZY")) < TOL
    assert gap(rot.angle_between(r[:250], r[250:]), (peer[:250] * peer[250:].inv()).magnitude()) < TOL


@pytest.mark.parametrize("name", ["quaternion", "rotation_vector"])
def test_paths_with_and_without_a_gradient_agree(name):
    """The same rotations when a gradient is asked for, in other shapes, in float32, in a type that NumPy lacks, and of no vectors."""
    x = raw(name, 24)
    f, k = rot.REPRESENTATIONS[name].map, x.shape[-1]
    r = f(x)
    assert gap(f(x.clone().requires_grad_()).detach(), r) < TOL
    assert gap(f(x.view(2, 3, 4, k)), r.view(2, 3, 4, 3, 3)) == 0.0
    assert gap(f(x.mT.contiguous().mT), r) == 0.0 and r.is_contiguous()
    assert f(x.float()).dtype == torch.float32 and gap(f(x.float()).double(), r) < 1e-6
    assert f(x.bfloat16()).dtype == torch.bfloat16 and gap(f(x.bfloat16()).double(), r) < 0.1
    assert f(x[:0]).shape == (0, 3, 3) and f(x[0]).shape == (3, 3)
    assert gap(f(torch.zeros(1, k, dtype=F64)), torch.eye(3, dtype=F64)) == 0.0


def test_rodriguez_rotates_by_twice_its_length():
    """Rodriguez(v) = expm(2 [v]_x)."""
    for v in raw("rodriguez", 5):
        k = np.cross(np.eye(3), v.numpy())  # row i is e_i x v, so this is [v]_x
        assert gap(rot.rodriguez(v), expm(2.0 * k)) < TOL
    small = 1e-9 * raw("rodriguez", 5)
    assert gap(rot.rotation_vector_inverse(rot.rotation_vector(small)), small) < 1e-20


def test_six_d_drops_and_restores_a_column():
    """6D of columns 1, 2 of R, also of (a col1, b col2 + c col1), a, b > 0, is R."""
    r = some()
    a, b, c = (torch.rand(3, len(r), 1, dtype=F64, generator=torch.Generator().manual_seed(3)) + 0.1).unbind(0)
    mixed = torch.cat([a * r[..., 0], b * r[..., 1] - c * r[..., 0]], -1)
    assert gap(rot.six_d(rot.six_d_inverse(r)), r) < TOL
    assert gap(rot.six_d(mixed), r) < TOL


def test_six_d_is_left_equivariant():
    """map(Q a1, Q a2) = Q map(a1, a2)."""
    a, q = raw("6d"), some()
    turned = (q @ a.unflatten(-1, (2, 3)).mT).mT.flatten(-2)
    assert gap(rot.six_d(turned), q @ rot.six_d(a)) < TOL


def test_six_d_equals_gram_schmidt_and_qr():
    """The cross-product form equals Gram-Schmidt of two vectors, QR with positive diagonal, and SO(n)'s form at n = 3."""
    a = raw("6d")
    m = a.unflatten(-1, (2, 3)).mT
    b1 = m[..., 0] / m[..., 0].norm(dim=-1, keepdim=True)
    b2 = m[..., 1] - (b1 * m[..., 1]).sum(-1, keepdim=True) * b1
    b2 = b2 / b2.norm(dim=-1, keepdim=True)
    r = rot.six_d(a)
    assert gap(r, torch.stack([b1, b2, torch.linalg.cross(b1, b2)], -1)) < TOL
    q, upper = torch.linalg.qr(m)
    assert gap(r[..., :2], q * upper.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)) < 1e-11
    assert gap(r, rot_n.gram_schmidt(m)) < TOL
    # the convention of libraries that fill rows is the transpose
    rows = torch.stack([b1, b2, torch.linalg.cross(b1, b2)], -2)
    assert gap(r, rows.mT) < TOL and gap(r, rows) > 0.1


def test_stereographic_pair():
    """unstereographic lands on the sphere and the pair are inverse to each other; the new coordinate is in front."""
    t = raw("rodriguez")
    u = rot.unstereographic(t)
    assert gap(u.norm(dim=-1), 1.0) < TOL and gap(rot.stereographic(u), t) < 1e-11
    assert gap(rot.unstereographic(torch.zeros(1, 2, dtype=F64)), torch.tensor([[-1.0, 0.0, 0.0]])) == 0.0


def test_five_d_forgets_nothing():
    """The exact inverse is continuous and bounded on SO(3): |entries| stay below 1 (its scales are made for that)."""
    v = rot.five_d_inverse(some(20000))
    assert v.shape[-1] == 5 and float(v.abs().max()) <= 1.0 + 1e-12


def test_continuity_of_a_loop():
    """About z from 0 to 2 pi the 6D and 5D inverses have steps of O(1/N); the canonical quaternion jumps by 2."""
    for n in (100, 1000):
        t = torch.linspace(0, 2 * math.pi, n + 1, dtype=F64)
        r = rot.rotation_vector(torch.stack([0 * t, 0 * t, t], -1))
        for name, factor in (("6d", 9.0), ("5d", 9.0)):
            v = rot.REPRESENTATIONS[name].inverse(r)
            assert float((v[1:] - v[:-1]).norm(dim=-1).max()) < factor / n
            assert gap(v[0], v[-1]) < 1e-12
        q = rot.quaternion_inverse(r)
        assert abs(float((q[1:] - q[:-1]).norm(dim=-1).max()) - 2.0) < 10.0 / n


def test_released_forms_differ_as_stated():
    """The point-cloud copy doubles the angle; tanh sine/cosine is no rotation; Gram-Schmidt keeps a negative determinant."""
    a = raw("axis_angle")
    once, twice = rot.axis_angle(a), rot.axis_angle_double(a)
    assert gap(once @ once, twice) < TOL
    assert gap(torch.linalg.det(rot.euler_sin_cos_tanh(raw("euler_sin_cos"))), 1.0) > 0.1
    m = raw("matrix")
    det = torch.linalg.det(rot.matrix_gram_schmidt(m))
    assert gap(det, torch.linalg.det(m.unflatten(-1, (3, 3))).sign()) < TOL and float(det.min()) < 0
    q = raw("quaternion")
    assert gap(rot.quaternion_half(q), rot.quaternion(q)) < TOL  # the half-sphere form is the same map


def test_nearest_rotation():
    """tr(R^T M) is not below that of any other rotation, and equals scipy's projection where det M > 0."""
    m = raw("matrix").unflatten(-1, (3, 3))
    r = rot.procrustes(m)
    best = (r * m).sum((-1, -2))
    for other in some(200):
        assert bool((best >= (other * m).sum((-1, -2)) - 1e-12).all())
    ok = torch.linalg.det(m) > 0
    assert gap(r[ok], Rotation.from_matrix(m[ok].numpy()).as_matrix()) < 1e-10


@pytest.mark.parametrize("name", NAMES)
def test_gradients(name):
    """Each map's gradient is the one of finite differences."""
    x = raw(name, 3, seed=5).requires_grad_()
    assert torch.autograd.gradcheck(rot.REPRESENTATIONS[name].map, (x,), eps=1e-6, atol=1e-6)


def test_gradients_where_formulas_are_delicate():
    """No NaN: rotation vector at 0, nearest rotation at the identity (three equal singular values), angle of equal rotations."""
    for f, x in (
        (rot.rotation_vector, torch.zeros(1, 3, dtype=F64)),
        (rot.matrix_svd, torch.eye(3, dtype=F64).reshape(1, 9)),
    ):
        x.requires_grad_()
        (f(x) * torch.arange(9.0, dtype=F64).reshape(3, 3)).sum().backward()
        assert bool(torch.isfinite(x.grad).all()) and float(x.grad.abs().max()) > 0.1
    x = torch.eye(3, dtype=F64).requires_grad_()
    rot.angle_between(x, torch.eye(3, dtype=F64)).backward()
    assert bool(torch.isfinite(x.grad).all())


def test_angle_is_exact_when_small():
    """The chord form keeps 1e-9 rad, which the arccos of the trace loses."""
    r = rot.rotation_vector(torch.tensor([0.0, 0.0, 1e-9], dtype=F64))
    assert abs(float(rot.angle_between(r, torch.eye(3, dtype=F64))) - 1e-9) < 1e-15
    a, b = some(100, 2), some(100, 4)
    assert gap(rot.angle_between(a, b), rot.trace_angle(a, b)) < 1e-7


def test_samples():
    """Haar: the angle has density (1 - cos t) / pi, mean pi/2 + 2/pi; the other sampler has a uniform one, mean pi/2."""
    eye = torch.eye(3, dtype=F64)
    n = 40000
    h = rot.angle_between(some(n), eye)
    assert abs(float(h.mean()) - (math.pi / 2 + 2 / math.pi)) < 5 * 0.65 / math.sqrt(n)
    u = rot.angle_between(rot.uniform_angle(n, torch.Generator().manual_seed(1)), eye)
    assert abs(float(u.mean()) - math.pi / 2) < 5 * 0.91 / math.sqrt(n)


@pytest.mark.parametrize("n", [2, 3, 4, 6])
def test_general_dimension(n):
    """SO(n): both maps give rotations, and their inverses have n^2 - n and n^2 - 2n + 2 numbers and lose nothing."""
    r = rot_n.haar_n(50, n, torch.Generator().manual_seed(n))
    assert gap(torch.linalg.det(r), 1.0) < TOL
    a = rot_n.gram_schmidt_inverse(r)
    assert a[0].numel() == n * n - n and gap(rot_n.gram_schmidt(a), r) < TOL
    t = rot_n.stereo_inverse(r)
    assert t.shape[-1] == n * n - 2 * n + 2 and gap(rot_n.stereo(t, n), r) < TOL
    g = torch.Generator().manual_seed(0)
    for made in (
        rot_n.gram_schmidt(torch.randn(50, n, n - 1, dtype=F64, generator=g)),
        rot_n.stereo(torch.randn(50, n * n - 2 * n + 2, dtype=F64, generator=g), n),
        rot_n.nearest_rotation(torch.randn(50, n, n, dtype=F64, generator=g)),
    ):
        assert gap(made.mT @ made, torch.eye(n, dtype=F64)) < TOL and gap(torch.linalg.det(made), 1.0) < TOL


def test_five_d_is_the_stereographic_form_at_three():
    """stereo(t, 3) is the 5D map without its scales."""
    r = some()
    t = rot_n.stereo_inverse(r)
    scaled = torch.cat([t[:, :2], t[:, 2:] / torch.tensor(rot.FIVE_D_SCALE, dtype=F64)], -1)
    assert gap(scaled, rot.five_d_inverse(r)) < TOL


@pytest.mark.parametrize(
    ("name", "bad", "words"),
    [
        ("7d", torch.zeros(1, 6), "choose one of"),
        ("6d", torch.zeros(1, 5), "needs (..., 6)"),
        ("6d", torch.full((1, 6), math.nan), "NaN or Inf"),
        ("6d", torch.tensor([[1.0, 0, 0, 2, 0, 0]]), "no rotation"),
        ("6d", torch.zeros(1, 6), "no rotation"),
        ("5d", torch.zeros(1, 5), "no rotation"),
        ("quaternion", torch.zeros(1, 4), "no rotation"),
        ("axis_angle", torch.tensor([[1.0, 0, 0, 0]]), "no rotation"),
        ("quaternion", torch.zeros(1, 4, dtype=torch.int64), "floating-point"),
    ],
)
def test_bad_input_is_one_sentence(name, bad, words):
    with pytest.raises(ValueError, match=r".") as error:
        rot.to_rotation(name, bad)
    assert words in str(error.value) and "\n" not in str(error.value)


def test_bad_input_of_general_dimension():
    for call, words in (
        (lambda: rot_n.gram_schmidt(torch.zeros(3, 3)), "(..., n, n - 1)"),
        (lambda: rot_n.gram_schmidt(torch.full((3, 2), math.inf)), "NaN or Inf"),
        (lambda: rot_n.stereo(torch.zeros(4), 3), "needs 5"),
        (lambda: rot_n.haar_n(2, 1), "at least 2"),
        (lambda: rot_n.nearest_rotation(torch.zeros(2, 3)), "square"),
    ):
        with pytest.raises(ValueError) as error:
            call()
        assert words in str(error.value)
