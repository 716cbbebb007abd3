"""S-GCN: frames, harmonics and convolutions against their formulas, what it sees and what it does not, and the run of a cell."""

from __future__ import annotations

import dataclasses
import functools
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from e3nn import o3
from scipy.special import sph_harm_y

from bench import cell as cells
from bench import plan
from bench.schema import BenchError
from datasets.proteins.decoys.adapter import load
from datasets.proteins.decoys.config import Config as Decoys
from models.geometry.frames import random_orthogonal
from models.geometry.spherical import degrees, quadrature, spherical_harmonics, wigner_d
from models.geometry.spherical import points as sphere
from models.sgcn import nets
from models.sgcn.config import Config
from models.sgcn.frames import directions, frames
from models.sgcn.graphs import Graphs, GraphSet
from models.sgcn.layers import MessagePassing, SphericalConv, harmonics, rows

ORDER = 4


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@functools.cache
def bundle(**choices):
    given = {"name": "d", "train": 3, "val": 2, "test": 3, "decoys": 4, "residues": 20, "splits": 1, **choices}
    return load(Decoys(**given), fold="0", source="simulated", root=Path(), cache=Path())


@pytest.fixture(scope="module")
def graph() -> Graphs:
    """Two decoys of 20 residues, in float64."""
    return GraphSet(bundle().test).batch([0, 1])[0].double()


def small(seed: int = 0, **choices):
    """A network in float64 and evaluation mode, whose batch statistics are those of data and not the initial ones."""
    torch.manual_seed(seed)
    net = nets.network(Config(**{"order": ORDER, "encoder": [], "scorer": [], **choices}))
    split = GraphSet(bundle().test)
    net.standardise.fit(split.features)
    for m in net.modules():
        if isinstance(m, torch.nn.BatchNorm1d):
            m.momentum = None  # running statistics are means over the batches seen
    with torch.no_grad():
        for _ in range(3):
            net(split.batch(range(6))[0])
    return net.double().eval()


def moved(graph: Graphs, r: torch.Tensor, t: torch.Tensor) -> Graphs:
    return dataclasses.replace(graph, backbone=graph.backbone @ r.mT + t)


def dense(graph: Graphs, s: torch.Tensor) -> torch.Tensor:
    """The matrices S_k (order^2, N, N) written out."""
    n = len(graph.x)
    out = s.new_zeros(n, n, s.shape[-1])
    for i in range(n):
        for d, j in enumerate(graph.neighbour[i].tolist()):
            if graph.weight[i, d] > 0:
                out[i, j] += s[i, d]
    return out.permute(2, 0, 1)


# ------------------------------------------------------------------------------------------ frames and harmonics


def test_frames_turn_with_the_residue(graph):
    """R is a rotation; a motion (Q, t) gives Q R to 1e-12; a reflection P gives no P R, as that has determinant -1."""
    x = graph.backbone
    r = frames(x)
    assert torch.allclose(r.mT @ r, torch.eye(3).double().expand_as(r), atol=1e-12)
    assert torch.allclose(torch.linalg.det(r), torch.ones(len(r)).double())
    q = random_orthogonal(1, 3, generator(), proper=True)[0].double()
    assert torch.allclose(frames(x @ q.mT + 5.0), q @ r, atol=1e-12)
    p = torch.diag(torch.tensor([1.0, 1, -1]).double())
    assert (frames(x @ p) - p @ r).abs().amax((1, 2)).min() > 0.5


def test_frame_axes_by_hand():
    """CA at the origin, C along x, N in the upper xy plane: z = x cross (N - CA) is the z axis."""
    x = torch.tensor([[[-0.4, 1.2, 0.0], [0.0, 0, 0], [1.5, 0, 0]]])
    assert torch.allclose(frames(x)[0], torch.eye(3), atol=1e-6)


