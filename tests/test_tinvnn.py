"""MDS canonicalisation: distances kept, symmetries removed, ambiguous clouds flagged."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from models.geometry.equivariance import EuclideanAction, equivariance_errors
from models.geometry.frames import DegenerateSpectrum, FrameAveraging, random_orthogonal
from models.nn.pointnet import PointNet
from models.tinvnn.mds import MDSCanonicalisation, canonicalise, classical_mds, diameter


def clouds(count: int = 6, n: int = 24, seed: int = 0) -> torch.Tensor:
    """Clouds with clearly different moments and skewed in every direction."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, n, 3, dtype=torch.float64, generator=generator)
    return (x + 0.5 * x**2) * torch.tensor([1.0, 1.8, 3.0], dtype=torch.float64) - 0.7


def moved(x: torch.Tensor, seed: int, *, proper: bool = False) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    q = random_orthogonal(len(x), 3, generator, proper=proper)
    t = torch.randn(len(x), 1, 3, dtype=torch.float64, generator=generator)
    return 2.7 * x @ q.mT + t


MIRROR = torch.diag(torch.tensor([1.0, 1.0, -1.0], dtype=torch.float64))


@pytest.mark.parametrize("scale", ["diameter", "rms", "none"])
def test_distances_are_kept(scale):
    """cdist(H, H) s = cdist(X, X) to 1e-10; H^T H is diagonal and descending, column means are 0."""
    x = clouds()
    h, s, flagged = canonicalise(x, scale=scale)
    options = {"compute_mode": "donot_use_mm_for_euclid_dist"}
    assert (torch.cdist(h, h, **options) * s[:, None, None] - torch.cdist(x, x, **options)).abs().max() < 1e-10
    gram = h.mT @ h
    diagonal = gram.diagonal(dim1=1, dim2=2)
    assert (gram - torch.diag_embed(diagonal)).abs().max() < 1e-10 * diagonal.max()
    assert (diagonal.diff(dim=-1) < 0).all() and h.mean(1).abs().max() < 1e-12
    assert not flagged.any()
    if scale == "diameter":
        assert torch.allclose(diameter(h), torch.ones(6, dtype=torch.float64))


@pytest.mark.parametrize("seed", range(3))
def test_invariant_under_similarities_and_moves_with_the_points(seed):
    """H(a X Q + t) = H(X) to 1e-8 for Q in O(3); permuted points give permuted rows."""
    x = clouds()
    h = canonicalise(x).h
    assert (canonicalise(moved(x, seed)).h - h).abs().max() < 1e-8
    order = torch.randperm(24, generator=torch.Generator().manual_seed(seed))
    assert (canonicalise(x[:, order]).h - h[:, order]).abs().max() < 1e-10


def test_gram_and_covariance_forms_agree_up_to_sign():
    x = clouds()
    squared = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist").square()
    gram, covariance = classical_mds(squared, 3), canonicalise(x, scale="none").h
    signs = (gram * covariance).sum(1, keepdim=True).sign()
    assert (gram * signs - covariance).abs().max() < 1e-8


def test_agrees_with_the_double_centred_gram_matrix_of_numpy():
    x = clouds(1)[0].numpy()
    centred = x - x.mean(0)
    values = np.linalg.eigvalsh(centred @ centred.T)[::-1][:3]
    h = canonicalise(torch.as_tensor(x)[None], scale="none").h[0].numpy()
    assert np.allclose((h**2).sum(0), values, rtol=1e-10)


def test_mirror_images():
    """The O(3) rule maps a chiral pair to one H, the proper rule to two; proper H is still invariant under SO(3)."""
    x = clouds()
    assert (canonicalise(x @ MIRROR).h - canonicalise(x).h).abs().max() < 1e-8
    proper = canonicalise(x, proper=True).h
    assert (canonicalise(x @ MIRROR, proper=True).h - proper).abs().amax((1, 2)).min() > 1e-2
    assert (canonicalise(moved(x, 5, proper=True), proper=True).h - proper).abs().max() < 1e-8


@pytest.mark.parametrize("sign", ["moment", "all"])
def test_any_network_becomes_invariant(sign):
    """Random and adversarial similarities change the scores by less than 1e-10, and those of the bare network by much."""
    torch.manual_seed(0)
    x, net = clouds(), PointNet(5, widths=(16, 16, 32), head=(16,)).double().eval()
    action = EuclideanAction("E(3)", scale=True)
    wrapped = MDSCanonicalisation(net, sign=sign, on_ambiguous="raise")
    assert equivariance_errors(wrapped, action, x, draws=4, steps=3).adversarial < 1e-10
    assert equivariance_errors(net, action, x, draws=4, steps=3).mean > 1e-2


