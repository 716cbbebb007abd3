"""AdamP and SGDP (arXiv 2006.08217): the decision, the projection, equality with AdamW and SGD, the toy of the paper; float64."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import nn

from models.adamp import SGDP, AdamP
from models.adamp.config import Config as Toy
from models.adamp.plugin import norm_law, trajectory
from models.adamp.projection import project, radial, row_sums, rows_of

F64 = torch.float64
EPS = 1e-8


def rng(seed):
    return torch.Generator().manual_seed(seed)


def randn(*shape, seed=0):
    return torch.randn(shape, dtype=F64, generator=rng(seed))


def across(w, rows):
    """A generic gradient that is orthogonal to w in every one of `rows` rows."""
    a, g = w.reshape(rows, -1), randn(rows, w.numel() // rows, seed=9)
    return (g - a * ((a * g).sum(1, keepdim=True) / (a * a).sum(1, keepdim=True))).reshape(w.shape)


def network(seed=0):
    """Convolutions with batch norm, a linear head with bias: tensors of one, two and four dimensions."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(2, 6, 3, bias=False), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 5, 3, bias=False), nn.BatchNorm2d(5),
        nn.ReLU(), nn.Flatten(), nn.Linear(5 * 4, 3),
    ).double()  # fmt: skip


def train(net, optimiser, steps=12, factor=1.0):
    g = rng(3)
    for _ in range(steps):
        x, y = torch.randn(8, 2, 6, 6, dtype=F64, generator=g), torch.randint(3, (8,), generator=g)
        optimiser.zero_grad()
        (factor * nn.functional.cross_entropy(net(x), y)).backward()
        optimiser.step()
    return net


def distance(a, b):
    return max(float((p - q).detach().abs().max()) for p, q in zip(a.parameters(), b.parameters(), strict=True))


def follow(make, gradients, start):
    """The weight after steps with given gradients."""
    w = nn.Parameter(start.clone())
    optimiser = make([w])
    for g in gradients:
        w.grad = g.clone()
        optimiser.step()
    return w.detach()


# --- the two formulations


OPTIONS = [
    (AdamP, {"lr": 1e-2}),
    (AdamP, {"lr": 1e-2, "weight_decay": 0.1, "nesterov": True}),
    (AdamP, {"lr": 1e-2, "weight_decay": 0.1, "wd_ratio": 0.0, "betas": (0.8, 0.95)}),
    (SGDP, {"lr": 0.1}),
    (SGDP, {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.05}),
    (SGDP, {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.05, "official_parity": True}),
    (SGDP, {"lr": 0.1, "momentum": 0.9, "nesterov": True, "dampening": 0.3, "weight_decay": 0.01}),
]


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=["contiguous", "channels_last"])
@pytest.mark.parametrize("way", ["_on_cpu", "_on_device"])
@pytest.mark.parametrize(("cls", "options"), OPTIONS)
def test_foreach_is_the_plain_formulation(cls, options, way, layout, monkeypatch):
    """Equal to 1e-12 over training, with projected and unprojected tensors, in both memory layouts of convolutions, by blocks of rows
    and by one launch for all, as on a GPU."""
    monkeypatch.setattr(cls, "_on_cpu", getattr(cls, way))
    monkeypatch.setattr("models.adamp.optim.BLOCK", 40)  # two rows of the convolutions
    nets = [network().to(memory_format=layout) for _ in range(2)]
    optimisers = [
        cls(net.parameters(), foreach=foreach, **options) for net, foreach in zip(nets, (True, False), strict=True)
    ]
    for net, optimiser in zip(nets, optimisers, strict=True):
        train(net, optimiser)
    assert distance(*nets) < 1e-12
    counts = [list(o.projected_steps().values()) for o in optimisers]
    assert counts[0] == counts[1]
    assert counts[0][0] == (12, 0) and counts[0][1] == (12, 0), "convolutions before batch norm are scale-invariant"
    assert sum(counts[0][2]) < 6, "the head is not, and passes the test by chance at most"


@pytest.mark.parametrize("shape", [(4, 6), (3, 2, 3, 3), (1, 5)])
def test_row_sums_give_the_projection(shape):
    """d - c w from row sums equals the projected update, for gradients that pass by channel, by layer and not at all."""
    w, d = randn(*shape, seed=1), randn(*shape, seed=2)
    for g in (across(w, shape[0]), across(w, 1), w + 0.1 * randn(*shape, seed=4)):
        expected, view = project(w, g, d, 0.1, EPS)
        rows = [x.reshape(shape[0], -1) for x in (w, g, d)]
        found = radial(row_sums(*rows), rows[0].shape[1], 0.1, EPS)
        assert [int(v) for v in found.views] == [int(view == 0), int(view == 1)]
        torch.testing.assert_close(
            d - found.shrink.view([-1] + [1] * (len(shape) - 1)) * w, expected, rtol=0, atol=1e-13
        )