def test_frames_that_do_not_exist(graph):
    x = graph.backbone[:4].clone()
    x[2, 2] = x[2, 1] + 2 * (x[2, 1] - x[2, 0])
    for bad in (x, torch.full((1, 3, 3), torch.nan), torch.zeros(1, 3, 3)):
        with pytest.raises(
            ValueError, match="the frame of a residue is undefined: N, CA and C must be finite, distinct"
        ):
            frames(bad)
    with pytest.raises(ValueError, match=r"backbone has shape \(4, 3\)"):
        frames(x[:, 0])
    x = graph.backbone[:4].clone()
    x[3] = x[0]
    with pytest.raises(ValueError, match="two residues have their CA at the same place"):
        directions(x, torch.tensor([[3], [0], [0], [0]]))


def test_directions_are_those_of_the_frame(graph):
    """r_ij = R_i^T (p_j - p_i): lengths are distances, and R_i r_ij leads from i to j."""
    r = directions(graph.backbone, graph.neighbour)
    p = graph.backbone[:, 1]
    back = torch.einsum("nab,ndb->nda", frames(graph.backbone), r) + p[:, None]
    assert torch.allclose(back, p[graph.neighbour], atol=1e-10)
    assert float(r.norm(dim=-1).max()) < 10.0


def test_harmonics_sum_to_a_constant(graph):
    """sum_m Y_lm^2 = (2l + 1) / (4 pi) on every edge, for every degree, and 0 in the padding."""
    s = harmonics(graph, ORDER, normalise=False)
    edge = graph.weight > 0
    for degree in range(ORDER):
        square = s[..., degrees(ORDER - 1) == degree].square().sum(-1)
        assert torch.allclose(square[edge], torch.tensor((2 * degree + 1) / (4 * torch.pi)).double(), atol=1e-10)
    assert not s[~edge].any()


def test_harmonics_are_those_of_e3nn_and_scipy(graph):
    """To 1e-10 e3nn's with integral normalisation, and the real form of SciPy's about the polar axis y; orthonormal by quadrature."""
    r = directions(graph.backbone, graph.neighbour)[graph.weight > 0]
    y = spherical_harmonics(ORDER - 1, r)
    theirs = o3.spherical_harmonics(list(range(ORDER)), r, normalize=True, normalization="integral")
    assert torch.allclose(y, theirs, atol=1e-10)
    u = (r / r.norm(dim=-1, keepdim=True)).numpy()
    polar, azimuth = np.arccos(u[:, 1]), np.arctan2(u[:, 0], u[:, 2])
    for degree in range(ORDER):
        for m in range(-degree, degree + 1):
            z = sph_harm_y(degree, abs(m), polar, azimuth) * (-1) ** m * np.sqrt(2)
            real = z.real / np.sqrt(2) if m == 0 else z.real if m > 0 else z.imag
            assert np.allclose(y[:, degree * degree + degree + m].numpy(), real, atol=1e-10)
    cos_beta, weight, alpha = quadrature(2 * (ORDER - 1))
    at = spherical_harmonics(ORDER - 1, sphere(cos_beta, alpha))
    gram = 2 * torch.pi / len(alpha) * torch.einsum("b,bak,bal->kl", weight, at, at)
    assert torch.allclose(gram, torch.eye(ORDER**2).double(), atol=1e-10)


# ------------------------------------------------------------------------------------------ the layer


@pytest.mark.filterwarnings("ignore:Sparse CSR")
def test_layer_is_its_formula_with_dense_and_sparse_matrices(graph):
    """f(X W + sum_k S_k X W_k + b) with S_k written out, and with S_k as torch's sparse matrices, to 1e-12."""
    torch.manual_seed(0)
    layer = SphericalConv(23, 6, ORDER, torch.nn.functional.elu).double()
    torch.nn.init.normal_(layer.bias)
    s = harmonics(graph, ORDER)
    full = dense(graph, s)
    for matrices in (full, [m.to_sparse_csr() for m in full]):
        z = graph.x @ layer.own + layer.bias
        for m, w in zip(matrices, layer.weight, strict=True):
            z = z + m @ (graph.x @ w)
        assert torch.allclose(layer(graph.x, graph.neighbour, s), torch.nn.functional.elu(z), atol=1e-12)
    assert torch.allclose(full[0].sum(1) * np.sqrt(4 * np.pi), torch.ones(len(graph.x)).double())  # D^-1


