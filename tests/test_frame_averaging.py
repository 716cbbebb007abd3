"""Frame averaging: exact symmetry, what breaks it, and what is said about inputs that have no frame."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
import torch
from torch import nn

from bench import plan
from bench.schema import BenchError
from models.frame_averaging.fa_gnn import FAGNN
from models.geometry.equivariance import EuclideanAction, equivariance_errors, permutation_errors
from models.geometry.frames import (
    DegenerateSpectrum,
    FrameAveraging,
    GroupAveraging,
    euclidean_frames,
    from_frames,
    random_orthogonal,
    to_frames,
)
from models.geometry.graph_frames import (
    PermutationFrameAveraging,
    all_orders,
    frame_sizes,
    reorder,
    spectral_rows,
    vertex_ranks,
)
from models.nn.dgcnn import DGCNN
from models.nn.gin import GIN, GraphMLP
from models.nn.particle_gnn import EGNN, GNN
from models.nn.pointnet import PointNet

EXACT = 1e-10
GROUPS = ("E(3)", "SE(3)", "O(3)", "SO(3)")


def clouds(count: int = 6, n: int = 20, seed: int = 0) -> torch.Tensor:
    """Chiral clouds with three clearly different moments, off the origin."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, n, 3, dtype=torch.float64, generator=generator)
    return (x + 0.3 * x**2) * torch.tensor([1.0, 1.7, 2.6], dtype=torch.float64) + 0.4