@pytest.mark.parametrize("way", ["_on_cpu", "_on_device"])
@pytest.mark.parametrize(("cls", "options"), OPTIONS)
def test_foreach_projects_in_the_layer_view(cls, options, way, monkeypatch):
    """A gradient across the weight as a whole but not by rows: one scalar for all blocks of rows, as in the plain formulation."""
    monkeypatch.setattr(cls, "_on_cpu", getattr(cls, way))
    monkeypatch.setattr("models.adamp.optim.BLOCK", 6)  # one row
    w = randn(4, 6, seed=1)
    g = w * torch.tensor([[1.0], [-1.0], [1.0], [-1.0]], dtype=F64)
    g -= w * (g * w).sum() / (w * w).sum()
    ends = []
    for foreach in (True, False):
        p = nn.Parameter(w.clone())
        optimiser = cls([p], foreach=foreach, **options)
        p.grad = g.clone()
        optimiser.step()
        assert optimiser.projected_steps() == {p: (0, 1)}
        ends.append(p.detach())
    torch.testing.assert_close(*ends, rtol=0, atol=1e-14)


def test_rows_of_channels_last_weights_are_views():
    w = randn(4, 3, 2, 2).to(memory_format=torch.channels_last)
    assert rows_of(w, w).data_ptr() == w.data_ptr() and rows_of(w, w).shape == (4, 12)


# --- the decision


def test_channels_before_layer_and_layer_where_channels_fail():
    """Orthogonal by rows: channel view. Orthogonal as a whole only: layer view, one scalar. Neither: nothing."""
    w, d = randn(4, 6, seed=1), randn(4, 6, seed=2)
    projected, view = project(w, across(w, 4), d, 0.1, EPS)
    assert view == 0 and float((projected * w).sum(1).abs().max()) < 1e-7
    g = w * torch.tensor([[1.0], [-1.0], [1.0], [-1.0]], dtype=F64)
    g -= w * (g * w).sum() / (w * w).sum()
    projected, view = project(w, g, d, 0.1, EPS)
    assert view == 1 and abs(float((projected * w).sum())) < 1e-7 and float((projected * w).sum(1).abs().max()) > 0.1
    assert project(w, w, d, 0.1, EPS)[1] == -1


def test_the_bound_is_on_the_largest_cosine_and_shrinks_with_dimension():
    """One bad row of many forbids the channel view; the bound is delta / sqrt(dim), dim the length of a row."""
    w = randn(8, 50, seed=1)
    unit = w / w.norm(dim=1, keepdim=True)
    g = across(w, 8)
    g /= g.norm(dim=1, keepdim=True)
    bound = 0.1 / 50**0.5

    def leaning(cosine, rows):
        out = g.clone()
        out[rows] = cosine * unit[rows] + (1 - cosine**2) ** 0.5 * g[rows]
        return out

    assert project(w, leaning(0.98 * bound, slice(None)), w, 0.1, EPS)[1] == 0
    assert project(w, leaning(1.02 * bound, slice(0, 1)), w, 0.1, EPS)[1] != 0


def test_decision_does_not_depend_on_the_order_of_input_channels():
    w, g, d = randn(5, 4, 3, 3, seed=1), across(randn(5, 4, 3, 3, seed=1), 5), randn(5, 4, 3, 3, seed=2)
    order = torch.tensor([2, 0, 3, 1])
    projected, view = project(w, g, d, 0.1, EPS)
    other, same = project(w[:, order], g[:, order], d[:, order], 0.1, EPS)
    assert view == same == 0
    torch.testing.assert_close(projected[:, order], other, rtol=0, atol=1e-13)


# --- what it must equal where nothing is projected


@pytest.mark.parametrize("foreach", [True, False])
def test_a_radial_gradient_gives_sgd_and_adamw(foreach):
    """Gradients with a large radial part in a row and in the whole: SGDP is SGD exactly, AdamP is AdamW to 1e-12, for any delta < 1."""
    w = randn(4, 6, seed=1)
    gradients = [w + 0.2 * randn(4, 6, seed=i) for i in range(2, 5)]
    for delta in (0.1, 0.5):
        a = follow(lambda p, d=delta: SGDP(p, lr=1e-2, momentum=0.9, delta=d, foreach=foreach), gradients, w)
        b = follow(lambda p: torch.optim.SGD(p, lr=1e-2, momentum=0.9), gradients, w)
        torch.testing.assert_close(a, b, rtol=0, atol=1e-16)
        a = follow(lambda p, d=delta: AdamP(p, lr=1e-2, weight_decay=0.1, delta=d, foreach=foreach), gradients, w)
        b = follow(lambda p: torch.optim.AdamW(p, lr=1e-2, weight_decay=0.1), gradients, w)
        torch.testing.assert_close(a, b, rtol=0, atol=1e-12)