def test_gradients_of_the_layer(graph):
    torch.manual_seed(0)
    layer = SphericalConv(2, 2, 2, torch.tanh).double()
    few = GraphSet(bundle(residues=8).test).batch([0])[0].double()
    x = torch.randn(8, 2, dtype=torch.float64, requires_grad=True)
    backbone = few.backbone.clone().requires_grad_()

    def f(x, backbone, *_):
        moving = dataclasses.replace(few, backbone=backbone)
        return layer(x, few.neighbour, harmonics(moving, 2))

    assert torch.autograd.gradcheck(f, (x, backbone, *layer.parameters()))


def test_order_one_is_message_passing(graph):
    """S_0 = A / (2 sqrt(pi)): the layer is f(X W + A X W_0 / (2 sqrt(pi)) + b), and does not change when all residues turn."""
    torch.manual_seed(0)
    layer = SphericalConv(23, 5, 1, torch.nn.functional.elu).double()
    s = harmonics(graph, 1)
    a = dense(graph, rows(graph, weights=False, normalise=True)[..., None])[0]
    expected = torch.nn.functional.elu(graph.x @ layer.own + a @ graph.x @ layer.weight[0] / (2 * np.sqrt(np.pi)))
    assert torch.allclose(layer(graph.x, graph.neighbour, s), expected, atol=1e-12)


def test_message_passing_is_its_formula(graph):
    """f(X W + sum_c f(A_c X W_c) + b) with dense A_c; near and far neighbours make two channels, each with row sums 1 or 0."""
    net = small(network="message_passing", encoder=[8], widths=[6, 5], scorer=[4])
    a = net.adjacency(graph)
    full = torch.stack([dense(graph, c[..., None])[0] for c in a.unbind(-1)])
    place = torch.arange(len(graph.x))
    near = (place[:, None] - place).abs() < 6
    assert not full[0][~near].any() and not full[1][near].any()
    total = full.sum(-1)
    assert torch.allclose(total, (total > 0.5).double(), atol=1e-12)
    layer = MessagePassing(23, 6, 2, torch.nn.functional.elu).double()
    f = torch.nn.functional.elu
    expected = f(
        graph.x @ layer.own + sum(f(m @ graph.x @ w) for m, w in zip(full, layer.weight, strict=True)) + layer.bias
    )
    assert torch.allclose(layer(graph.x, graph.neighbour, a), expected, atol=1e-12)


def test_isolated_residue(graph):
    """Without neighbours a residue keeps f(X W + b), also where no residue of the graph has one."""
    layer = SphericalConv(23, 5, ORDER, torch.nn.functional.elu).double()
    expected = torch.nn.functional.elu(graph.x @ layer.own + layer.bias)
    alone = dataclasses.replace(graph, weight=torch.where(torch.arange(len(graph.x))[:, None] == 3, 0.0, graph.weight))
    out = layer(graph.x, graph.neighbour, harmonics(alone, ORDER))
    assert torch.allclose(out[3], expected[3], atol=1e-12) and not torch.allclose(out[4], expected[4], atol=1e-3)
    none = dataclasses.replace(
        graph, neighbour=graph.neighbour[:, :0], weight=graph.weight[:, :0], apart=graph.apart[:, :0]
    )
    assert torch.allclose(layer(none.x, none.neighbour, harmonics(none, ORDER)), expected, atol=1e-12)


