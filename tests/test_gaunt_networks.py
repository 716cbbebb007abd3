"""Networks with exchangeable products: symmetries, products at equal weights, forces, bad molecules."""

import numpy as np
import pytest
import torch

from models.gaunt_products.counting import exponent, operations
from models.gaunt_tp.backends import BACKENDS
from models.gaunt_tp.coupled import CoupledProduct
from models.gaunt_tp.layers import Gaunt, bessel
from models.gaunt_tp.molecules import Potential, energy_and_forces
from models.gaunt_tp.particles import ParticleNetwork
from models.geometry.frames import random_orthogonal
from models.geometry.spherical import gaunt_factor, wigner_d

F64 = torch.float64


@pytest.fixture(autouse=True)
def float64():
    torch.set_default_dtype(F64)
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(torch.float32)


def paths(top1, top2, top, even):
    return [
        (a, b, c)
        for c in range(top + 1)
        for a in range(top1 + 1)
        for b in range(top2 + 1)
        if abs(a - b) <= c <= a + b and not (even and (a + b + c) % 2)
    ]


def test_gaunt_is_one_choice_of_the_weights_of_the_even_paths():
    """Clebsch-Gordan over the even paths with the weights c becomes the Gaunt product: it is the larger family."""
    top = 3
    coupled, gaunt_like = CoupledProduct(top, top, top, channels=2, even=True), Gaunt(top, top, top, "auto")
    chosen = paths(top, top, top, True)
    count = {c: sum(p[2] == c for p in chosen) for c in range(top + 1)}
    scale = gaunt_like.scale[[c * c for c in range(top + 1)]]
    weight = [gaunt_factor(*p) * float(scale[p[2]]) / np.sqrt((2 * p[2] + 1) / count[p[2]]) for p in chosen]
    with torch.no_grad():
        coupled.weight[:] = torch.tensor(weight)
    x, y = torch.randn(5, 2, 16), torch.randn(5, 2, 16)
    torch.testing.assert_close(coupled(x, y), gaunt_like(x, y), rtol=0, atol=1e-12)


def test_all_paths_have_the_cross_product_and_even_paths_have_not():
    x, y = torch.zeros(1, 1, 4), torch.zeros(1, 1, 4)
    x[0, 0, 1:], y[0, 0, 1:] = torch.randn(3), torch.randn(3)
    cross = torch.linalg.cross(x[0, 0, 1:], y[0, 0, 1:])
    z = CoupledProduct(1, 1, 1)(x, y)[0, 0, 1:]
    torch.testing.assert_close(torch.linalg.cross(z, cross), torch.zeros(3), rtol=0, atol=1e-12)
    assert z.norm() > 0.1 * cross.norm()
    assert (CoupledProduct(1, 1, 1, even=True)(x, y)[0, 0, 1:] == 0).all()


@pytest.mark.parametrize("even", [True, False])
def test_coupled_products_turn_with_their_arguments(even):
    x, y = torch.randn(4, 2, 9), torch.randn(4, 2, 9)
    product = CoupledProduct(2, 2, 3, channels=2, even=even)
    torch.nn.init.normal_(product.weight)
    for sign in (1.0, -1.0) if even else (1.0,):
        d = wigner_d(3, sign * random_orthogonal(1, 3, proper=True, dtype=F64)[0])
        turned = product(x @ d[:9, :9].mT, y @ d[:9, :9].mT)
        torch.testing.assert_close(turned, product(x, y) @ d.mT, rtol=0, atol=1e-10)


def test_outputs_start_with_unit_variance():
    x, y = torch.randn(4000, 1, 9), torch.randn(4000, 1, 9)
    for product in (Gaunt(2, 2, 2, "auto"), CoupledProduct(2, 2, 2), CoupledProduct(2, 2, 2, even=True)):
        z = product(x, y)[:, 0].detach()
        for d in range(3):
            assert z[:, d * d : (d + 1) ** 2].var() == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize("kind, proper", [("gaunt", False), ("cg_even", False), ("cg", True)])
@pytest.mark.parametrize("degree", [1, 2])
def test_particle_networks_are_equivariant(kind, proper, degree):
    net = ParticleNetwork(kind, degree, 4, 2)
    torch.nn.init.normal_(net.speed[-1].weight)
    x, v, q = torch.randn(3, 5, 3), torch.randn(3, 5, 3), torch.randn(3, 5).sign()
    r = random_orthogonal(1, 3, proper=proper, dtype=F64)[0]
    r = r if proper or torch.linalg.det(r) < 0 else -r
    t = torch.randn(3)
    torch.testing.assert_close(net(x @ r.mT + t, v @ r.mT, q), net(x, v, q) @ r.mT + t, rtol=0, atol=1e-10)
    order = torch.tensor([3, 0, 4, 1, 2])
    torch.testing.assert_close(net(x[:, order], v[:, order], q[:, order]), net(x, v, q)[:, order], rtol=0, atol=1e-10)


