"""SHS-Net: its layers against their formulas, what it sees and what it does not, its loss, the metric, and the local fits."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from bench import cell as cells
from bench import plan
from bench.schema import BenchError, MissingData
from datasets.points.closed import CLOSED, draw_closed
from datasets.points.closed_shapes.adapter import load as load_closed
from datasets.points.closed_shapes.config import Config as Closed
from datasets.points.oriented import errors, rms
from datasets.points.oriented_scans.adapter import load as load_scans
from datasets.points.oriented_scans.config import Config as Scans
from datasets.points.pcpnet.adapter import load as load_pcpnet
from datasets.points.pcpnet.config import Config as PCPNet
from models.geometry.equivariance import EuclideanAction, equivariance_errors
from models.geometry.frames import random_orthogonal
from models.geometry.neighbourhoods import jet_normals, nearest, pca_normals, principal_axes
from models.normal_fitting.config import Config as Fitting
from models.normal_fitting.orient import orient_mst, orient_radial
from models.shs_net.config import Config
from models.shs_net.encoder import FusionNet, PointEncoder
from models.shs_net.layers import GraphConv, PileConv
from models.shs_net.loss import losses, plane_weights
from models.shs_net.meter import oriented_normals
from models.shs_net.net import Output, SHSNet, neighbours
from models.shs_net.patches import CloudSet, align, density_gradient, to_query

REAL = Path(os.environ.get("BENCH_DATA", "nowhere"))
SCANS = pytest.mark.skipif(not (REAL / "pcpnet_hough_shapes").is_dir(), reason="no scans under BENCH_DATA")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def cloud(n: int = 300, seed: int = 0) -> torch.Tensor:
    """A generic cloud (n, 3) in float64."""
    return torch.randn(n, 3, dtype=torch.float64, generator=generator(seed)) * torch.tensor([1.0, 1.7, 2.6]).double()


def small(seed: int = 0, **options) -> SHSNet:
    """A small network in float64 and evaluation mode, with batch statistics that are not the initial ones."""
    torch.manual_seed(seed)
    net = SHSNet(32, 4, **options).double()
    for m in net.modules():
        if isinstance(m, torch.nn.BatchNorm1d):
            m.momentum = None  # running statistics are means over the batches seen, so that signals keep their size
    with torch.no_grad():
        for _ in range(3):
            net(torch.randn(6, 32, 3, dtype=torch.float64), torch.randn(6, 48, 3, dtype=torch.float64))
    return net.eval()


# ------------------------------------------------------------------------------------------ the network


def test_parameters_of_the_paper():
    """3,274,248 at 700 points, 1,200 points and 16 neighbours; the numbers of points do not change it."""
    assert sum(p.numel() for p in SHSNet(128, 16).parameters()) == 3_274_248


def test_paper_sizes_run_forward_and_backward():
    """N = 700, M = 1200, k = 16: 43 nearest normals, and every parameter gets a gradient from the loss."""
    torch.manual_seed(0)
    net = SHSNet(128, 16)
    patch = torch.randn(2, 700, 3)
    patch = (patch - patch[:, :1])[:, (patch - patch[:, :1]).norm(dim=-1)[0].argsort()]
    out = net(patch, torch.randn(2, 1200, 3))
    assert out.near.shape == (2, 43, 3) and out.weights.shape == (2, 43) and out.normal.shape == (2, 3)
    assert torch.allclose(out.normal.norm(dim=-1), torch.ones(2)) and torch.allclose(
        out.near.norm(dim=-1), torch.ones(2, 43)
    )
    target = torch.nn.functional.normalize(torch.randn(2, 43, 3), dim=-1)
    sum(losses(out, target[:, 0], target, patch).values()).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in net.parameters())


def dense(layer, x):
    """ReLU(BN(W x + b)) in training mode, written out."""
    h = x @ layer.linear.weight.T + layer.linear.bias
    rows = h.flatten(0, -2)
    h = (h - rows.mean(0)) / (rows.var(0, unbiased=False) + layer.norm.eps).sqrt()
    return (h * layer.norm.weight + layer.norm.bias).clamp_min(0)


@pytest.mark.parametrize("kind", ["relative", "full", "point"])
def test_graph_convolution(kind):
    """Edge by edge: y1 = [L1(edge), f_i], y2 = [L2(y1), y1], y3 = [L3(y2), y2], max_j (W y3 + b)."""
    torch.manual_seed(1)
    conv = GraphConv(6, 4, kind).double()
    f, pos = torch.randn(2, 9, 6, dtype=torch.float64), torch.randn(2, 9, 3, dtype=torch.float64)
    near = None if kind == "point" else neighbours(pos, 3)
    got = conv(f, pos, near)
    if near is None:
        edge, own = f[:, :, None], f[:, :, None]
    else:
        own = f[:, :, None].expand(-1, -1, 3, -1)
        fj = torch.stack([f[b][near[b]] for b in range(2)])
        pj = torch.stack([pos[b][near[b]] for b in range(2)])
        edge = (
            torch.cat([pj - pos[:, :, None], fj - own], -1)
            if kind == "relative"
            else torch.cat([own, fj, fj - own], -1)
        )
    y = torch.cat([dense(conv.first, edge), own], -1)
    y = torch.cat([dense(conv.second, y), y], -1)
    y = torch.cat([dense(conv.third, y), y], -1)
    want = (y @ conv.out.weight.T + conv.out.bias).amax(2)
    assert got.shape == (2, 9, 18) and (got - want).abs().max() < 1e-12


def test_pile_convolution():
    """The first m points stay, each beside g = L2(max_i L1(w_i x_i)); a far point matters through g alone."""
    torch.manual_seed(2)
    conv = PileConv(8, 10).double()
    x, w = torch.randn(3, 7, 8, dtype=torch.float64), torch.rand(3, 9, dtype=torch.float64)
    g = dense(conv.mid, dense(conv.inner, x * w[:, :7, None]).amax(1, keepdim=True))
    want = dense(conv.outer, torch.cat([x[:, :4], g.expand(3, 4, -1)], -1))
    assert (conv(x, 4, w) - want).abs().max() < 1e-12 and want.shape == (3, 4, 10)


def test_fusion_network():
    """lift 3 - 64 (ReLU) - 64; 124 - 128 - 128 - 4, then [x, lift, code] - 128 - 64, ReLU between and none at the end."""
    torch.manual_seed(3)
    net = FusionNet(60, 128, 64).double()
    pos, code = torch.randn(2, 5, 3, dtype=torch.float64), torch.randn(2, 5, 60, dtype=torch.float64)
    linears = [m for m in net.modules() if isinstance(m, torch.nn.Linear)]
    assert [tuple(m.weight.shape) for m in linears] == [
        (64, 3),
        (64, 64),
        (128, 124),
        (128, 128),
        (4, 128),
        (128, 128),
        (64, 128),
    ]

    def step(x, k):
        return x @ linears[k].weight.T + linears[k].bias

    given = torch.cat([step(step(pos, 0).relu(), 1), code], -1)
    x = step(step(step(given, 2).relu(), 3).relu(), 4).relu()
    want = step(step(torch.cat([x, given], -1), 5).relu(), 6)
    assert (net(pos, code) - want).abs().max() < 1e-12


def test_distance_weights_average_to_one():
    """w_i is proportional to sigmoid(beta - alpha |p_i|), mean 1, and falls with distance where alpha > 0; no gradient to positions."""
    encoder = PointEncoder(32, neighbours=False).double()
    pos = torch.randn(4, 50, 3, dtype=torch.float64, requires_grad=True)
    w = encoder.weights(pos)
    assert (w.mean(1) - 1).abs().max() < 1e-12
    raw = torch.sigmoid(1 - pos.norm(dim=-1))
    assert (w / raw - (w / raw)[:, :1]).abs().max() < 1e-12
    assert (w.gather(1, pos.norm(dim=-1).argsort(1)).diff(dim=1) <= 0).all()
    w.square().sum().backward()
    assert pos.grad is None and encoder.alpha.grad is not None


def test_neighbours_of_a_patch():
    """The k nearest other points; among coincident points the point itself is never its neighbour, unless code is followed."""
    x = cloud(20)[None]
    distance = torch.cdist(x, x)
    near = neighbours(x, 4)
    assert (distance.gather(2, near) == distance.sort(-1).values[..., 1:5]).all()
    x[0, 1:4] = x[0, 0]
    own = torch.arange(20)[None, :, None]
    assert not (neighbours(x, 4) == own).any()
    assert (neighbours(x, 4, official_parity=True)[0, 6:] == neighbours(x, 4)[0, 6:]).all()


def test_deterministic_and_a_batch_of_one():
    net, x, s = small(), torch.randn(5, 32, 3).double(), torch.randn(5, 48, 3).double()
    a, b = net(x, s), net(x, s)
    assert all((u == v).all() for u, v in zip(a, b, strict=True))
    one = net(x[:1], s[:1])
    assert all((u[:1] - v).abs().max() < 1e-12 for u, v in zip(a, one, strict=True))


def test_the_global_code():
    """With the code zeroed the sample changes nothing; with it, it does."""
    x, s = torch.randn(5, 32, 3).double(), torch.randn(2, 5, 48, 3).double()
    blind, full = small(global_code=False), small()
    assert (blind(x, s[0]).logit == blind(x, s[1]).logit).all()
    assert (full(x, s[0]).logit - full(x, s[1]).logit).abs().max() > 1e-3


def test_test_time_sign():
    out = Output(torch.eye(3), torch.tensor([0.5, -0.1, 0.0]), torch.zeros(3, 1, 3), torch.zeros(3, 1))
    assert (out.oriented() == torch.diag(torch.tensor([1.0, -1.0, 1.0]))).all()


def test_paper_scale_takes_a_step(tmp_path):
    """700 + 1200 points, 16 neighbours, full width on a PCPNet-style folder's stand-in: one batch, then the test points."""
    words = [
        "experiment=shs_net/pcpnet",
        "scale=paper",
        "data.source=synthetic",
        f"out={tmp_path}",
        "trainer.threads=1",
    ]
    cell = next(c for c in plan.expand(words) if c.method.name == "shs_net")
    assert (cell.method.patch, cell.method.sample, cell.method.neighbours, cell.method.batch) == (700, 1200, 16, 145)
    words += ["method.batch=2", "method.steps=1", "method.meter=1", "data.query=1"]
    outcome, record = cells.run(next(c for c in plan.expand(words) if c.method.name == "shs_net"))
    assert outcome == "done", record["traceback"]
    assert record["params"] == 3_274_248


