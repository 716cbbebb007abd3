"""Real spherical harmonics, couplings and rotations: against e3nn, and by their own identities."""

import threading

import pytest
import torch
from e3nn import o3

from models.geometry import spherical
from models.geometry.frames import random_orthogonal
from models.geometry.spherical import (
    ToPole,
    allowed,
    clebsch_gordan,
    gaunt,
    gaunt_factor,
    once,
    points,
    quadrature,
    spherical_harmonics,
    wigner_3j,
    wigner_d,
)

F64 = torch.float64
TOP = 8


@pytest.fixture
def float64():
    """e3nn keeps its own tables in the default dtype."""
    torch.set_default_dtype(F64)
    yield
    torch.set_default_dtype(torch.float32)


def directions(n, seed=0):
    return torch.randn(n, 3, dtype=F64, generator=torch.Generator().manual_seed(seed))


def orthogonal(n, proper):
    torch.manual_seed(1)
    return random_orthogonal(n, 3, proper=proper, dtype=F64)


@pytest.mark.parametrize("normalisation", ["integral", "component", "norm"])
@pytest.mark.parametrize("normalise", [True, False])
def test_harmonics_are_those_of_e3nn(normalisation, normalise):
    r = directions(20)
    theirs = o3.spherical_harmonics(list(range(TOP + 1)), r, normalise, normalization=normalisation)
    torch.testing.assert_close(spherical_harmonics(TOP, r, normalise, normalisation), theirs, rtol=1e-12, atol=1e-12)


def test_harmonics_are_orthonormal():
    node, weight, alpha = quadrature(32)
    y = spherical_harmonics(16, points(node, alpha))
    gram = torch.einsum("bai,b,baj->ij", y, weight, y) * 2 * torch.pi / len(alpha)
    torch.testing.assert_close(gram, torch.eye(17**2, dtype=F64), rtol=0, atol=1e-12)


def test_harmonics_are_differentiable_and_finite_at_the_poles_and_at_zero():
    r = directions(3).requires_grad_()
    assert torch.autograd.gradcheck(lambda r: spherical_harmonics(5, r), r)
    corner = torch.tensor([[0.0, 1, 0], [0, -1, 0], [0, 0, 0]], dtype=F64, requires_grad=True)
    y = spherical_harmonics(6, corner)
    y.square().sum().backward()
    assert y.isfinite().all() and corner.grad[:2].isfinite().all() and (y[2, 1:] == 0).all()


def test_wigner_3j_are_those_of_e3nn(float64):
    for l1 in range(6):
        for l2 in range(6):
            for l3 in range(abs(l1 - l2), l1 + l2 + 1):
                torch.testing.assert_close(wigner_3j(l1, l2, l3), o3.wigner_3j(l1, l2, l3), rtol=0, atol=1e-12)


@pytest.mark.parametrize("degrees", [(3, 4, 5), (8, 8, 15), (20, 20, 31)])
def test_clebsch_gordan_columns_are_orthonormal(degrees):
    l3 = degrees[2]
    flat = torch.from_numpy(clebsch_gordan(*degrees)).flatten(0, 1)
    torch.testing.assert_close(flat.mT @ flat, torch.eye(2 * l3 + 1, dtype=F64), rtol=0, atol=1e-12)


def test_gaunt_coefficients_are_scaled_wigner_3j():
    """Exact quadrature and the ladder operator agree; odd sums of degrees and broken triangles are exact zeros."""
    top = 6
    g = gaunt(top, top, 2 * top)
    for l1 in range(top + 1):
        for l2 in range(top + 1):
            for l3 in range(2 * top + 1):
                block = g[l1**2 : (l1 + 1) ** 2, l2**2 : (l2 + 1) ** 2, l3**2 : (l3 + 1) ** 2]
                if allowed(l1, l2, l3) and (l1 + l2 + l3) % 2 == 0:
                    expected = gaunt_factor(l1, l2, l3) * wigner_3j(l1, l2, l3)
                    torch.testing.assert_close(block, expected, rtol=0, atol=1e-12)
                else:
                    assert (block == 0).all()


def test_gaunt_factors_of_the_card():
    for degrees, value in {
        (0, 0, 0): 0.28209479,
        (0, 1, 1): 0.48860251,
        (1, 1, 2): 0.69098830,
        (2, 2, 2): 0.75393,
    }.items():
        assert gaunt_factor(*degrees) == pytest.approx(value, abs=5e-6 if degrees == (2, 2, 2) else 1e-8)
    assert gaunt_factor(1, 1, 1) == gaunt_factor(1, 1, 3) == 0.0