@pytest.mark.parametrize("foreach", [True, False])
def test_delta_zero_never_projects(foreach):
    """delta = 0: AdamP is AdamW for every input and decay; SGDP is SGD without decay (its decay is decoupled)."""
    nets = [network() for _ in range(4)]
    train(nets[0], AdamP(nets[0].parameters(), lr=1e-2, weight_decay=0.1, delta=0, foreach=foreach))
    train(nets[1], torch.optim.AdamW(nets[1].parameters(), lr=1e-2, weight_decay=0.1))
    assert distance(nets[0], nets[1]) < 1e-12
    train(nets[2], SGDP(nets[2].parameters(), lr=0.1, momentum=0.9, delta=0, foreach=foreach))
    train(nets[3], torch.optim.SGD(nets[3].parameters(), lr=0.1, momentum=0.9))
    assert distance(nets[2], nets[3]) < 1e-12


@pytest.mark.parametrize("foreach", [True, False])
def test_one_dimensional_parameters_follow_adamw(foreach):
    """Also where the gradient is orthogonal to the weight."""
    w = randn(12, seed=1)
    g = randn(12, seed=2)
    g -= w * (g @ w) / (w @ w)
    a = follow(lambda p: AdamP(p, lr=1e-2, weight_decay=0.1, foreach=foreach), [g, g], w)
    b = follow(lambda p: torch.optim.AdamW(p, lr=1e-2, weight_decay=0.1), [g, g], w)
    torch.testing.assert_close(a, b, rtol=0, atol=1e-13)


def test_decay_of_projected_tensors():
    """A step with zero gradient passes the test: p *= 1 - lr wd wd_ratio (AdamP), / (1 - momentum) more for SGDP; lr, not the step."""
    w, zero = randn(4, 6, seed=1), torch.zeros(4, 6, dtype=F64)
    a = follow(lambda p: AdamP(p, lr=0.1, weight_decay=0.5, wd_ratio=0.2), [zero], w)
    torch.testing.assert_close(a, w * (1 - 0.1 * 0.5 * 0.2), rtol=1e-14, atol=0)
    a = follow(lambda p: SGDP(p, lr=0.1, momentum=0.8, weight_decay=0.5, wd_ratio=0.2), [zero], w)
    torch.testing.assert_close(a, w * (1 - 0.1 * 0.5 * 0.2 / (1 - 0.8)), rtol=1e-14, atol=0)


# --- norms


@pytest.mark.parametrize(
    "make", [lambda p: SGDP(p, lr=0.1, momentum=0.9), lambda p: AdamP(p, lr=0.1)], ids=["sgdp", "adamp"]
)
def test_a_projected_step_is_orthogonal_to_the_weight(make):
    """Row by row, to the eps in the norm."""
    w = randn(4, 6, seed=1)
    first = follow(make, [across(w, 4)], w)
    step = first - w
    cosine = (step * w).sum(1) / (step.norm(dim=1) * w.norm(dim=1))
    assert float(step.norm()) > 0.01 and float(cosine.abs().max()) < 1e-7


def test_law_of_the_norm():
    """Momentum descent on f(w / ||w||): the paper's sum to 1e-10. Projected: ||w||^2 grows by lr^2 ||d||^2, to eps = 1e-8."""
    start, goal = torch.tensor([[0.2, -0.9]], dtype=F64), torch.tensor([[0.0, 1.0]], dtype=F64)
    for momentum in (0.0, 0.5, 0.9, 0.99):
        cfg = Toy(momentum=momentum)
        assert norm_law(trajectory(start, goal, cfg), momentum, False) < 1e-10
        cfg.projected = True
        path = trajectory(start, goal, cfg)
        assert norm_law(path, momentum, True) < 1e-8
        if momentum:
            assert norm_law(path, momentum, False) > 1e-3, "the law without projection must not hold as well"


def test_the_toy_of_the_paper():
    """Printed norms 2.93 and 27.87 at momentum 0.9 and 0.99; projected below 1.2 and at 1e-3 in half the steps at most."""
    angle = np.deg2rad(-82)
    start, goal = torch.tensor([[np.cos(angle), np.sin(angle)]]), torch.tensor([[0.0, 1.0]], dtype=F64)

    def arrived(path):
        return int(((1 - path[:, 1] / path.norm(dim=1)) < 1e-3).nonzero()[0])

    for momentum, norm, tolerance in ((0.9, 2.93, 0.02), (0.99, 27.87, 0.1)):
        plain = trajectory(start, goal, Toy(momentum=momentum))
        projected = trajectory(start, goal, Toy(momentum=momentum, projected=True))
        assert float(plain[-1].norm()) == pytest.approx(norm, abs=tolerance)
        assert float(projected[-1].norm()) < 1.2
        assert 2 * arrived(projected) <= arrived(plain)