def test_training_continues_where_it_stopped(tmp_path):
    """A cell ended at a clean place and started again gives the numbers of one that was not."""
    words = ["method=shs_net", "scale=smoke", "fold=0", "method.patches=8", "method.meter=1"]
    whole = cells.run(plan.expand([*words, f"out={tmp_path / 'a'}"])[0])[1]
    assert cells.run(plan.expand([*words, f"out={tmp_path / 'b'}", "deadline=0"])[0])[0] == "stopped"
    cell = plan.expand([*words, f"out={tmp_path / 'b'}"])[0]
    outcome, again = cells.run(cell)
    assert outcome == "done"
    assert [m for m in again["metrics"] if m["unit"] != "s"] == [m for m in whole["metrics"] if m["unit"] != "s"]


# ------------------------------------------------------------------------------------------ what it sees


def test_patch_and_sample():
    """The patch: the nearest points by distance, the query first at the origin, radius 1. The sample: radius of the whole cloud."""
    x = cloud(300).float()
    clouds = CloudSet([x, x[:200]], 32)
    owner, query = torch.tensor([0, 1, 1]), torch.tensor([7, 11, 150])
    drawn = clouds.draw(owner, query, 32, 48, generator())
    patch, sample = clouds.cut(owner, drawn)
    for b in range(3):
        pts = x[: (300, 200)[owner[b]]]
        d = (pts - pts[query[b]]).norm(dim=1)
        assert (drawn.patch[b] == d.argsort()[:32]).all() and drawn.patch[b, 0] == query[b]
        assert torch.allclose(patch[b], (pts - pts[query[b]])[drawn.patch[b]] / d.sort().values[31])
        assert torch.allclose(sample[b], (pts - pts[query[b]])[drawn.sample[b]] / d.max())
        assert len(set(drawn.sample[b].tolist())) == 48 and (drawn.sample[b] == query[b]).any()