def motion(seed: int = 1, *, proper: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    q = random_orthogonal(1, 3, generator, proper=proper)[0]
    return q, torch.randn(3, dtype=torch.float64, generator=generator)


REFLECTION = torch.diag(torch.tensor([1.0, 1.0, -1.0], dtype=torch.float64))


def double(net: nn.Module) -> nn.Module:
    return net.double().eval()


BACKBONES = {
    "pointnet": lambda out, each: PointNet(out, widths=(16, 16, 32), head=(16,), per_point=each),
    "tnets": lambda out, each: PointNet(out, widths=(8, 8, 32), head=(16,), per_point=each, tnets=1),
    "dgcnn": lambda out, each: DGCNN(out, widths=(16, 16), top=32, head=(16,), k=6, per_point=each),
}


# ------------------------------------------------------------------------------------------ euclidean frames


@pytest.mark.parametrize("group", GROUPS)
def test_frames_are_a_group_valued_set_that_moves_with_the_cloud(group):
    """|F| = 2^d or 2^(d-1), O^T O = I, det = 1 for proper groups, the mean over the round trip is x, and F(g x) = g F(x)."""
    x, (q, t) = clouds(), motion(proper="S" in group)
    f = euclidean_frames(x, group)
    assert f.rotation.shape[1] == (4 if "S" in group else 8)
    eye = torch.eye(3, dtype=torch.float64)
    assert torch.allclose(f.rotation.mT @ f.rotation, eye.expand_as(f.rotation), atol=1e-12)
    if "S" in group:
        assert torch.allclose(torch.linalg.det(f.rotation), torch.ones(6, 4, dtype=torch.float64))
    back = from_frames(f, to_frames(f, x), centred=True)
    assert (back.mean(1) - x).abs().max() < 1e-12
    g = euclidean_frames(x @ q.T + (t if "E" in group else 0), group)
    moved = (q @ f.rotation)[:, :, None]
    distance = (moved - g.rotation[:, None]).abs().amax((-2, -1))
    assert distance.amin(2).max() < EXACT and distance.amin(1).max() < EXACT  # equal as sets
    if "E" in group:
        assert torch.allclose(g.center, f.center @ q.T + t, atol=1e-12)


@pytest.mark.parametrize(
    ("name", "group"), [(b, g) for b in BACKBONES for g in (GROUPS if b == "pointnet" else ("E(3)", "SO(3)"))]
)
def test_any_backbone_becomes_invariant_and_equivariant(group, name):
    """<phi>(g x) = <phi>(x) and <Phi>(g x) = g <Phi>(x) to 1e-10, over random and adversarial g; the bare backbone is neither."""
    torch.manual_seed(0)
    x = clouds(3, 12)
    scores = double(BACKBONES[name](5, False))
    vectors = double(BACKBONES[name](3, True))
    invariant = FrameAveraging(scores, group, on_degenerate="raise")
    e = equivariance_errors(invariant, EuclideanAction(group), x, draws=3, steps=2)
    assert e.adversarial < EXACT
    action = EuclideanAction(group, "vector")
    e = equivariance_errors(FrameAveraging(vectors, group, "equivariant"), action, x, draws=3, steps=2)
    assert e.adversarial < EXACT
    bare = equivariance_errors(scores, EuclideanAction(group), x, draws=3, steps=2)
    assert bare.adversarial >= bare.worst >= bare.mean > 1e-3


def test_proper_frames_see_reflections_and_full_frames_do_not():
    """SE(3) must fail in general for reflections of chiral clouds; E(3) must not."""
    torch.manual_seed(0)
    x, net = clouds(), double(BACKBONES["pointnet"](4, False))
    full, proper = FrameAveraging(net, "E(3)"), FrameAveraging(net, "SE(3)")
    assert (full(x @ REFLECTION) - full(x)).abs().max() < EXACT
    assert (proper(x @ REFLECTION) - proper(x)).abs().max() > 1e-4


def test_an_equivariant_backbone_is_left_as_it_is():
    """y_i = sum_j w_ij (x_j - mean) commutes with O(3) and is a fixed point of the wrapper."""
    w = torch.randn(20, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(3))

    def linear(x):
        return w @ (x - x.mean(1, keepdim=True))

    assert (FrameAveraging(linear, "E(3)", "equivariant")(clouds()) - linear(clouds())).abs().max() < 1e-12


@pytest.mark.parametrize("d", [1, 2, 4])
def test_other_dimensions(d):
    x = torch.randn(3, 12, d, dtype=torch.float64, generator=torch.Generator().manual_seed(d)) * (1 + torch.arange(d))
    net = double(nn.Sequential(nn.Flatten(), nn.Linear(12 * d, 4), nn.Tanh()))
    wrapped = FrameAveraging(net, f"E({d})")
    assert euclidean_frames(x, f"E({d})").rotation.shape[1] == 2**d
    assert equivariance_errors(wrapped, EuclideanAction(f"E({d})"), x, draws=3, steps=1).adversarial < EXACT


def test_positions_vectors_and_features():
    """Positions move, vectors turn, features stay: E(3) equivariance of a network without symmetry on all three."""
    torch.manual_seed(1)
    x, v = clouds(n=5), clouds(n=5, seed=4)
    charge = torch.randn(6, 5, dtype=torch.float64)
    net = FrameAveraging(double(GNN(12, 2)), "E(3)", "equivariant", positions=True)
    action = EuclideanAction("E(3)", "position")
    e = equivariance_errors(lambda p, u: net(p, u, charge=charge), action, x, v, draws=3, steps=2)
    assert e.adversarial < EXACT


def test_no_gradient_through_the_frame_and_one_through_the_points():
    x = clouds().requires_grad_()
    FrameAveraging(double(BACKBONES["pointnet"](2, False)))(x).sum().backward()
    assert torch.isfinite(x.grad).all() and x.grad.abs().max() > 0


def test_pieces_of_a_large_batch_give_the_same_numbers(monkeypatch):
    """Calls of B clouds each equal one call of B |F|, except where batch statistics are taken: then there is one call."""
    from models.geometry import frames

    seen = []

    def spy(p):
        seen.append(len(p))
        return torch.tanh(p).sum(1)

    x = clouds()
    whole = FrameAveraging(spy)(x)
    monkeypatch.setattr(frames, "POINTS_PER_CALL", 1)
    assert (FrameAveraging(spy)(x) - whole).abs().max() < 1e-14 and seen == [48] + [6] * 8
    net = nn.BatchNorm1d(20).double().train()
    assert frames._clouds_per_call(net, x) is None and frames._clouds_per_call(net.eval(), x) == 6


def test_group_average_converges_and_is_not_exact():
    """The Monte-Carlo mean over O(3) has the error of a Monte-Carlo mean; the frame average has none."""
    torch.manual_seed(0)
    x, net = clouds(), double(BACKBONES["pointnet"](4, False))
    few, many = (
        equivariance_errors(GroupAveraging(net, samples=k), EuclideanAction("E(3)"), x, draws=4, steps=0).mean
        for k in (4, 256)
    )
    assert few > 1e-3 and many < 0.4 * few


# ------------------------------------------------------------------------------------------ FA-GNN


@pytest.mark.parametrize(("group", "proper"), [("E(3)", False), ("SE(3)", True)])
def test_fa_gnn_is_equivariant(group, proper):
    """FA-GNN(Q x + t, Q v) = Q FA-GNN(x, v) + t to 1e-10 in float64, for det Q = -1 too; SE(3) frames fail there."""
    torch.manual_seed(0)
    net, x, v = double(FAGNN(12, 3, group)), clouds(n=5), clouds(n=5, seed=2)
    charge = torch.randn(6, 5, dtype=torch.float64)
    y = net(x, v, charge)
    assert not net.degenerate.any()
    for seed in range(4):
        q, t = motion(seed, proper=proper)
        assert (net(x @ q.T + t, v @ q.T, charge) - (y @ q.T + t)).abs().max() < EXACT
    error = (net(x @ REFLECTION, v @ REFLECTION, charge) - y @ REFLECTION).abs().max()
    assert error > 1e-5 if proper else error < EXACT


def test_egnn_is_equivariant_and_gnn_is_not():
    torch.manual_seed(0)
    x, v, charge = clouds(n=5), clouds(n=5, seed=2), torch.randn(6, 5, dtype=torch.float64)
    action = EuclideanAction("E(3)", "position")
    for net, exact in ((EGNN(12, 2), True), (GNN(12, 2), False)):
        net = double(net)
        e = equivariance_errors(lambda p, u, net=net: net(p, u, charge), action, x, v, draws=2, steps=2)
        assert (e.adversarial < EXACT) == exact


def test_messages_of_complete_graphs_agree_with_a_loop_over_pairs():
    torch.manual_seed(0)
    net = double(GNN(6, 1))
    x, v, q = clouds(2, 4), clouds(2, 4, seed=5), torch.randn(2, 4, dtype=torch.float64)
    layer, h = net.rounds[0], net.embed(torch.cat([x, v], -1))
    edge = nn.Sequential(layer.edge.first, nn.SiLU(), layer.edge.second, nn.SiLU())
    message = torch.zeros(2, 4, 6, dtype=torch.float64)
    for b, i, j in itertools.product(range(2), range(4), range(4)):
        if i != j:
            attributes = torch.stack([q[b, i] * q[b, j], (x[b, i] - x[b, j]).square().sum()])
            message[b, i] += edge(torch.cat([h[b, i], h[b, j], attributes]))
    expected = net.decode(h + layer.node(torch.cat([h, message], -1)))
    assert torch.allclose(net(x, v, q), expected, atol=1e-12)


# ------------------------------------------------------------------------------------------ degenerate and bad input


def test_degenerate_spectra_are_flagged_and_say_why():
    """Cube vertices, a line, and coincident points have no unique frame; a generic cloud and a generic plane have one."""
    cube = torch.tensor(list(itertools.product((-1.0, 1.0), repeat=3)), dtype=torch.float64)
    line = torch.linspace(-1, 1, 8, dtype=torch.float64)[:, None] * torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    point = torch.ones(8, 3, dtype=torch.float64)
    plane = clouds(1, 8)[0] * torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64)
    x = torch.stack([cube, line, point, plane, clouds(1, 8)[0]])
    assert euclidean_frames(x, "E(3)").degenerate.tolist() == [True, True, True, False, False]
    net = double(BACKBONES["pointnet"](2, False))
    for row, why in ((0, "moments are equal"), (1, "on a line"), (2, "coincide")):
        with pytest.raises(ValueError, match=why):
            FrameAveraging(net, on_degenerate="raise")(x[row : row + 1])
    wrapped = FrameAveraging(net)
    with pytest.warns(DegenerateSpectrum, match="3 of 5 clouds"):
        wrapped(x)
    assert wrapped.degenerate.tolist() == [True, True, True, False, False]


