"""MixedRiemannianSGD: each manifold against its definition or a library."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from models.gbw_rbn import GBWBatchNorm, MixedRiemannianSGD, manifold_groups
from models.geometry import spd
from models.nn.riemannian_sgd import SPD_FLOOR, spd_bw_step
from models.nn.spd_layers import BiMap, LogEig, ReEig

F64 = torch.float64


def random_spd(n: int, seed: int) -> torch.Tensor:
    a = torch.randn(n, 2 * n, dtype=F64, generator=torch.Generator().manual_seed(seed))
    return a @ a.T / (2 * n) + 0.1 * torch.eye(n, dtype=F64)


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(BiMap(6, 4), GBWBatchNorm(4), ReEig(1e-5), LogEig(), nn.Flatten(), nn.Linear(16, 3, dtype=F64))


def batch(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.stack([random_spd(6, 10 * seed + i) for i in range(9)]), torch.arange(9) % 3


def test_euclidean_is_torch_sgd():
    torch.manual_seed(0)
    a = nn.Linear(4, 3)
    b = copy.deepcopy(a)
    ours = MixedRiemannianSGD(a.parameters(), lr=0.1, momentum=0.9, weight_decay=0.05)
    theirs = torch.optim.SGD(b.parameters(), lr=0.1, momentum=0.9, weight_decay=0.05)
    x = torch.randn(5, 4)
    for _ in range(5):
        for net, optimizer in ((a, ours), (b, theirs)):
            optimizer.zero_grad()
            net(x).square().sum().mul(0.01).backward()
            optimizer.step()
    assert torch.allclose(a.weight, b.weight, atol=1e-7) and torch.allclose(a.bias, b.bias, atol=1e-7)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_stiefel_is_geoopt(momentum):
    """Projection and QR retraction equal geoopt's RiemannianSGD on EuclideanStiefel; W^T W = I is kept."""
    geoopt = pytest.importorskip("geoopt")
    start = torch.linalg.qr(torch.randn(6, 3, dtype=F64, generator=torch.Generator().manual_seed(1))).Q
    target = random_spd(6, 2)
    a = nn.Parameter(start.clone())
    b = geoopt.ManifoldParameter(start.clone(), manifold=geoopt.EuclideanStiefel())
    ours = MixedRiemannianSGD([{"params": [a], "manifold": "stiefel"}], lr=0.05, momentum=momentum)
    theirs = geoopt.optim.RiemannianSGD([b], lr=0.05, momentum=momentum)
    # geoopt starts its buffer with the first gradient and adds that gradient again; start it at 0, as torch's
    # SGD does
    theirs.state[b]["momentum_buffer"] = torch.zeros_like(start)
    for _ in range(20):
        for p, optimizer in ((a, ours), (b, theirs)):
            optimizer.zero_grad()
            (p * (target @ p)).sum().backward()
            optimizer.step()
    assert float((a - b).detach().abs().max()) < 1e-12
    assert float((a.mT @ a - torch.eye(3, dtype=F64)).detach().abs().max()) < 1e-13


def test_spd_step_is_the_bw_exponential_of_the_affine_invariant_gradient():
    w, g = random_spd(4, 3), torch.randn(4, 4, dtype=F64, generator=torch.Generator().manual_seed(4))
    expected = spd.bw_exp(w, -0.01 * w @ spd.sym(g) @ w)
    p = nn.Parameter(w.clone())
    p.grad = g
    MixedRiemannianSGD([{"params": [p], "manifold": "spd_bw"}], lr=0.01, momentum=0.9, weight_decay=0.5).step()
    assert float((p - expected).detach().abs().max()) < 1e-13  # neither momentum nor weight decay
    assert torch.equal(p, p.mT)


@pytest.mark.parametrize("max_step", [None, 0.5])
def test_huge_spd_steps_stay_in_the_cone(max_step):
    """A gradient 1e6 times too large leaves W SPD; the bounded step grows it by at most 2.25."""
    w = random_spd(4, 5)
    for sign in (1.0, -1.0):
        new = spd_bw_step(w, sign * 1e6 * random_spd(4, 6), 0.1, max_step)
        e = torch.linalg.eigvalsh(new)
        assert torch.equal(new, new.mT) and torch.isfinite(new).all() and float(e[0]) > 0
        assert float(e[0]) >= 0.5 * SPD_FLOOR * float(e[-1])
        if max_step is not None:
            assert float(e[-1]) <= 1.5**2 * float(torch.linalg.eigvalsh(w)[-1]) * (1 + 1e-9)


def test_exact_landing_on_the_boundary_is_floored():
    """lr with I + L singular gives the floor, not a zero eigenvalue."""
    new = spd_bw_step(torch.eye(3, dtype=F64), torch.diag(torch.tensor([2.0, 0.0, 0.0], dtype=F64)), 1.0)
    e = torch.linalg.eigvalsh(new)
    assert abs(float(e[0]) / SPD_FLOOR - 1) < 1e-3 and float(e[-1]) == 1.0


def test_groups_of_a_network():
    groups = {g["manifold"]: g["params"] for g in manifold_groups(network(), lr=0.1)}
    assert {k: len(v) for k, v in groups.items()} == {"euclidean": 3, "spd_bw": 2, "stiefel": 1}
    net = network()
    net[0].weight.requires_grad_(False)
    assert "stiefel" not in {g["manifold"] for g in manifold_groups(net)}
    optimizer = MixedRiemannianSGD(manifold_groups(network()))
    for g in optimizer.param_groups:
        assert g["weight_decay"] == (5e-2 if g["manifold"] == "euclidean" else 0.0)


def test_training_lowers_the_loss_and_keeps_the_manifolds():
    net = network()
    optimizer = MixedRiemannianSGD(manifold_groups(net), lr=2e-2)
    x, y = batch()
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step(lambda loss=loss: loss)
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.7 * losses[0]
    w = net[0].weight.detach()
    assert float((w.mT @ w - torch.eye(4, dtype=F64)).abs().max()) < 1e-12
    for p in (net[1].metric.detach(), net[1].bias.detach()):
        assert torch.equal(p, p.mT) and float(torch.linalg.eigvalsh(p)[0]) > 0


def test_state_dict_resumes_exactly():
    """Three steps, save, three more equal six steps."""

    def steps(net, optimizer, seeds):
        for s in seeds:
            x, y = batch(s)
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x), y).backward()
            optimizer.step()

    a = network()
    oa = MixedRiemannianSGD(manifold_groups(a), lr=1e-2)
    steps(a, oa, range(3))
    b = network()
    ob = MixedRiemannianSGD(manifold_groups(b), lr=1e-2)
    b.load_state_dict(a.state_dict())
    ob.load_state_dict(copy.deepcopy(oa.state_dict()))
    steps(a, oa, range(3, 6))
    steps(b, ob, range(3, 6))
    for p, q in zip(a.state_dict().values(), b.state_dict().values(), strict=True):
        assert torch.equal(p, q)


@pytest.mark.parametrize("options", [{"lr": -1.0}, {"momentum": -0.1}, {"weight_decay": -1.0}, {"max_step": 1.5}])
def test_bad_options(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        MixedRiemannianSGD(nn.Linear(2, 2).parameters(), **options)


def test_unknown_manifold():
    with pytest.raises(ValueError, match="torus"):
        MixedRiemannianSGD([{"params": [nn.Parameter(torch.eye(2))], "manifold": "torus"}])