@pytest.mark.parametrize("proper", [True, False])
def test_wigner_d_turns_harmonics_and_is_that_of_e3nn(proper, float64):
    r, p = orthogonal(5, proper), directions(5)
    d = wigner_d(TOP, r)
    turned = spherical_harmonics(TOP, torch.einsum("nij,nj->ni", r, p))
    torch.testing.assert_close(torch.einsum("nij,nj->ni", d, spherical_harmonics(TOP, p)), turned, rtol=0, atol=1e-12)
    irreps = o3.Irreps([(1, (deg, (-1) ** deg)) for deg in range(TOP + 1)])
    torch.testing.assert_close(d, irreps.D_from_matrix(r), rtol=0, atol=1e-10)
    torch.testing.assert_close(d @ d.mT, torch.eye(d.shape[-1]).expand_as(d), rtol=0, atol=1e-12)


def test_wigner_3j_is_invariant_under_wigner_d():
    d = wigner_d(4, orthogonal(1, True)[0])
    for l1, l2, l3 in [(1, 1, 1), (2, 3, 4), (4, 4, 1)]:
        blocks = [d[deg * deg : (deg + 1) ** 2, deg * deg : (deg + 1) ** 2] for deg in (l1, l2, l3)]
        w = wigner_3j(l1, l2, l3)
        torch.testing.assert_close(torch.einsum("ai,bj,ck,ijk->abc", *blocks, w), w, rtol=0, atol=1e-12)


def test_rotation_to_the_pole_and_back():
    """All harmonics of the direction become those of the polar axis, also beside the axis, where azimuths are singular."""
    r = torch.cat(
        [directions(20), torch.tensor([[0.0, 1, 0], [0, -3, 0], [1e-9, 1, 0], [1, 0, 0], [0, 0, -1]], dtype=F64)]
    )
    turn = ToPole(TOP, r)
    pole = spherical_harmonics(TOP, torch.tensor([0.0, 1.0, 0.0], dtype=F64))
    turned = turn.forth(spherical_harmonics(TOP, r).unsqueeze(-2))
    torch.testing.assert_close(turned, pole.expand_as(turned), rtol=0, atol=1e-12)
    x = torch.randn(len(r), 2, 49, dtype=F64)
    torch.testing.assert_close(turn.back(turn.forth(x)), x, rtol=0, atol=1e-12)


def test_rotation_to_the_pole_has_the_right_derivative_on_the_axis():
    """D(R)^T m D(R) with m diagonal over orders does not depend on the choice of R, so its derivative is defined everywhere."""
    x = torch.randn(2, 1, 16, dtype=F64)
    keep = spherical.orders(3) == 0

    def centred(r):
        turn = ToPole(3, r)
        return turn.back(turn.forth(x) * keep)

    assert torch.autograd.gradcheck(centred, torch.tensor([[0.0, 1, 0], [0.3, 0.2, -1]], dtype=F64, requires_grad=True))


def test_tables_are_built_once_also_by_threads():
    built = []

    @once
    def table(n):
        built.append(n)
        return n

    threads = [threading.Thread(target=table, args=(3,)) for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert built == [3] and gaunt(2, 2, 4) is gaunt(2, 2, 4)


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: spherical_harmonics(41, directions(1)), "top is 41, above the bound 40"),
        (lambda: spherical_harmonics(-1, directions(1)), "at least 0"),
        (lambda: spherical_harmonics(2, torch.zeros(4, 2)), r"vectors \(..., 3\)"),
        (lambda: spherical_harmonics(2, torch.zeros(4, 3, dtype=torch.int64)), "floating dtype"),
        (lambda: spherical_harmonics(2, directions(1), normalisation="4pi"), "choose one of"),
        (lambda: wigner_3j(1, 1, 3), "such a path is zero"),
        (lambda: wigner_d(2, torch.ones(3, 3)), "not orthogonal"),
        (lambda: wigner_d(2, torch.full((3, 3), float("nan"))), "not orthogonal"),
        (lambda: gaunt(2, 2, 50), "top3 is 50"),
    ],
)
def test_bad_input_is_one_sentence(call, words):
    with pytest.raises(ValueError, match=words):
        call()