def test_clouds_far_from_the_origin_lose_nothing():
    """A cloud a million of its sizes away has the patches of the one at the origin, to the rounding of float32."""
    x, owner, query = cloud(100), torch.zeros(3, dtype=torch.long), torch.tensor([0, 5, 9])
    cuts = []
    for shift in (0.0, 1e6):
        clouds = CloudSet([x + shift], 32)
        cuts.append(clouds.cut(owner, clouds.draw(owner, query, 32, 48, generator())))
    assert all((a - b).abs().max() < 1e-5 for a, b in zip(*cuts, strict=True))


def test_the_query_is_first_among_coincident_points():
    x = torch.cat([cloud(60).float(), torch.zeros(3, 3)])
    drawn = CloudSet([x], 16).draw(torch.tensor([0]), torch.tensor([62]), 16, 16, generator())
    assert drawn.patch[0, 0] == 62 and set(drawn.patch[0, :3].tolist()) == {60, 61, 62}


def test_sampling_thins_out_with_distance():
    """Inclusion of the first draw is p_i / sum p with p = clip(1 - 1.5 d, 0.05, 1), and 1 for int(M / 1.5) uniform ids."""
    d = torch.tensor([[0.0, 0.2, 0.4, 0.8, 1.0]]).expand(40_000, -1)
    first = density_gradient(d, torch.full((40_000,), 5), 1, generator())  # int(1 / 1.5) = 0 uniform ids
    p = torch.tensor([1.0, 0.7, 0.4, 0.05, 0.05])
    share = torch.bincount(first[:, 0], minlength=5) / 40_000
    assert (share - p / p.sum()).abs().max() < 0.01
    many = density_gradient(torch.linspace(0, 1, 2000)[None].expand(50, -1), torch.full((50,), 2000), 300, generator())
    assert all(len(set(row.tolist())) == 300 for row in many)
    near, far = (many < 1000).float().mean(), (many >= 1400).float().mean()
    # 200 ids drawn evenly have p = 1, the others fall to the floor: expected shares from the first-order formula
    q = torch.clamp(1 - 1.5 * torch.linspace(0, 1, 2000), 0.05, 1)
    q = 0.1 * 1 + 0.9 * q
    assert abs(near - q[:1000].sum() / q.sum()) < 0.06 and abs(far - q[1400:].sum() / q.sum()) < 0.06