def test_all_paths_break_reflections():
    """Why the network with all paths is held to rotations only."""
    net = ParticleNetwork("cg", 1, 4, 2)
    x, v, q = torch.randn(3, 5, 3), torch.randn(3, 5, 3), torch.randn(3, 5).sign()
    assert (net(-x, -v, q) + net(x, v, q)).abs().max() > 1e-4


def methanol(n=2):
    from ase.build import molecule

    atoms = molecule("CH3OH")
    r = torch.as_tensor(atoms.positions) + 0.05 * torch.randn(n, len(atoms), 3)
    return torch.as_tensor(atoms.numbers, dtype=torch.int64).expand(n, -1), r


@pytest.mark.parametrize("kind", ["gaunt", "cg_even", "cg"])
def test_potentials_are_invariant_and_forces_are_gradients(kind):
    net = Potential((1, 6, 8), kind, channels=4, top=2, neighbours=5.0).eval()
    z, r = methanol()
    energy, forces = energy_and_forces(net, z, r)
    turn = random_orthogonal(1, 3, proper=True, dtype=F64)[0] * (1.0 if kind == "cg" else -1.0)
    e, f = energy_and_forces(net, z, r @ turn.mT + torch.randn(3))
    torch.testing.assert_close(e, energy, rtol=0, atol=1e-10)
    torch.testing.assert_close(f, forces @ turn.mT, rtol=0, atol=1e-10)
    torch.testing.assert_close(forces.sum(1), torch.zeros(2, 3), rtol=0, atol=1e-10)
    step = torch.zeros_like(r)
    step[:, 2, 1] = 1e-5
    slope = (net(z, r + step) - net(z, r - step)) / 2e-5
    torch.testing.assert_close(-slope.detach(), forces[:, 2, 1].detach(), rtol=1e-5, atol=1e-7)


def test_padding_and_far_atoms_change_nothing():
    net = Potential((1, 6, 8), channels=4)
    z, r = methanol()
    padded = torch.nn.functional.pad(z, (0, 2)), torch.nn.functional.pad(r, (0, 0, 0, 2))
    torch.testing.assert_close(net(*padded), net(z, r), rtol=0, atol=1e-12)
    pair = torch.tensor([[6, 8]])
    apart = [net(pair, torch.tensor([[[0.0, 0, 0], [d, 0, 0]]])) for d in (4.999999, 5.000001, 50.0)]
    torch.testing.assert_close(apart[0], apart[1], rtol=0, atol=1e-6)
    torch.testing.assert_close(apart[1], apart[2], rtol=0, atol=1e-12)


def test_envelope_vanishes_with_two_derivatives_at_the_cutoff():
    d = torch.tensor([5.0], requires_grad=True)
    value = bessel(d, 5.0)[1]
    for _ in range(3):
        assert abs(value.item()) < 1e-10
        (value,) = torch.autograd.grad(value.sum(), d, create_graph=True)


def test_unknown_and_overlapping_atoms_are_one_sentence():
    net = Potential((1, 6, 8), channels=2)
    z, r = methanol(1)
    with pytest.raises(ValueError, match=r"atomic number 7 is unknown .* 1, 6, 8"):
        net(torch.where(z == 8, 7, z), r)
    with pytest.raises(ValueError, match="atomic number 92 is unknown"):
        net(torch.where(z == 8, 92, z), r)
    r[0, 1] = r[0, 0] + 0.01
    with pytest.raises(ValueError, match=r"less than 0.1 angstrom apart"):
        net(z, r)


def test_counted_operations_scale_as_stated():
    """The dense contraction grows faster than the others; the Fourier route 5 to 8 times from L = 4 to 8."""
    growth = {b: operations(BACKENDS[b](8, 8, 16)) / operations(BACKENDS[b](4, 4, 8)) for b in BACKENDS}
    assert growth["dense"] == pytest.approx(37.5, rel=0.02)
    assert 5 <= growth["fourier"] <= 8
    assert all(exponent("dense") > exponent(b) for b in ("grid", "sphere", "separable", "fourier"))