def test_filters_steer_with_the_frames(graph):
    """All frames turned by one Q and W_k -> D(Q^T) W_k: the same output to 1e-10; without the change of W another one."""
    torch.manual_seed(0)
    layer = SphericalConv(23, 5, ORDER, torch.nn.functional.elu).double()
    r = directions(graph.backbone, graph.neighbour)
    q = random_orthogonal(1, 3, generator(3), proper=True)[0].double()
    a = rows(graph, weights=False, normalise=True)[..., None]
    straight, turned = (a * spherical_harmonics(ORDER - 1, v) for v in (r, r @ q))  # Q^T r: the frame R Q
    out = layer(graph.x, graph.neighbour, straight)
    assert not torch.allclose(layer(graph.x, graph.neighbour, turned), out, atol=1e-3)
    d = wigner_d(ORDER - 1, q.mT)
    with torch.no_grad():
        layer.weight.copy_(torch.einsum("kl,lab->kab", d, layer.weight))
    assert torch.allclose(layer(graph.x, graph.neighbour, turned), out, atol=1e-10)


def test_widths_that_do_not_fit(graph):
    layer = SphericalConv(23, 5, 3, torch.tanh).double()
    with pytest.raises(ValueError, match=r"s has 16 harmonics and this layer 9"):
        layer(graph.x, graph.neighbour, harmonics(graph, 4))


# ------------------------------------------------------------------------------------------ the networks


@pytest.mark.parametrize("choices", [{}, {"widths": [6, 5, 4], "scorer": [7]}, {"weights": True}, {"normalise": False}])
def test_scores_are_invariant_and_see_chirality(graph, choices):
    """Rigid motions change nothing to 1e-10; a reflection does; the parameters of a network without directions see neither."""
    net = small(**choices)
    q = random_orthogonal(1, 3, generator(), proper=True)[0].double()
    y = net(graph)
    assert y.shape == (40,) and bool(((y > 0) & (y < 1)).all())
    assert torch.allclose(net(moved(graph, q, torch.tensor([5.0, -3, 40]).double())), y, atol=1e-10, rtol=0)
    p = torch.diag(torch.tensor([1.0, 1, -1]).double())
    assert (net(moved(graph, p, torch.zeros(3).double())) - y).abs().max() > 1e-3
    flat = small(**{**choices, "order": 1})
    assert torch.equal(flat(moved(graph, p, torch.zeros(3).double())), flat(graph))


def test_equivariant_baseline(graph):
    """e3nn's convolutions without frames: scores invariant under rigid motions (its tables are float32, hence 1e-5), changed by a
    reflection, permuted with the residues; a layer turns its vectors with the model."""
    net = small(network="equivariant", irreps="6x0e + 4x1e + 2x2e", layers=2, order=3)
    q = random_orthogonal(1, 3, generator(), proper=True)[0].double()
    y = net(graph)
    assert torch.allclose(net(moved(graph, q, torch.tensor([5.0, -3, 40]).double())), y, atol=1e-5, rtol=0)
    p = torch.diag(torch.tensor([1.0, 1, -1]).double())
    assert (net(moved(graph, p, torch.zeros(3).double())) - y).abs().max() > 1e-3
    order = torch.randperm(len(graph.x), generator=generator())
    back = order.argsort()
    other = Graphs(
        graph.x[order], graph.backbone[order], back[graph.neighbour[order]], graph.weight[order], graph.apart[order]
    )
    assert torch.allclose(net(other), y[order], atol=1e-10)


def test_residues_may_be_renumbered(graph):
    """A permutation of the residues permutes the scores."""
    net = small()
    order = torch.randperm(len(graph.x), generator=generator())
    back = order.argsort()
    other = Graphs(
        graph.x[order], graph.backbone[order], back[graph.neighbour[order]], graph.weight[order], graph.apart[order]
    )
    assert torch.allclose(net(other), net(graph)[order], atol=1e-12)