def test_small_clouds_are_shuffled_and_padded():
    """Fewer points than the sample: each occurs once, in random order, then the query's own place fills up."""
    x = cloud(20).float()
    clouds = CloudSet([x], 16)
    owner, query = torch.zeros(200, dtype=torch.long), torch.full((200,), 3)
    drawn = clouds.draw(owner, query, 16, 32, generator())
    assert (drawn.sample[:, :20].sort(1).values == torch.arange(20)).all() and (drawn.sample[:, 20:] == -1).all()
    assert abs((drawn.sample[:, 0] == 0).float().mean() - 0.05) < 0.05
    assert (clouds.cut(owner, drawn)[1][:, 20:] == 0).all()


@pytest.mark.parametrize("options", [{}, {"signs": "moment"}, {"official_parity": True}])
def test_principal_axes(options):
    """U is orthogonal, the query stays at 0, distances stay, variances fall, and n U U^T = n; the released way agrees up to sign."""
    x = torch.stack([cloud(40, s) for s in range(5)])
    x = x - x[:, :1]
    u = align(x, **options)
    y = x @ u
    eye = torch.eye(3, dtype=torch.float64)
    assert (u.mT @ u - eye).abs().max() < 1e-12 and y[:, 0].abs().max() == 0
    assert (torch.cdist(y, y) - torch.cdist(x, x)).abs().max() < 1e-6
    covariance = torch.stack([torch.cov(p.T) for p in y])
    assert (covariance - torch.diag_embed(covariance.diagonal(dim1=1, dim2=2))).abs().max() < 1e-10
    assert (covariance.diagonal(dim1=1, dim2=2).diff(dim=-1) < 0).all()
    n = torch.nn.functional.normalize(torch.randn(5, 4, 3).double(), dim=-1)
    assert (n @ u @ u.mT - n).abs().max() < 1e-12 and ((n @ u).norm(dim=-1) - 1).abs().max() < 1e-12
    assert ((u.mT @ align(x)).abs() - eye).abs().max() < 1e-6


def raw(net: SHSNet, x: torch.Tensor, **axes):
    """Normals at the first 6 points of a cloud x (n, 3), with sampling that depends on indices alone."""
    q = torch.arange(6)
    d = torch.cdist(x[q], x)
    near, far = d.argsort(1)[:, :32], d.argmax(1)
    sample = torch.stack([torch.randperm(len(x), generator=generator(i))[:48] for i in range(6)])
    return oriented_normals(net, x[near], x[sample], x[far], **axes), x[near]


def test_translation_and_scale_change_nothing():
    """The output depends on (p - q) / r alone: a moved and scaled cloud gives the same normals to 1e-5, in float64 to rounding."""
    x = cloud(200)
    net = small()
    base, _ = raw(net, x)
    for scale, shift in ((7.3, 0.0), (0.02, 5.0), (1.0, -100.0)):
        assert (raw(net, scale * x + shift)[0] - base).abs().max() < 1e-9
    net = net.float()
    assert (raw(net, (3.0 * x + 2.0).float())[0] - raw(net, x.float())[0]).abs().max() < 1e-5


def test_rotation_acts_through_the_signs_of_the_axes_alone():
    """Where R^T U' = U D with D = diag(+-1) is the identity, normals turn with the cloud; moments about the query make it so always."""
    x, net = cloud(200), small()
    base, patch = raw(net, x)
    moved = 0
    for seed in range(6):
        r = random_orthogonal(1, 3, generator(seed), proper=seed % 2 == 0)[0]
        got, turned = raw(net, x @ r.T)
        u, v = align(to_query(patch, patch, patch[:, -1])[0]), align(to_query(turned, turned, turned[:, -1])[0])
        d = u.mT @ r.T @ v
        assert (d.abs() - torch.eye(3)).abs().max() < 1e-9
        same = (d - torch.eye(3)).abs().amax((1, 2)) < 1e-9
        assert (got - base @ r.T)[same].abs().max() < 1e-9 if same.any() else True
        moved += int((~same).sum())
        fixed = raw(net, x, signs="moment")[0]
        assert (raw(net, x @ r.T, signs="moment")[0] - fixed @ r.T).abs().max() < 1e-9
    assert moved > 0


def test_meter_sees_the_arbitrary_signs():
    """The harness's meter: to 1e-10 with signs from moments under O(3) and similarity, and far from it with arbitrary ones."""
    x, net = cloud(200), small()
    d = torch.cdist(x[:4], x)
    points = torch.cat([x[d.argsort(1)[:, :32]], x[None, 50:98].expand(4, -1, -1), x[d.argmax(1)][:, None]], 1)

    def f(signs):
        return lambda p: oriented_normals(net, p[:, :32], p[:, 32:-1], p[:, -1], signs=signs)

    action = EuclideanAction("E(3)", "vector", scale=True)
    assert equivariance_errors(f("moment"), action, points, draws=3, steps=2).adversarial < 1e-10
    assert equivariance_errors(f("arbitrary"), action, points, draws=3, steps=0).worst > 1e-3