def test_a_cloud_on_a_plane_is_exact():
    torch.manual_seed(0)
    plane = clouds() * torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64)
    net = FrameAveraging(double(BACKBONES["pointnet"](3, True)), "E(3)", "equivariant", on_degenerate="raise")
    assert equivariance_errors(net, EuclideanAction("E(3)", "vector"), plane, draws=3, steps=0).worst < EXACT


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: euclidean_frames(torch.randn(2, 2, 3), "E(3)"), "at least 3 points"),
        (lambda: euclidean_frames(torch.full((1, 5, 3), float("nan")), "E(3)"), "not finite"),
        (lambda: euclidean_frames(torch.randn(5, 3), "E(3)"), "batch, points, dimensions"),
        (lambda: euclidean_frames(torch.randn(2, 5, 2), "E(3)"), "choose the group to fit"),
        (lambda: euclidean_frames(torch.randn(2, 5, 3), "U(3)"), "use E"),
        (lambda: FrameAveraging(nn.Identity(), mode="covariant"), "invariant or equivariant"),
        (lambda: FrameAveraging(nn.Identity(), positions=True), "needs mode='equivariant'"),
        (lambda: FrameAveraging(nn.Identity(), "SO(3)", "equivariant", positions=True), "origin fixed"),
        (lambda: FrameAveraging(lambda x: x.sum((1, 2)), "E(3)", "equivariant")(torch.randn(2, 5, 3)), "cannot turn"),
        (lambda: FrameAveraging(lambda x: x[..., :2], "E(3)", "equivariant")(torch.randn(2, 5, 3)), "multiple of 3"),
        (lambda: FAGNN(10), "multiple of 3"),
        (lambda: FAGNN(12, group="E(2)"), "E\\(3\\) or SE\\(3\\)"),
        (lambda: DGCNN(2, k=20)(torch.randn(2, 5, 3)), "no 20 neighbours"),
        (lambda: EuclideanAction("E(3)", "tensor"), "invariant, vector"),
    ],
)
def test_bad_input_is_told_in_one_sentence(make, sentence):
    with warnings.catch_warnings(), pytest.raises(ValueError, match=sentence):
        warnings.simplefilter("ignore")
        make()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("method=frame_averaging", "method.width=61"), "multiple of 3"),
        (("method=egnn_nbody", "method.frames=layers"), "frames=input"),
        (("method=ga_gin", "method.samples=0"), "method.samples"),
        (("method=pointnet", "method.backbone=dgcnn", "method.tnets=true"), "pointnet"),
        (("method=frame_averaging", "data.train=2000"), "10000 simulations"),
    ],
)
def test_choices_that_contradict_are_refused_before_the_run(words, sentence):
    with pytest.raises(BenchError, match=sentence):
        plan.expand([*words])