def test_batches_are_separate_models():
    """The scores of a model do not depend on what else is in its batch, whatever the sizes; y and sizes are in order."""
    net, split = small(), GraphSet(bundle().test)
    parts = torch.cat([net(split.batch([k])[0].double()) for k in (3, 0, 2)])
    graph, y = split.batch([3, 0, 2])
    assert torch.allclose(net(graph.double()), parts, atol=1e-12)
    assert torch.equal(y, torch.cat([split.y[20 * k : 20 * k + 20] for k in (3, 0, 2)]))


def test_neighbours_exchanged_in_direction():
    """Two neighbours of different kinds at one distance exchange their places: S-GCN sees it, message passing does not."""
    x = torch.eye(23).double()[[0, 1, 2]]
    backbone = torch.tensor([[-0.4, 1.2, 0.0], [0.0, 0, 0], [1.5, 0, 0]]).double().expand(3, 3, 3)
    at = torch.tensor([[0.0, 0, 0], [6.0, 0, 0], [0, 0, 6.0]]).double()
    graph = Graphs(
        x,
        backbone + at[:, None],
        torch.tensor([[1, 2], [0, 1], [0, 2]]),
        torch.tensor([[1.0, 1], [1, 0], [1, 0]]).double(),
        torch.tensor([[1, 2], [1, 0], [2, 0]]),
    )
    swapped = dataclasses.replace(graph, backbone=backbone + at[[0, 2, 1]][:, None])
    net, flat = small(), small(network="message_passing", encoder=[8], widths=[6, 5], scorer=[4])
    assert (net(graph)[0] - net(swapped)[0]).abs() > 1e-4
    assert torch.equal(flat(graph), flat(swapped))
    narrow = small(order=1)
    assert torch.equal(narrow(graph), narrow(swapped))


def test_contacts_weigh():
    """With weights, edges count by nearness: an edge of vanishing weight is as good as absent, and without weights it is not."""
    split = GraphSet(bundle().test)
    graph = split.batch([0])[0].double()
    faint, gone = (
        dataclasses.replace(graph, weight=torch.cat([graph.weight[:, :1] * f, graph.weight[:, 1:]], 1))
        for f in (1e-12, 0.0)
    )
    heavy, plain = small(weights=True), small()
    assert torch.allclose(heavy(faint), heavy(gone), atol=1e-8) and not torch.allclose(
        heavy(graph), heavy(gone), atol=1e-4
    )
    assert torch.equal(plain(faint), plain(graph)) and not torch.allclose(plain(gone), plain(graph), atol=1e-4)


def test_parameters():
    """A layer has (order^2 + 1) c_in c_out + c_out; S-GCN is 23-20-16-8-4-1 with two batch norms, S-GCN_s 23-20-16-14-12-8 and a
    perceptron 8-128-64-1; the controls have as many parameters as S-GCN of order 5, within 0.2 %."""

    def count(name: str, **choices) -> int:
        words = [f"method={name}", *(f"method.{k}={v}" for k, v in choices.items())]
        return sum(p.numel() for p in nets.network(plan.expand([*words, "fold=0"])[0].method).parameters())

    def formula(widths: list[int], order: int, norms: list[int]) -> int:
        return sum((order**2 + 1) * a * b + b for a, b in pairwise(widths)) + 2 * sum(norms)

    assert count("sgcn") == formula([23, 20, 16, 8, 4, 1], 5, [16, 4]) == 24_633
    assert count("sgcn", order=10) == formula([23, 20, 16, 8, 4, 1], 10, [16, 4])
    perceptron = 8 * 128 + 128 + 128 * 64 + 64 + 64 + 1
    assert count("sgcn_s") == formula([23, 20, 16, 14, 12, 8], 5, [16, 12]) + perceptron == 42_567
    assert count("sgcn_r") == 24_633
    for name in ("sgcn_wide", "residue_mp", "residue_e3nn"):
        assert abs(count(name) / 24_633 - 1) < 2e-3