@pytest.mark.parametrize(("method", "orders"), [("pca_mst", None), ("jets_mst", "[2]"), ("jets_mst", "[3]")])
def test_local_fits_turn_with_their_points(method, orders, tmp_path):
    words = [f"method={method}", "scale=smoke", "fold=0", f"out={tmp_path}", "trainer.threads=1"]
    outcome, record = cells.run(plan.expand(words + ([f"method.orders={orders}"] if orders else []))[0])
    assert outcome == "done", record.get("error")
    values = {m["metric"]: m["value"] for m in record["metrics"]}
    assert (
        values["equivariance_error"]
        <= values["equivariance_error_worst"]
        <= values["equivariance_error_adversarial"]
        < 1e-10
    )


# ------------------------------------------------------------------------------------------ the loss


def output(seed: int = 0) -> tuple[Output, torch.Tensor, torch.Tensor, torch.Tensor]:
    g = generator(seed)
    unit = [
        torch.nn.functional.normalize(torch.randn(s, dtype=torch.float64, generator=g), dim=-1)
        for s in ((4, 3), (4, 5, 3), (4, 8, 3))
    ]
    logit, weights = (
        torch.randn(4, dtype=torch.float64, generator=g),
        torch.rand(4, 5, dtype=torch.float64, generator=g),
    )
    points = torch.randn(4, 8, 3, dtype=torch.float64, generator=g)
    points[:, 0] = 0
    return Output(unit[0], logit, unit[1], weights), unit[2][:, 0], unit[2], points


def test_loss_terms():
    """Each term of its own, sample by sample."""
    out, normal, near, points = output()
    got = losses(out, normal, near, points)
    sine = np.mean([np.linalg.norm(np.cross(a, b)) for a, b in zip(out.normal, normal, strict=True)])
    gap = np.mean(
        [
            float(out.weights[b, i]) * float((out.near[b, i] - near[b, i]).square().sum())
            for b in range(4)
            for i in range(5)
        ]
    )
    assert abs(got["sine"] - 0.1 * sine) < 1e-12 and abs(got["near"] - 0.5 * gap) < 1e-12
    want = []
    for b in range(4):
        p = points[b, :5] / points[b, :5].norm(dim=1).max()
        square = (p @ normal[b]) ** 2
        sigma = max(0.05**2, 0.3 * float(square.mean()) + 1e-5)
        want.append(torch.exp(-square / sigma))
    assert (plane_weights(points[:, :5], normal) - torch.stack(want)).abs().max() < 1e-12
    assert abs(got["weight"] - (torch.stack(want) - out.weights).square().mean()) < 1e-12
    right = ((out.normal * normal).sum(1) >= 0).double()
    p = torch.sigmoid(out.logit)
    assert abs(got["side"] + 0.1 * (right * p.log() + (1 - right) * (1 - p).log()).mean()) < 1e-12


def test_flat_neighbours_have_weight_one():
    points = torch.cat([torch.randn(1, 6, 2), torch.zeros(1, 6, 1)], -1)
    for flat in (points, torch.ones(1, 6, 3)):  # coincident ones too
        assert (plane_weights(flat, torch.tensor([[0.0, 0.0, 1.0]])) == 1).all()


def test_the_other_side():
    """Negating n_hat leaves the sine as it is and turns every target of the side around; no gradient flows through that target."""
    out, normal, near, points = output()
    other = losses(out._replace(normal=-out.normal), normal, near, points)
    this = losses(out, normal, near, points)
    assert this["sine"] == other["sine"] and this["near"] == other["near"]
    turned = losses(out._replace(normal=-out.normal, logit=-out.logit), normal, near, points)
    assert abs(turned["side"] - this["side"]) < 1e-12 and this["side"] != other["side"]
    leaf = out.normal.clone().requires_grad_()
    assert not losses(out._replace(normal=leaf), normal, near, points)["side"].requires_grad


# ------------------------------------------------------------------------------------------ the metric