def test_all_signs_are_the_frame_average():
    """sign="all" without scaling is frame averaging over E(3), axes in another order: equal for a network blind to that order."""
    torch.manual_seed(0)
    x = clouds()

    def blind(p):
        return torch.tanh(p.pow(3) + p).sum((1, 2))[:, None].square()

    a = MDSCanonicalisation(blind, sign="all", scale="none")(x)
    assert (a - FrameAveraging(blind, "E(3)")(x)).abs().max() < 1e-10


def test_random_signs_are_not_strictly_invariant():
    torch.manual_seed(0)
    net = PointNet(5, widths=(16, 16, 32), head=(16,)).double().eval()
    wrapped = MDSCanonicalisation(net, sign="random", votes=2)
    assert equivariance_errors(wrapped, EuclideanAction("E(3)"), clouds(), draws=4, steps=0).worst > 1e-3


def greedy_tour(x: np.ndarray) -> list[int]:
    """Nearest unvisited point, from the first one."""
    left, tour = set(range(1, len(x))), [0]
    while left:
        tour.append(min(left, key=lambda j: float(((x[j] - x[tour[-1]]) ** 2).sum())))
        left.remove(tour[-1])
    return tour


def test_tours_stay_and_lengths_scale():
    """A greedy tour depends on distances alone: the same on H as on X, its length divided by s."""
    x = clouds(1, 30)
    h, s, _ = canonicalise(x)
    a, b = x[0].numpy(), h[0].numpy()
    tour = greedy_tour(a)
    assert greedy_tour(b) == tour

    def length(p):
        return np.linalg.norm(p[tour] - p[np.roll(tour, 1)], axis=1).sum()

    assert abs(length(a) / length(b) / float(s[0]) - 1) < 1e-10


def test_ambiguous_clouds_are_flagged():
    """Cube and octahedron (equal moments), a cloud without odd moments, a line; a generic plane is fine."""
    cube = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=3)), dtype=torch.float64)
    octahedron = torch.cat([torch.eye(3), -torch.eye(3), torch.zeros(2, 3)]).double()
    even = cube * torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    line = torch.linspace(-1, 2, 8, dtype=torch.float64)[:, None] ** 3 * torch.ones(3, dtype=torch.float64)
    plane = clouds(1, 8)[0] * torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64)
    x = torch.stack([cube, octahedron, even, line, plane, clouds(1, 8)[0]])
    assert canonicalise(x).ambiguous.tolist() == [True, True, True, True, False, False]
    with pytest.warns(DegenerateSpectrum, match="4 of 6 clouds"):
        MDSCanonicalisation(lambda h: h.sum((1, 2)))(x)
    with pytest.raises(ValueError, match="not unique"):
        MDSCanonicalisation(lambda h: h.sum((1, 2)), on_ambiguous="raise")(x)
    p = plane[None]
    assert (canonicalise(moved(p, 2)).h - canonicalise(p).h).abs().max() < 1e-8


def test_gradients_reach_the_points_but_not_the_axes():
    x = clouds().requires_grad_()
    canonicalise(x).h.square().sum().backward()
    assert torch.isfinite(x.grad).all() and x.grad.abs().max() > 0


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: canonicalise(torch.randn(1, 2, 3)), "at least 3 points"),
        (lambda: canonicalise(torch.full((1, 5, 3), float("inf"))), "not finite"),
        (lambda: canonicalise(torch.ones(1, 5, 3)), "coincide"),
        (lambda: canonicalise(torch.randn(1, 5, 3), scale="max"), "diameter, rms or none"),
        (lambda: classical_mds(torch.zeros(2, 3, 4), 2), "batch, n, n"),
        (lambda: classical_mds(torch.zeros(1, 3, 3), 5), "d <= n"),
        (lambda: MDSCanonicalisation(lambda h: h, sign="first"), "moment, all, random"),
        (lambda: MDSCanonicalisation(lambda h: h, sign="all", proper=True), "sign='moment'"),
    ],
)
def test_bad_input_is_told_in_one_sentence(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