# ------------------------------------------------------------------------------------------ graphs


@pytest.fixture(scope="module")
def seven() -> torch.Tensor:
    from datasets.graphs.sets import connected_seven

    return torch.as_tensor(np.stack(connected_seven()))


@pytest.fixture(scope="module")
def ranks(seven) -> torch.Tensor:
    return vertex_ranks(spectral_rows(seven))


def relabelled(a: torch.Tensor, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    order = torch.rand(a.shape[:2], generator=torch.Generator().manual_seed(seed)).argsort(-1)
    return reorder(a, order), order


def test_frames_of_the_853_graphs_have_the_sizes_of_the_card(ranks):
    """Mean 34.9, median 4, at most 7! = 5,040 elements."""
    sizes = frame_sizes(ranks)
    assert round(float(sizes.mean()), 1) == 34.9 and sizes.median() == 4 and sizes.max() == 5040


def test_ranks_move_with_the_vertices_and_frames_are_complete(seven, ranks):
    """rank(P A) = P rank(A); every order keeps ties together, occurs once, and there are |F| of them."""
    moved, order = relabelled(seven)
    assert torch.equal(vertex_ranks(spectral_rows(moved)), ranks.gather(1, order))
    orders, owner = all_orders(ranks)
    assert torch.equal(torch.bincount(owner), frame_sizes(ranks).long())
    assert (ranks[owner].gather(1, orders).diff(dim=-1) >= 0).all()
    assert len(torch.unique(torch.cat([owner[:, None], orders], 1), dim=0)) == len(orders)


def test_exact_frame_average_is_invariant_and_a_sampled_one_is_not(seven):
    """L1 between two relabelled copies of one graph: below 1e-12 for the frame; a sampled mean over S_n separates a graph from itself."""
    torch.manual_seed(0)
    net = double(GIN(7, 0, 10, identity=True))
    some, (moved, _) = seven[::9], relabelled(seven[::9])
    exact = PermutationFrameAveraging(net)
    assert (exact(some) - exact(moved)).abs().sum(-1).max() < 1e-12
    drawn = PermutationFrameAveraging(net, average="group", samples=24)
    assert (drawn(some) - drawn(moved)).abs().sum(-1).max() > 1e-2


def test_equivariant_mode_moves_with_the_vertices(seven):
    torch.manual_seed(0)
    weights = torch.randn(7, 7, dtype=torch.float64)

    def per_vertex(a, f, mask):
        return torch.tanh(a @ weights)

    net = PermutationFrameAveraging(per_vertex, "equivariant")
    some, (moved, order) = seven[::9], relabelled(seven[::9])
    y = net(some)
    assert (net(moved) - y.gather(1, order[..., None].expand_as(y))).abs().max() < 1e-12


def test_grouping_by_float_equality_breaks_degenerate_graphs(seven):
    """The finding behind official_parity: without a tolerance eigenspaces fall apart and the average depends on the labels."""
    torch.manual_seed(0)
    net = double(GIN(7, 0, 10, identity=True))
    moved, _ = relabelled(seven)
    parity = PermutationFrameAveraging(net, official_parity=True)
    assert (parity(seven) - parity(moved)).abs().sum(-1).max() > 1e-2


def test_separation_of_seven_vertices(seven):
    """1-WL leaves exactly 17 pairs; a random tanh GIN in float64 is as strong as 1-WL; FA-GIN+ID leaves none."""
    from models.graph_separation.refinement import pairs_within, wl_classes

    assert pairs_within(wl_classes(seven.numpy())) == 17
    torch.manual_seed(0)
    mask = torch.ones(853, 7, dtype=torch.bool)
    y = double(GIN(7, 0, 10))(seven, None, mask)
    assert int((torch.cdist(y, y, p=1) < 1e-9).triu(1).sum()) == 17
    y = PermutationFrameAveraging(double(GIN(7, 0, 10, width=32, identity=True)))(seven)
    assert int((torch.cdist(y, y, p=1) < 1e-3).triu(1).sum()) == 0


def test_odd_graphs(seven):
    """Without edges, disconnected, one vertex, padded: all have frames; large ones must be sampled."""
    net = double(GraphMLP(4, 0, 3, widths=(8,)))
    empty = torch.zeros(1, 4, 4, dtype=torch.float64)
    assert frame_sizes(vertex_ranks(spectral_rows(empty))).tolist() == [24]
    apart = torch.block_diag(*[torch.tensor([[0.0, 1.0], [1.0, 0.0]])] * 2)[None].double()
    for a in (empty, apart):
        moved, _ = relabelled(a, 3)
        averaged = PermutationFrameAveraging(net)
        assert (averaged(a) - averaged(moved)).abs().max() < 1e-12
    with pytest.raises(ValueError, match="samples=k"):
        PermutationFrameAveraging(net)(torch.zeros(1, 12, 12, dtype=torch.float64))
    padded = torch.zeros(1, 9, 9, dtype=torch.float64)
    padded[:, :7, :7] = seven[400]
    mask = torch.arange(9)[None] < 7
    own = vertex_ranks(spectral_rows(padded, mask), mask)[0, :7]
    assert torch.equal(own, vertex_ranks(spectral_rows(seven[400:401]))[0])
    gin = PermutationFrameAveraging(double(GIN(9, 0, 3, identity=True)))
    assert permutation_errors(lambda a, f, m: gin(a, f, m), padded, None, mask).adversarial < 1e-12


@pytest.mark.parametrize(
    ("a", "sentence"),
    [
        (torch.zeros(3, 4), "graphs, n, n"),
        (torch.full((1, 3, 3), float("nan")), "not finite"),
        (torch.triu(torch.ones(1, 3, 3), 1), "not symmetric"),
    ],
)
def test_bad_graphs_are_told_in_one_sentence(a, sentence):
    with pytest.raises(ValueError, match=sentence):
        PermutationFrameAveraging(lambda a, f, m: a.sum((1, 2)))(a)


def test_an_output_without_vertices_cannot_be_equivariant(seven):
    with pytest.raises(ValueError, match="cannot carry S_n"):
        PermutationFrameAveraging(lambda a, f, m: a.sum((1, 2)), "equivariant")(seven[:2])