def test_flip_of_a_shape():
    """-n everywhere: 0 after the flip. Half of the points turned: 180 / sqrt 2 = 127.3 degrees. Just below half: no flip."""
    n = torch.nn.functional.normalize(torch.randn(2, 1000, 3, generator=generator()).double(), dim=-1).numpy()
    plain, signed = errors(-n, n)
    # arccos near 1 turns rounding of 1e-16 into 1e-8 radians
    assert rms(plain).max() < 1e-5 and rms(signed).max() < 1e-5
    half = n.copy()
    half[:, :500] *= -1
    assert np.abs(rms(errors(half, n)[1]) - 180 / np.sqrt(2)).max() < 1e-3
    most = n.copy()
    most[0, :501] *= -1
    most[1, :400] *= -1
    shares = (errors(most, n)[1] < 90).mean(1)
    assert np.allclose(shares, [0.501, 0.6])
    turn = np.cos(np.radians(10)) * n + np.sin(np.radians(10)) * np.cross(n, np.roll(n, 1, -1)) / np.linalg.norm(
        np.cross(n, np.roll(n, 1, -1)), axis=-1, keepdims=True
    )
    assert np.allclose(rms(errors(turn, n)[0]), 10) and np.allclose(rms(errors(-turn, n)[1]), 10)


def bundle(**options):
    given = {"points": 200, "train": 12, "val": 6, "test": 12, "query": 40, "splits": 2, **options}
    return load_closed(Closed(name="closed_shapes", **given), fold="0", source="simulated", root=Path(), cache=Path())


def test_scores_are_means_of_categories_over_shapes():
    """Per shape, then per noise level, then over levels; PGP is the share below the angle."""
    b = bundle(noise=[0.0, 0.01])
    guess = np.asarray(b.test.y).copy()
    guess[b.test.group == 1] *= -1
    guess[0, :10] *= -1  # a quarter of the first shape
    rows = {m.name: m.value for m in b.task.score(b, {"y": guess})}  # arccos of float32 near 1 is good to 0.03 degrees
    assert abs(rows["rmse_oriented_noise0"] - 90 / 6) < 0.05 and rows["rmse_oriented_noise1"] < 0.05
    assert abs(rows["rmse_oriented"] - 7.5) < 0.05 and rows["rmse_unoriented"] < 0.05
    assert (
        abs(rows["correct"] - (1 - 0.25 / 12)) < 1e-9
        and rows["pgp_5"] == 1
        and abs(rows["pgp_5_oriented"] - rows["correct"]) < 1e-9
    )
    with pytest.raises(ValueError, match="unit vectors"):
        b.task.score(b, {"y": 2 * guess})
    with pytest.raises(ValueError, match="the test split needs"):
        b.task.score(b, {"y": guess[:3]})
    assert "orientation" in b.task.figures(b, {"y": guess})


# ------------------------------------------------------------------------------------------ data


@pytest.mark.parametrize("name", CLOSED)
def test_closed_surfaces(name):
    """Unit outward normals: short chords are orthogonal to them, and the divergence theorem gives int n dA = 0 and a volume > 0."""
    c = CLOSED[name](2, 4000, np.random.default_rng(0))
    assert np.allclose(np.linalg.norm(c.normals, axis=-1), 1)
    assert np.abs(c.normals.mean(1)).max() < 0.06
    assert ((c.points - c.points.mean(1, keepdims=True)) * c.normals).sum(-1).mean(1).min() > 0.1
    for p, n in zip(c.points, c.normals, strict=True):
        near = nearest(p, 2)[:500, 1]
        chord = p[near] - p[:500]
        assert np.median(np.abs((chord * n[:500]).sum(1)) / np.linalg.norm(chord, axis=1)) < 0.05


def test_capsule_is_uniform_by_area():
    """The share of points on the side is h / (h + r), from the areas 4 pi r h and 4 pi r^2; the farthest point is at h + r."""
    c = CLOSED["capsule"](20, 4000, np.random.default_rng(1))
    side = c.gauss == 0
    r = 1 / (2 * c.mean[side]).reshape(-1)
    h_plus_r = np.abs(c.points[..., 2]).max(1)
    radius = np.array([1 / (2 * m[s][0]) for m, s in zip(c.mean, side, strict=True)])
    assert r.min() >= 0.3 and np.abs(side.mean(1) - (h_plus_r - radius) / h_plus_r).max() < 0.04


def test_noise_is_a_share_of_the_diagonal():
    points, normals, family, level = draw_closed(12, 3000, [0.0, 0.02], np.random.default_rng(2))
    clean = points[family == 3]  # boxes in random pose: distance to the planes of their faces
    off = [np.abs((p - p.mean(0)) @ n[0]) for p, n in zip(clean, normals[family == 3], strict=True)]
    assert (
        set(level[family == 3]) == {0, 1}
        and np.median(np.abs(off[0] - off[0].max())[np.abs((normals[3] @ normals[3][0]) - 1) < 1e-6]) < 1e-5
    )
    noisy = off[1][np.abs(normals[9] @ normals[9][0] - 1) < 1e-6]
    diagonal = np.linalg.norm(np.ptp(points[9], axis=0))
    assert 0.8 < noisy.std() / (0.02 * diagonal) < 1.1  # the noise itself widens the box a little