def test_misspelt_nonlinearities():
    """As released, tanh and mish do nothing: the convolutions are then linear; the mathematics says otherwise."""
    for name in ("tanh", "mish"):
        assert nets.nonlinearity(name, official_parity=True) is torch.nn.Identity
        assert nets.nonlinearity(name) is not torch.nn.Identity
    assert nets.nonlinearity("elu", official_parity=True) is torch.nn.ELU
    assert isinstance(small(nonlinearity="tanh", official_parity=True).convs[0].f, torch.nn.Identity)
    assert isinstance(small(nonlinearity="tanh").convs[0].f, torch.nn.Tanh)


def test_layers_start_by_the_stated_rule():
    """Xavier's normal rule: variance 2 / (c_in + c_out) of W and of each W_k; b = 0."""
    torch.manual_seed(0)
    layer = SphericalConv(60, 40, 5, torch.tanh)
    assert float(layer.weight.detach().std()) == pytest.approx(np.sqrt(2 / 100), rel=0.02) and float(
        layer.own.detach().std()
    ) == pytest.approx(0.1414, rel=0.05)
    assert not layer.bias.any()


# ------------------------------------------------------------------------------------------ cells


WORDS = ["scale=smoke", "fold=0", "trainer.threads=1", "method.epochs=3", "data.train=4", "data.val=2", "data.test=3"]


def test_training_continues_where_it_stopped(tmp_path):
    """A cell ended at a clean place and started again gives the numbers of one that was not."""
    words = ["method=sgcn", *WORDS]
    whole = cells.run(plan.expand([*words, f"out={tmp_path / 'a'}"])[0])[1]
    assert cells.run(plan.expand([*words, f"out={tmp_path / 'b'}", "deadline=0"])[0])[0] == "stopped"
    outcome, again = cells.run(plan.expand([*words, f"out={tmp_path / 'b'}"])[0])
    assert outcome == "done" and again["metrics"] == whole["metrics"]


def test_cell_says_what_motions_do(tmp_path):
    """Rows of a trained network: errors under SE(3) below 1e-10, a change under reflection; none of either without directions."""
    for name, low in (("sgcn_s", 1e-4), ("sgcn_wide", None)):
        outcome, record = cells.run(plan.expand([f"method={name}", *WORDS, f"out={tmp_path}"])[0])
        assert outcome == "done", record["traceback"]
        found = {m["metric"]: m["value"] for m in record["metrics"]}
        assert found["equivariance_error_adversarial"] < 1e-10
        assert found["mirror_change"] > low if low else found["mirror_change"] == 0
    assert record["params"] == 24_644 and (Path(tmp_path) / "cells").is_dir()


def test_casp_cell(tmp_path):
    """The networks run on the stand-in of CASP, with Voronoi contacts and CAD scores."""
    for name in ("sgcn_r", "residue_mp", "neighbour_ridge"):
        cell = plan.expand([f"method={name}", "data=casp", "data.source=synthetic", *WORDS[:3], f"out={tmp_path}"])[0]
        outcome, record = cells.run(cell)
        assert outcome == "done" and record["origin"] == "synthetic_twin", record["traceback"]


def test_mistakes_in_the_words():
    for words, sentence in (
        (["method.widths=[]"], "method.widths needs one or more positive widths"),
        (["method.encoder=[8]"], "method.encoder belongs to network=message_passing"),
        (["method.network=message_passing"], "needs method.scorer"),
        (["method.network=equivariant", "method.irreps=8x1o"], "needs scalars and even irreps"),
        (["method.order=0"], "method.order=0"),
        (["data=nbody"], "takes protein_models"),
    ):
        with pytest.raises(BenchError, match=sentence.replace("[", r"\[")):
            cell = plan.expand(["method=sgcn", *words])[0]
            raise BenchError(cell.skip or "nothing was said")