def test_adamp_does_not_see_the_scale_of_the_loss():
    nets = [network() for _ in range(2)]
    for net, factor in zip(nets, (1.0, 10.0), strict=True):
        train(net, AdamP(net.parameters(), lr=1e-2, eps=1e-12), factor=factor)
    assert distance(*nets) < 1e-6


def test_parity_of_the_buffer():
    """Without nesterov the released SGDP leaves the projected update in the momentum buffer; the algorithm keeps the plain one."""
    w = randn(4, 6, seed=1)
    g = across(w, 4)
    gradients = [g, g]
    plain, parity = (
        follow(lambda p, o=o: SGDP(p, lr=0.5, momentum=0.9, delta=1.0, official_parity=o), gradients, w)
        for o in (False, True)
    )
    assert float((plain - parity).abs().max()) < 1e-9, "an update that is tangential already leaves nothing to keep"
    gradients = [g, across(follow(lambda p: SGDP(p, lr=0.5, momentum=0.9), [g], w), 4), g]
    plain, parity = (
        follow(lambda p, o=o: SGDP(p, lr=0.5, momentum=0.9, delta=1.0, official_parity=o), gradients, w)
        for o in (False, True)
    )
    assert float((plain - parity).abs().max()) > 1e-3


# --- as an optimiser of torch


@pytest.mark.parametrize("foreach", [True, False])
@pytest.mark.parametrize("cls", [AdamP, SGDP])
def test_state_dict_continues_the_same_run(cls, foreach, tmp_path):
    options = {"lr": 0.01, "weight_decay": 0.01, "foreach": foreach}
    net = network()
    optimiser = cls(net.parameters(), **options)
    train(net, optimiser, 5)
    torch.save({"net": net.state_dict(), "optimiser": optimiser.state_dict()}, tmp_path / "state")
    state = torch.load(tmp_path / "state", weights_only=True)
    other = network(seed=5)
    other.load_state_dict(state["net"])
    resumed = cls(other.parameters(), **options)
    resumed.load_state_dict(state["optimiser"])
    train(net, optimiser, 4)
    train(other, resumed, 4)
    assert distance(net, other) == 0
    assert list(resumed.projected_steps().values()) == list(optimiser.projected_steps().values())


def test_groups_closure_and_missing_gradients():
    """Groups have their own options; the closure is called with gradients enabled; a parameter without gradient stays."""
    a, b, c = (nn.Parameter(randn(3, 4, seed=i)) for i in range(3))
    start = copy.deepcopy([p.detach() for p in (a, b, c)])
    optimiser = AdamP([{"params": [a, c], "lr": 0.0}, {"params": [b]}], lr=0.1)

    def closure():
        optimiser.zero_grad()
        loss = (a + b).square().sum()
        loss.backward()
        return loss

    assert optimiser.step(closure).item() == pytest.approx(float((start[0] + start[1]).square().sum()))
    assert torch.equal(a, start[0]) and torch.equal(c, start[2]) and not torch.equal(b, start[1])


def test_bad_input():
    w = [nn.Parameter(randn(2, 2))]
    for words, text in (
        ({"lr": -1.0}, "lr is -1"),
        ({"lr": 1.0, "delta": -0.1}, "delta is -0.1"),
        ({"lr": float("nan")}, "lr is nan"),
    ):
        for cls in (AdamP, SGDP):
            with pytest.raises(ValueError, match=text):
                cls(w, **words)
    with pytest.raises(ValueError, match=r"betas is \(0.9, 1.0\)"):
        AdamP(w, betas=(0.9, 1.0))
    with pytest.raises(ValueError, match="momentum is 1"):
        SGDP(w, lr=0.1, momentum=1.0)
    embedding = nn.Embedding(4, 2, sparse=True)
    embedding(torch.tensor([1])).sum().backward()
    for foreach in (True, False):
        with pytest.raises(ValueError, match="dense, real gradients"):
            AdamP(embedding.parameters(), foreach=foreach).step()


def test_against_timm():
    """Another implementation: AdamP as released, SGDP with a momentum buffer that keeps the plain update, as ours by default."""
    from models.nn.torchvision_ops import cure

    cure()
    import timm.optim

    ours, theirs = network(), network()
    train(ours, AdamP(ours.parameters(), lr=1e-2, weight_decay=0.1))
    train(theirs, timm.optim.AdamP(theirs.parameters(), lr=1e-2, weight_decay=0.1))
    assert distance(ours, theirs) < 1e-10
    ours, theirs = network(), network()
    train(ours, SGDP(ours.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01))
    train(theirs, timm.optim.SGDP(theirs.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01))
    assert distance(ours, theirs) < 1e-10