def test_pcpnet_folder(tmp_path):
    """Lists, .xyz, .normals and .pidx as published; the sentences for what is missing or broken."""
    folder = tmp_path / "PCPNet"
    (folder / "list").mkdir(parents=True)
    points, normals, _, _ = draw_closed(6, 60, [0.0], np.random.default_rng(3))
    for i in range(3):
        np.savetxt(folder / f"s{i}.xyz", points[i])
        np.savetxt(folder / f"s{i}.normals", 2 * normals[i])
        np.savetxt(folder / f"s{i}.pidx", np.arange(i, i + 9), fmt="%d")
    for name, shapes in (("train", "s0\ns1"), ("val", "s0"), ("a", "s1\ns2"), ("b", "s2")):
        (folder / "list" / f"{name}.txt").write_text(shapes + "\n")
    config = PCPNet(name="pcpnet", train_list="train", val_list="val", test_lists=["a", "b"], query=9)
    where = {"fold": "0", "source": "real", "root": tmp_path, "cache": tmp_path}
    assert config.present(tmp_path, tmp_path)
    b = load_pcpnet(config, **where)
    assert len(b.train) == 2 and len(b.test) == 3 and list(b.test.group) == [0, 0, 1] and b.origin == "real"
    assert np.allclose(b.test.y[1], normals[2][2:11], atol=1e-6) and b.meta["categories"] == ["a", "b"]
    (folder / "s1.normals").write_text("0 0 1\n")
    with pytest.raises(BenchError, match="60 points and 1 normals"):
        load_pcpnet(config, **where)
    (folder / "s1.normals").write_text("0 0 x\n" * 60)
    with pytest.raises(BenchError, match="not a table of numbers"):
        load_pcpnet(config, **where)
    (folder / "s1.normals").unlink()
    with pytest.raises(MissingData, match="take it off its list"):
        load_pcpnet(config, **where)
    (folder / "list" / "b.txt").unlink()
    with pytest.raises(MissingData, match="published lists"):
        load_pcpnet(config, **where)


@SCANS
def test_pca_on_the_scans():
    """Unoriented PCA normals, 30 neighbours, of 3,000 points of the 100,000: armadillo 11.3, bunny 6.6, fandisk 6.5, cube 7.8,
    151A 1.8 and 3.7 degrees, as the data's own description has it."""
    known = {"armadillo": 11.3, "bunny": 6.6, "fandisk": 6.5, "cube": 7.8, "151A": 1.8, "151A_noisy": 3.7}
    config = Scans(name="oriented_scans", shapes=list(known), points=100_000, train=6, val=6, query=3000, noise=[0.0])
    b = load_scans(config, fold="0", source="real", root=REAL, cache=REAL)
    for i, value in enumerate(known.values()):
        p = np.asarray(b.test.x[i], dtype=np.float64)
        n = pca_normals(torch.as_tensor(p[nearest(p, 30, b.test.query[i])])).numpy()
        assert abs(rms(errors(n[None], b.test.y[i : i + 1])[0])[0] - value) < 0.1 * value + 0.1


@SCANS
def test_meshes_are_closed_and_normals_point_outward():
    """Sum of p . n over a uniform sample is three times volume over area, and the topmost point of a closed surface looks up."""
    config = Scans(
        name="oriented_scans", shapes=["cube", "spot", "cow", "homer", "rocker-arm", "cheburashka", "fandisk_mesh"]
    )
    config.points, config.train, config.val, config.query = 3000, 6, 6, 3000
    b = load_scans(config, fold="0", source="real", root=REAL, cache=REAL)
    assert b.meta["signed"].all()
    for p, n in zip(b.test.x, b.test.y, strict=True):
        assert ((p - p.mean(0)) * n).sum(1).mean() > 0
        for axis in np.vstack([np.eye(3), -np.eye(3)]):
            assert n[(p @ axis).argmax()] @ axis > -0.2


# ------------------------------------------------------------------------------------------ local fits


def test_planes_are_exact():
    """On a plane PCA and jets of every degree give its normal to rounding."""
    g = np.random.default_rng(0)
    n = np.array([1.0, 2.0, -2.0]) / 3
    basis = np.linalg.svd(n[None])[2][1:]
    x = torch.as_tensor(g.normal(size=(5, 20, 2)) @ basis + 4.0)
    for got in (pca_normals(x), jet_normals(x, 1), jet_normals(x, 2), jet_normals(x, 3)):
        assert ((got @ torch.as_tensor(n)).abs() - 1).abs().max() < 1e-12


def test_jets_converge_with_their_degree():
    """Halving the neighbourhood divides the normal's error of degree d by about 2^d, as that of a Taylor polynomial."""
    g = np.random.default_rng(1)
    uv = g.uniform(-1, 1, (64, 40, 2))
    uv[:, 0] = 0

    def error(order, h):
        u, v = h * uv[..., 0], h * uv[..., 1]
        w = (
            0.7 * u**2
            - 0.3 * u * v
            + 0.9 * u**3
            - 0.5 * v**3
            + 0.4 * u * v**3
            + np.sin(u - 2 * v) ** 4
            + 0.6 * u**2 * v**2
        )
        n = jet_normals(torch.as_tensor(np.stack([u, v, w], -1)), order)
        return float(torch.linalg.cross(n, torch.tensor([[0.0, 0.0, 1.0]]).double().expand_as(n)).norm(dim=-1).mean())

    for order in (2, 3):
        rate = np.log2(error(order, 0.05) / error(order, 0.025))
        assert abs(rate - order) < 0.3, (order, rate)


def test_fits_commute_with_motions():
    x = torch.stack([cloud(40, s) for s in range(3)]) * torch.tensor([1.0, 1.0, 0.1]).double()
    r = random_orthogonal(1, 3, generator(5))[0]
    for fit in (pca_normals, lambda p: jet_normals(p, 2)):
        assert (((fit(3 * x @ r.T + 1) * (fit(x) @ r.T)).sum(-1)).abs() - 1).abs().max() < 1e-9


def test_tree_orients_closed_surfaces():
    """Exact normals with random signs get their signs back, on two tori far apart as well; away from the mean fails on a torus."""
    g = np.random.default_rng(4)
    c = CLOSED["torus"](2, 1500, g)
    p = np.concatenate([c.points[0], c.points[1] + [9.0, 0, 0]])
    n = np.concatenate([c.normals[0], c.normals[1]])
    mixed = n * g.choice([-1.0, 1.0], (len(n), 1))
    got = orient_mst(p, mixed, 8)
    assert ((got * n).sum(1) > 0.999).all()
    radial = orient_radial(c.points[0], mixed[:1500])
    assert 0.6 < ((radial * n[:1500]).sum(1) > 0).mean() < 0.95
    ball = CLOSED["sphere"](1, 500, g)
    assert ((orient_radial(ball.points[0], -ball.normals[0]) * ball.normals[0]).sum(1) > 0.99).all()


# ------------------------------------------------------------------------------------------ bad input

BAD = np.zeros((40, 3))
NAN = np.r_[np.random.default_rng(0).normal(size=(39, 3)), [[np.nan, 0, 0]]]


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: nearest(cloud(20).numpy(), 30), "20 points and 30 neighbours"),
        (lambda: nearest(BAD, 8), "coincide; remove duplicates"),
        (lambda: nearest(NAN, 8), "point 39 .* not finite"),
        (lambda: nearest(cloud(20)[:, :2].numpy(), 3), "give points"),
        (lambda: jet_normals(cloud(8)[None], 3), "10 coefficients and there are 8"),
        (lambda: CloudSet([cloud(20)], 32), "cloud 0 has 20 points and a patch wants 32; lower method.patch"),
        (lambda: CloudSet([cloud(40), NAN], 32), "point 39 of cloud 1 is not finite"),
        (
            lambda: CloudSet([BAD], 32).draw(torch.tensor([0]), torch.tensor([5]), 32, 16, generator()),
            "nearest points of point 5 of cloud 0 coincide",
        ),
        (lambda: neighbours(torch.randn(1, 6, 3), 6), "lower method.neighbours"),
        (lambda: SHSNet(32, 4)(torch.randn(2, 12, 3), torch.randn(2, 48, 3)), "too small; give 16 and 8"),
        (lambda: Config(name="shs_net", patch=16, neighbours=16).check(), "must be below method.patch=16"),
        (lambda: Config(name="shs_net", signs="moment", official_parity=True).check(), "needs signs=arbitrary"),
        (lambda: Fitting(name="pca_mst", neighbours=[2]).check(), "3 points at least"),
        (lambda: Fitting(name="jets_mst", fit="jet", orders=[7]).check(), "degrees among"),
        (lambda: Closed(name="closed_shapes", noise=[-0.1]).check(), "shares of at least 0"),
        (lambda: Scans(name="oriented_scans", shapes=["buny"]).check(), "there is armadillo"),
        (lambda: Scans(name="oriented_scans", shapes=["bunny"]).check(), "one shape with outward normals"),
    ],
)
def test_bad_input_is_told_in_one_sentence(make, sentence):
    with pytest.raises((ValueError, BenchError), match=sentence) as told:
        make()
    assert "\n" not in str(told.value)


def test_coincident_duplicates_keep_the_point_first():
    """Some coincident points are fine: the queried one is first in its own neighbourhood, and each occurs once."""
    p = np.r_[cloud(30).numpy(), np.zeros((3, 3))]
    near = nearest(p, 5)
    assert (near[:, 0] == np.arange(33)).all() and all(len(set(r)) == 5 for r in near)


def test_principal_axes_agree_with_numpy():
    x = cloud(30)[None]
    values, axes = principal_axes(x)
    centred = x[0].numpy() - x[0].numpy().mean(0)
    u, s, _ = np.linalg.svd(centred.T, full_matrices=False)
    assert np.allclose(values[0], s**2 / 30) and np.allclose(np.abs(u.T @ axes[0].numpy()), np.eye(3), atol=1e-9)
