"""TSMNet: the equations of SPD domain-specific momentum batch normalisation, its network, its training, and the exoskeleton data."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import geoopt
import numpy as np
import pytest
import torch

from bench import cell as cells
from bench import plan
from bench.schema import Arrays, BenchError, Bundle
from bench.train import DrawnSampler, loader
from datasets.eeg.exo.adapter import load, preprocess
from datasets.eeg.exo.config import TWICE
from datasets.eeg.exo.config import Config as Exo
from datasets.eeg.twin_config import TwinConfig
from models.geometry import spd
from models.nn.geoopt_adam import riemannian_adam
from models.tsmnet import SPDDSMBN, TSMNetwork, domain_batches, momenta
from models.tsmnet.config import Config
from models.tsmnet.net import StiefelBiMap, upper
from models.tsmnet.plugin import TSMNet

F64 = torch.float64
ROOT = Path(__file__).resolve().parents[1]


def random_spd(*shape: int, seed: int = 0) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    a = torch.randn(*shape, 2 * shape[-1], dtype=F64, generator=g)
    return a @ a.mT / (2 * shape[-1]) + 0.1 * torch.eye(shape[-1], dtype=F64)


def at(k: int, domain: int) -> torch.Tensor:
    return torch.full((k,), domain)


def close(a: torch.Tensor, b: torch.Tensor, tol: float) -> None:
    assert a.shape == b.shape
    assert float((a.detach() - b.detach()).abs().max()) <= tol * max(float(b.detach().abs().max()), 1.0)


def variance(log: torch.Tensor) -> torch.Tensor:
    return log.square().sum((-2, -1)).mean()


def by_definition(x, base, mean, var, eta, parity=False):
    """(B, M, v) after one batch of one domain, from the definitions alone, with the base point given."""
    h, hi = spd.sqrtm(base), spd.inv_sqrtm(base)
    log = spd.logm(hi @ x @ hi)
    batch = h @ spd.expm(log.mean(0)) @ h
    r, ri = spd.sqrtm(mean), spd.inv_sqrtm(mean)
    new = spd.sym(r @ spd.powm(spd.sym(ri @ batch @ ri), eta) @ r)
    if parity:
        batch_var = variance(log - spd.logm(spd.sym(hi @ new @ hi)))
    else:
        batch_var = spd.aim_distance2(new.expand_as(x), x).mean()
    return batch, new, (1 - eta) * var + eta * batch_var


# --- the layer: statistics
# ------------------------------------------------------------------------------------------------------


def test_refit_gives_frechet_mean_identity_and_the_learnt_dispersion():
    """After a refit the domain's Karcher mean is I, and its variance s^2 v / (v + eps)."""
    layer = SPDDSMBN(5, [3, 8]).eval()
    with torch.no_grad():
        layer.std.fill_(1.7)
    x = 3 * random_spd(20, 5, seed=1)
    layer.refit(x, 8)
    y = layer(x, at(20, 8))
    close(spd.aim_mean(y), torch.eye(5, dtype=F64), 1e-9)
    v = spd.aim_distance2(spd.aim_mean(x).expand_as(x), x).mean()
    close(spd.aim_distance2(torch.eye(5, dtype=F64).expand_as(y), y).mean(), 1.7**2 * v / (v + 1e-5), 1e-9)
    close(layer.tangent(x, at(20, 8)), spd.logm(y), 1e-9)


def test_refit_is_the_mean_and_variance_of_pyriemann():
    mean = pytest.importorskip("pyriemann.utils.mean")
    distance = pytest.importorskip("pyriemann.utils.distance")
    x = random_spd(15, 6, seed=2)
    layer = SPDDSMBN(6, [0])
    layer.refit(x, 0)
    expected = mean.mean_riemann(x.numpy(), tol=1e-13, maxiter=200)
    for suffix in ("", "_test"):
        close(getattr(layer, f"running_mean{suffix}")[0], torch.as_tensor(expected), 1e-9)
        v = np.mean([distance.distance_riemann(m, expected) ** 2 for m in x.numpy()])
        close(getattr(layer, f"running_var{suffix}")[0], torch.as_tensor(v), 1e-9)


@pytest.mark.parametrize("parity", [False, True])
def test_one_domain_is_plain_momentum_normalisation(parity):
    """Five batches against the definitions: output, and both sets of statistics with their own momenta."""
    eta, eta_test = 0.6, 0.25
    layer = SPDDSMBN(4, eta=eta, eta_test=eta_test, official_parity=parity)
    eye, one = torch.eye(4, dtype=F64), torch.tensor(1.0, dtype=F64)
    stats = {"": (eye, one), "_test": (eye, one)}
    for step in range(5):
        x = random_spd(7, 4, seed=10 + step)
        y = layer(x, at(7, 0))
        for suffix, momentum in (("", eta), ("_test", eta_test)):
            _, *stats[suffix] = by_definition(x, x.mean(0), *stats[suffix], momentum, parity)
            close(getattr(layer, f"running_mean{suffix}")[0], stats[suffix][0], 1e-10)
            close(getattr(layer, f"running_var{suffix}")[0], stats[suffix][1], 1e-10)
        m, v = stats[""]
        close(y, spd.powm(spd.sym(spd.inv_sqrtm(m) @ x @ spd.inv_sqrtm(m)), float((v + 1e-5).rsqrt())), 1e-9)
    m, v = stats["_test"]
    before = {k: b.clone() for k, b in layer.named_buffers()}
    y = layer.eval()(x, at(7, 0))
    close(y, spd.powm(spd.sym(spd.inv_sqrtm(m) @ x @ spd.inv_sqrtm(m)), float((v + 1e-5).rsqrt())), 1e-9)
    assert all(torch.equal(before[k], b) for k, b in layer.named_buffers())


def test_domains_share_nothing_but_the_standard_deviation():
    """A mixed batch is each domain's own layer; statistics of absent domains stay, in training and in a refit."""
    x = random_spd(12, 4, seed=20) * torch.linspace(1, 5, 12, dtype=F64)[:, None, None]
    d = torch.tensor([7, 2, 2, 7, 2, 7, 7, 2, 7, 2, 7, 7])
    layer = SPDDSMBN(4, [7, 2, 5], eta=0.5, eta_test=0.3)
    y = layer(x, d)
    assert [n for n, _ in layer.named_parameters()] == ["std"] and layer.domains.tolist() == [2, 5, 7]
    for i, domain in enumerate(layer.domains.tolist()):
        alone = SPDDSMBN(4, [domain], eta=0.5, eta_test=0.3)
        own = d == domain
        if domain != 5:
            close(y[own], alone(x[own], d[own]), 1e-12)
        for name in ("running_mean", "running_var", "running_mean_test", "running_var_test"):
            close(getattr(layer, name)[i], getattr(alone, name)[0], 1e-12)
    assert torch.equal(layer.running_mean[1], torch.eye(4, dtype=F64)) and float(layer.running_var_test[1]) == 1.0
    before = {k: b.clone() for k, b in layer.named_buffers()}
    layer.refit(x[d == 2], 2)
    for name, b in layer.named_buffers():
        assert torch.equal(b[1:], before[name][1:]) and (name == "domains" or not torch.equal(b[0], before[name][0]))


def test_tangent_variance_of_the_released_code_is_never_larger():
    """The logarithm at the base point shortens distances (non-positive curvature); it keeps them where matrices commute."""
    x = random_spd(9, 4, seed=30)
    q = torch.linalg.qr(torch.randn(4, 4, dtype=F64, generator=torch.Generator().manual_seed(31))).Q
    g = torch.Generator().manual_seed(32)
    commuting = spd.sym((q * torch.randn(9, 1, 4, dtype=F64, generator=g).exp()) @ q.mT)
    for batch, equal in ((x, False), (commuting, True)):
        v = []
        for parity in (False, True):
            layer = SPDDSMBN(4, eta=0.4, official_parity=parity)
            layer(batch, at(9, 0))
            v.append(float(layer.running_var))
        assert abs(v[0] - v[1]) < 1e-12 if equal else v[1] < v[0] - 1e-6


# --- the layer: gradient
# ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("parity", [False, True])
def test_gradient_is_the_finite_difference_with_a_frozen_base_point(parity):
    """Through B, M and v, and not through the base point of the Karcher step; for X and s."""
    x, weight = random_spd(6, 3, seed=40), random_spd(6, 3, seed=41)
    base, mean, var = x.mean(0), random_spd(3, seed=42), torch.tensor(0.7, dtype=F64)

    def loss(x, s, base=base):
        _, m, v = by_definition(x, base, mean, var, 0.6, parity)
        h = spd.inv_sqrtm(m)
        return (weight * spd.expm(s * (v + 1e-5).rsqrt() * spd.logm(spd.sym(h @ x @ h)))).sum()

    layer = SPDDSMBN(3, eta=0.6, official_parity=parity)
    with torch.no_grad():
        layer.std.fill_(1.3)
        layer.running_mean.copy_(mean)
        layer.running_var.copy_(var)
    xg = x.clone().requires_grad_()
    out = (weight * layer(xg, at(6, 0))).sum()
    close(out, loss(x, 1.3), 1e-10)
    gx, gs = torch.autograd.grad(out, [xg, layer.std])
    d = spd.sym(torch.randn(6, 3, 3, dtype=F64, generator=torch.Generator().manual_seed(43)))
    fd = float(loss(x + 1e-5 * d, 1.3) - loss(x - 1e-5 * d, 1.3)) / 2e-5
    assert abs(float((gx * d).sum()) - fd) < 1e-6 * max(1.0, abs(fd))
    fd = float(loss(x, 1.3 + 1e-5) - loss(x, 1.3 - 1e-5)) / 2e-5
    assert abs(float(gs) - fd) < 1e-6 * max(1.0, abs(fd))
    moving = [loss(x + h * d, 1.3, (x + h * d).mean(0)) for h in (1e-5, -1e-5)]
    total = float(moving[0] - moving[1]) / 2e-5
    assert abs(total - float((gx * d).sum())) > 1e-5  # the two differ: the test can tell


# --- the schedule
# ------------------------------------------------------------------------------------------------------


def test_momenta_by_the_closed_form():
    """bs = 10, bs0 = 50, E = 40, tau0 = 0.85: from 1 to 1/5 and from 0.15 to 1 - 0.85^(1/5); epochs count from 1."""
    e, rho = 40, (10 / 50) ** (1 / 40)
    assert momenta(1, e, 10, 50, 0.85) == pytest.approx((1.0, 0.15), abs=1e-14)
    for k in (e, e + 1, 50):
        assert momenta(k, e, 10, 50, 0.85) == pytest.approx((0.2, 1 - 0.85**0.2), abs=1e-14)
    for k in range(1, 51):
        eta = 1 - rho ** (e * max(e - k, 0) / (e - 1)) + rho**e
        w = max(e - k, 0) / (e - 1)
        eta_test = 1 - 0.85 ** (0.2 * (1 - w) + w)
        assert momenta(k, e, 10, 50, 0.85) == pytest.approx((eta, eta_test), abs=1e-14)
        assert momenta(k, e, 10, 50, 0.85, official_parity=True) == pytest.approx((eta, 1 - eta_test), abs=1e-14)
    # formula at k = 0 exceeds 1: no weight of a geodesic
    assert 1 - rho ** (e * e / (e - 1)) + rho**e > 1
    for bad in ((0, e, 10, 50, 0.85), (1, 1, 10, 50, 0.85), (1, e, 60, 50, 0.85), (1, e, 10, 50, 1.0)):
        with pytest.raises(ValueError, match="="):
            momenta(*bad)


# --- invariance
# ------------------------------------------------------------------------------------------------------


def test_a_refit_takes_a_congruence_of_a_domain_away():
    """X -> W X W^T turns the centred matrices by one rotation; by none where W = A^(1/2) M^(-1/2), A SPD, M the mean."""
    x, w = random_spd(10, 4, seed=50), torch.randn(4, 4, dtype=F64, generator=torch.Generator().manual_seed(51))
    layer = SPDDSMBN(4, [0, 1]).eval()
    layer.refit(x, 0)
    y = layer.tangent(x, at(10, 0))
    moved = w @ x @ w.mT
    layer.refit(moved, 1)
    z = layer.tangent(moved, at(10, 1))
    gram = [upper(v) @ upper(v).T for v in (y, z)]
    close(gram[1], gram[0], 1e-9)  # all inner products, hence what a rotation-invariant classifier sees
    mean, new = layer.running_mean[0], layer.running_mean[1]
    turn = spd.inv_sqrtm(new) @ w @ spd.sqrtm(mean)
    close(turn @ turn.mT, torch.eye(4, dtype=F64), 1e-9)
    close(z, turn @ y @ turn.mT, 1e-9)
    w = spd.sqrtm(random_spd(4, seed=52)) @ spd.inv_sqrtm(mean)
    layer.refit(w @ x @ w.mT, 1)
    close(layer.tangent(w @ x @ w.mT, at(10, 1)), y, 1e-9)
    stale = SPDDSMBN(4, [0, 1]).eval()
    gap = stale.tangent(w @ x @ w.mT, at(10, 1)) - stale.tangent(x, at(10, 0))
    assert float(gap.detach().abs().max()) > 0.1


def test_predictions_do_not_see_the_gain_of_an_adapted_domain():
    torch.manual_seed(0)
    net = TSMNetwork(6, 3, [1, 2], (2, 10, 9, 5)).double().eval()
    x = torch.randn(12, 6, 64, dtype=F64, generator=torch.Generator().manual_seed(60))
    net.refit(x, at(12, 1))
    net.refit(7.5 * x, at(12, 2))
    close(net(7.5 * x, at(12, 2)), net(x, at(12, 1)), 1e-9)


# --- the network, the optimiser, the batches
# ------------------------------------------------------------------------------------------------------


def test_front_end_and_tangent_vectors():
    """Covariance over T samples of mean-free features, by numpy; the vector keeps the Frobenius inner product."""
    torch.manual_seed(1)
    net = TSMNetwork(3, 2, [0], (2, 6, 5, 4))
    x = torch.randn(2, 3, 40, dtype=F64, generator=torch.Generator().manual_seed(61))
    padded = np.pad(x.numpy(), ((0, 0), (0, 0), (2, 2)), mode="reflect")
    temporal, spatial = (m.weight.detach().double().numpy() for m in (net.front.temporal, net.front.spatial))
    windows = np.lib.stride_tricks.sliding_window_view(padded, 5, axis=-1)  # (N, channels, T, kernel)
    y = np.einsum("nctk,fk,sfc->nst", windows, temporal[:, 0, 0], spatial[..., 0])
    c = np.stack([np.cov(t, bias=True) for t in y])  # biases of the convolutions do not change a covariance
    close(net.front(x), torch.as_tensor(c), 1e-5)
    a, b = random_spd(2, 4, seed=62)
    assert float(upper(a) @ upper(b)) == pytest.approx(float((a * b).sum()), abs=1e-12)
    scaled = TSMNetwork(3, 2, [0], (2, 6, 5, 4), trace_norm=True).front(x)
    close(scaled.diagonal(dim1=-2, dim2=-1).mean(-1), torch.ones(2, dtype=F64), 1e-12)


def test_stiefel_start_and_steps():
    """W(W^T W)^(-1/2) of a uniform W, which stays orthonormal; weight decay on Euclidean parameters only."""
    torch.manual_seed(2)
    net = TSMNetwork(4, 2, [0], (2, 8, 5, 4))
    cfg = Config(name="tsmnet")
    opt = riemannian_adam(net, cfg.lr, cfg.weight_decay, amsgrad=False)
    curved = [p for g in opt.param_groups for p in g["params"] if g["weight_decay"] == 0]
    assert len(curved) == 1 and curved[0] is net.bimap.weight and isinstance(net.bimap.weight, geoopt.ManifoldParameter)
    assert sum(len(g["params"]) for g in opt.param_groups) == len(list(net.parameters()))
    torch.manual_seed(3)
    bimap = StiefelBiMap(8, 4)
    assert float(bimap.weight.detach().min()) > -1.0 and float(bimap.weight.detach().mean()) > 0.05  # not centred at 0
    x = torch.randn(16, 4, 64, generator=torch.Generator().manual_seed(63))
    start = net.bimap.weight.detach().clone()
    for _ in range(20):
        opt.zero_grad()
        torch.nn.functional.cross_entropy(net(x, at(16, 0)), torch.arange(16) % 2).backward()
        opt.step()
    w = net.bimap.weight.detach()
    close(w.mT @ w, torch.eye(4, dtype=F64), 1e-6)
    assert float((w - start).abs().max()) > 1e-3


def test_batches_of_domains():
    """Each batch: 5 domains, 10 trials of each, stratified to within one of the share; all else waits for another epoch."""
    rng = np.random.default_rng(4)
    domain = torch.as_tensor(rng.permutation(np.repeat(np.arange(7), 43)))
    y = torch.as_tensor(rng.integers(0, 4, len(domain)))
    counts = set()
    for seed in range(20):
        batches = domain_batches(y, domain, 10, 5, torch.Generator().manual_seed(seed))
        counts.add(len(batches))
        flat = [i for b in batches for i in b]
        assert len(flat) == len(set(flat)) == 7 * 40
        for b in batches[:-1]:
            d, n = domain[b].unique(return_counts=True)
            assert len(d) == 5 and n.tolist() == [10] * 5
        for b in batches:
            for d in domain[b].unique():
                own = torch.tensor(b)[domain[b] == d]
                share = torch.bincount(y[domain == d], minlength=4) * 10 / 43
                assert (torch.bincount(y[own], minlength=4) - share).abs().max() < 2
    assert counts == {6}  # 28 pieces, at most 5 to a batch
    again = [domain_batches(y, domain, 10, 5, torch.Generator().manual_seed(3)) for _ in range(2)]
    assert again[0] == again[1] != domain_batches(y, domain, 10, 5, torch.Generator().manual_seed(5))
    small = domain_batches(y[:6], torch.zeros(6, dtype=torch.int64), 10, 5, torch.Generator().manual_seed(0))
    assert sorted(small[0]) == list(range(6)) and len(small) == 1


# --- in the harness
# ------------------------------------------------------------------------------------------------------

TINY = ["data=eeg_twin", "data.paradigm=mi", "data.subjects=1", "data.sessions=4", "data.per_class=12", "scale=smoke"]
TINY += ["data.channels=[C3,Cz,C4,CP3,CP4,FC3,FC4]", "data.classes=[left_hand,right_hand]", "data.twin.ill_share=0"]
TINY += ["method.temporal=2", "method.spatial=12", "method.hidden=6", "trainer.threads=1"]


def value(record: dict, metric: str = "accuracy") -> float:
    return next(m["value"] for m in record["metrics"] if m["metric"] == metric)


def test_a_stopped_run_goes_on_as_if_it_had_not_been(tmp_path):
    rows = []
    for name, extra in (("whole", []), ("cut", ["deadline=0"])):
        words = ["method=tsmnet", *TINY, "method.epochs=4", f"out={tmp_path / name}", *extra]
        cell = plan.expand(words)[0]
        outcomes = []
        while not outcomes or outcomes[-1] == "stopped":
            outcomes.append(cells.run(cell)[0])
        assert outcomes == (["stopped"] * 3 if extra else []) + ["done"]
        rows.append(dict(np.load(cell.folder / "curves.npz")))
        rows[-1] |= dict(np.load(cell.folder / "predictions.npz"))
    for k in rows[0]:
        assert np.array_equal(rows[0][k], rows[1][k]), k


def test_batches_that_a_method_draws_itself():
    """Not shared between processes; as many every epoch; a function of (seed, epoch); x, y, group; validation stays in order."""
    bundle, method = shifted(4), TSMNet(Config(name="tsmnet"))
    with pytest.raises(BenchError, match="tsmnet draws its own batches"):
        loader(bundle.train, 50, 0, 0, 2, method)
    batches = loader(bundle.train, 50, 0, method=method)
    epochs = []
    for epoch in (0, 1, 0):
        batches.batch_sampler.set_epoch(epoch)
        epochs.append(list(batches))
        assert len(epochs[-1]) == len(batches)
    assert all(torch.equal(a[0], b[0]) for a, b in zip(epochs[0], epochs[2], strict=True))
    assert not torch.equal(epochs[0][0][0], epochs[1][0][0])
    x, y, group = epochs[0][0]
    assert len(x) == len(y) == 40 and group.unique(return_counts=True)[1].tolist() == [10] * 4
    assert torch.equal(next(iter(loader(bundle.val, 8, method=method)))[2], torch.as_tensor(bundle.val.group[:8]))
    sampler = DrawnSampler(lambda g: [[0]] * int(torch.randint(1, 1000, (), generator=g)), 0)
    sampler.set_epoch(1)
    with pytest.raises(ValueError, match="batches in epoch 1"):
        list(sampler)


def shifted(n_train_domains: int, seed: int = 0) -> Bundle:
    """Two classes by the power of one source; every domain has a random mixing of its own, strong against the effect."""
    rng = np.random.default_rng(seed)
    x, y, domain = [], [], []
    for d in range(n_train_domains + 1):
        gain = np.exp(0.8 * rng.standard_normal(4))[:, None] * (np.eye(4) + 0.1 * rng.standard_normal((4, 4)))
        label = rng.permutation(np.repeat([0, 1], 20))
        source = rng.standard_normal((40, 4, 64))
        source[:, 0] *= np.exp(np.where(label, 0.5, -0.5))[:, None]
        x.append(gain @ source)
        y.append(label)
        domain.append(np.full(40, d))
    x, y, domain = np.concatenate(x), np.concatenate(y), np.concatenate(domain)
    last = domain == n_train_domains
    val = ~last & (np.arange(len(y)) % 5 == 0)
    parts = [Arrays(x[m], y[m], domain[m]) for m in (~last & ~val, val, last)]
    return Bundle("eeg_trials", *parts, 2, x.shape[1:], "S01", "synthetic_twin", "0" * 64)


def test_adaptation_recovers_from_a_shift_where_the_unadapted_network_fails(tmp_path, monkeypatch):
    """Two random shifts; the same training, only the statistics of the unseen domain differ."""
    scores: dict[bool, list[float]] = {True: [], False: []}
    for seed in range(2):
        bundle = shifted(4, seed)
        monkeypatch.setattr(cells, "load", lambda cell, bundle=bundle: bundle)
        for adapt in (True, False):
            words = ["method=tsmnet", *TINY, "method.epochs=20", f"method.adapt={adapt}", f"out={tmp_path / str(seed)}"]
            outcome, record = cells.run(plan.expand(words)[0])
            assert outcome == "done" and record["transductive"] is adapt, record.get("traceback")
            scores[adapt].append(value(record))
    assert np.mean(scores[True]) > 0.85 and np.mean(scores[False]) < np.mean(scores[True]) - 0.15, scores


def test_labels_of_the_test_split_play_no_part_and_a_lone_validation_session_is_adapted(tmp_path, monkeypatch):
    """eeg_twin validates on a session of its own; turned test labels leave every score as it is."""
    cell = plan.expand(["method=tsmnet", *TINY, "method.epochs=2", f"out={tmp_path / 'a'}"])[0]
    bundle = cells.load(cell)
    assert not set(bundle.val.group) & set(bundle.train.group)
    method = TSMNet(cell.method)
    module = method.build(bundle, cell.method)
    assert module.unseen is not None and len(module.unseen[0]) == len(bundle.val)
    runs = []
    for name, labels in (("a", bundle.test.y), ("b", 1 - bundle.test.y)):
        changed = replace(bundle, test=Arrays(bundle.test.x, labels, bundle.test.group))
        monkeypatch.setattr(cells, "load", lambda cell, changed=changed: changed)
        cell = plan.expand(["method=tsmnet", *TINY, "method.epochs=2", f"out={tmp_path / name}"])[0]
        assert cells.run(cell)[0] == "done"
        assert (cell.folder / "figures" / "tangent_space.png").stat().st_size < 200_000
        runs.append(np.load(cell.folder / "predictions.npz")["y_score"])
    assert np.array_equal(*runs)


def test_one_normalisation_for_all_is_refit_on_training_data(tmp_path):
    cell = plan.expand(["method=tsmnet_spdmbn", *TINY, "method.epochs=2", f"out={tmp_path}"])[0]
    assert cells.run(cell)[1]["transductive"] is False
    bundle, method = cells.load(cell), TSMNet(cell.method)
    module = method.build(bundle, cell.method).eval()
    assert method.adapt(module, bundle) is False
    x = torch.cat([torch.as_tensor(s.x) for s in (bundle.train, bundle.val)])
    with torch.no_grad():
        close(module.net.norm.running_mean_test[0], spd.aim_mean(module.net.spd(x)), 1e-9)


@pytest.mark.parametrize("norm", ["none", "gbw", "bw", "brooks", "aim", "lem", "lcm"])
def test_every_normalisation_of_spdnet_trains_in_this_network(norm, tmp_path):
    """The cell learns and adapts nothing; the network is the composition of its parts, with the parameters of the layer."""
    words = ["method=tsmnet", *TINY, f"method.norm={norm}", "method.theta=0.5", "method.epochs=15", f"out={tmp_path}"]
    cell = plan.expand(words)[0]
    outcome, record = cells.run(cell)
    assert outcome == "done" and record["transductive"] is False, record.get("traceback")
    assert value(record) > 0.6
    layer = TSMNet(cell.method)._layer(6)
    parameters = sum(p.numel() for p in layer.parameters())
    net = TSMNetwork(3, 2, None, (2, 8, 9, 6), norm=lambda n: layer).eval()
    assert sum(p.numel() for p in net.norm.parameters()) == parameters
    x, domain = torch.randn(5, 3, 40, generator=torch.Generator().manual_seed(0)), at(5, 7)
    with torch.no_grad():
        close(net.features(x, domain), upper(spd.logm(layer(net.spd(x)))), 1e-12)


def test_data_without_sessions_are_skipped_with_a_reason():
    bundle = shifted(1)
    method = TSMNet(Config(name="tsmnet"))
    assert method.skip(bundle) is None
    assert "session" in method.skip(replace(bundle, test=Arrays(bundle.test.x, bundle.test.y)))
    assert "method.kernel" in TSMNet(Config(name="tsmnet", kernel=301)).skip(bundle)


# --- bad input
# ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("x", "domain", "error", "word"),
    [
        (torch.eye(3).expand(2, 3, 3), at(2, 0), TypeError, "double"),
        (torch.eye(4, dtype=F64).expand(2, 4, 4), at(2, 0), ValueError, "n=3"),
        (torch.full((2, 3, 3), float("nan"), dtype=F64), at(2, 0), ValueError, "NaN"),
        (-torch.eye(3, dtype=F64).expand(2, 3, 3), at(2, 0), ValueError, "positive definite"),
        (torch.eye(3, dtype=F64).expand(2, 3, 3), at(3, 0), ValueError, "one identifier"),
        (torch.eye(3, dtype=F64).expand(2, 3, 3), at(2, 9), ValueError, "domain 9"),
        (torch.eye(3, dtype=F64).expand(2, 3, 3), at(2, -1), ValueError, "domain -1"),
    ],
)
def test_bad_input_gets_one_sentence(x, domain, error, word):
    for training in (True, False):
        layer = SPDDSMBN(3, [0, 4]).train(training)
        with pytest.raises(error, match=word) as info:
            layer(x, domain)
        assert "\n" not in str(info.value) and torch.equal(layer.running_mean[0], torch.eye(3, dtype=F64))


def test_bad_options(bench):
    for options in (
        {"n": 0},
        {"n": 3, "domains": []},
        {"n": 3, "eps": 0.0},
        {"n": 3, "eta": 1.5},
        {"n": 3, "eta_test": -1},
    ):
        with pytest.raises(ValueError, match=r"\d|domains"):
            SPDDSMBN(**options)
    for word, said in (("method.hidden=50", "BiMap"), ("method.domains=40", "fewer than 2")):
        code, _, err = bench("plan", "method=tsmnet", *word.split())
        assert code == 2 and said in err
    for word, said in (
        ("data.band=[20,10]", "data.band"),
        ("data.tmax=0.5 data.tmin=0.1", "0.5 s"),
        ("data.protocol=both", "protocol"),
    ):
        code, _, err = bench("plan", "method=tsmnet", *word.split())
        assert code == 2 and said in err
    with pytest.raises(ValueError, match="12 samples"):
        TSMNetwork(3, 2, [0])(torch.zeros(1, 3, 12), at(1, 0))


def test_import_is_lazy():
    code = "import sys, models.tsmnet as m; assert 'torch' not in sys.modules; assert 'SPDDSMBN' in dir(m)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


# --- the exoskeleton recordings
# ------------------------------------------------------------------------------------------------------

DATA = Path(os.environ.get("BENCH_DATA", "."))


def exo(**choices) -> Exo:
    config = Exo(name="ssvep_exo", **choices)
    config.check()
    return config


def splits(b: Bundle) -> list[set[int]]:
    return [set(s.group.tolist()) for s in (b.train, b.val, b.test)]


def test_protocols_by_session(tmp_path):
    """last_session, each_session, cross_subject: who is on which side; a copied session is never on both."""
    quick = TwinConfig(background=1.0)
    config = exo(twin=quick)
    assert config.folds() == [f"S{i:02d}" for i in range(1, 13)]
    assert sum(len(config.sessions(i)) for i in range(1, 13)) == 28
    assert sum(len(exo(authors_exclusions=False).sessions(i)) for i in range(1, 13)) == 33
    b = load(config, "S10", "synthetic", DATA, tmp_path)
    assert splits(b) == [{1002, 1003, 1005}, {1002, 1003, 1005}, {1006}] and b.group == "S10"
    assert [len(s) for s in (b.train, b.val, b.test)] == [72, 24, 32] and b.shape == (8, 640)
    assert np.bincount(b.test.y).tolist() == [8] * 4 and np.bincount(b.val.y).tolist() == [6] * 4
    each = exo(protocol="each_session", twin=quick)
    assert len(each.folds()) == 28 and "S10s4" not in each.folds()
    assert splits(load(each, "S10s2", "synthetic", DATA, tmp_path)) == [{1003, 1005, 1006}] * 2 + [{1002}]
    with pytest.raises(BenchError, match="S10s4"):
        load(each, "S10s4", "synthetic", DATA, tmp_path)
    cross = exo(protocol="cross_subject", twin=quick)
    (copy, original) = next(iter(TWICE.items()))
    for tested, absent in ((copy, original), (original, copy)):
        train, val, test = splits(load(cross, f"S{tested[0]:02d}", "synthetic", DATA, tmp_path))
        assert 100 * tested[0] + tested[1] in test and 100 * absent[0] + absent[1] not in train | val
        assert not train & test and all(g // 100 == tested[0] for g in test) and len(train) + len(test) == 27


def test_preprocessing_passes_the_band_and_learns_from_no_other_trial():
    t = np.arange(1280) / 256
    tones = np.sin(2 * np.pi * np.array([1.0, 13.0, 21.0, 60.0])[:, None] * t)[None]
    y = preprocess(exo(), tones)
    assert y.shape == (1, 4, 640)
    power = y[0, :, 64:-64].std(1) / np.sqrt(0.5)
    assert power[[0, 3]].max() < 0.03 and np.abs(power[1:3] - 1).max() < 0.02
    expected = np.sin(2 * np.pi * 13 * np.arange(640) / 128)
    assert np.abs(y[0, 1, 64:-64] - expected[64:-64]).max() < 0.02  # no delay
    rng = np.random.default_rng(5)
    x = rng.standard_normal((6, 2, 1280))
    assert np.array_equal(preprocess(exo(), x[:2]), preprocess(exo(), x)[:2])
    assert preprocess(exo(tmin=1.0, tmax=4.0, resample=100.0), x).shape == (6, 2, 300)


def test_the_recordings_are_what_they_are_said_to_be(tmp_path):
    """Labels: power is highest at the labelled frequency. The copied session is a copy. An altered file is refused."""
    config = exo(authors_exclusions=False)
    if not config.present(DATA, tmp_path):
        pytest.skip(f"BENCH_DATA holds no {config.files()[0].path}")
    score = []
    for fold in ("S04", "S09"):
        b = load(config, fold, "real", DATA, tmp_path)
        assert b.origin == "real" and b.meta["frequencies"] == [13.0, 21.0, 17.0]
        power = np.abs(np.fft.rfft(b.train.x - b.train.x.mean(-1, keepdims=True), axis=-1)) ** 2
        f = np.fft.rfftfreq(640, 1 / 128)
        near = [(np.abs(f - g) > 0.5) & (np.abs(f - g) < 2) for g in b.meta["frequencies"]]
        snr = [
            np.log(power[..., np.abs(f - g) < 0.11].mean((1, 2)) / power[..., n].mean((1, 2)))
            for g, n in zip(b.meta["frequencies"], near, strict=True)
        ]
        mean = np.array([np.stack(snr)[:, b.train.y == c].mean(1) for c in range(4)])
        score.append(mean[1:].argmax(1).tolist())
    assert score == [[0, 1, 2]] * 2
    a, c = (load(exo(protocol="each_session"), f, "real", DATA, tmp_path).test for f in ("S07s1", "S03s2"))
    # equal up to the 16-bit steps of two files with scales of their own
    assert np.abs(a.x - c.x).max() < 0.01 * c.x.std() and np.array_equal(a.y, c.y)
    broken = tmp_path / config.files()[0].path
    broken.parent.mkdir()
    shutil.copyfile(DATA / config.files()[0].path, broken)
    with broken.open("r+b") as f:
        f.seek(5000)
        f.write(b"\0" * 16)
    with pytest.raises(BenchError, match="sha256"):
        load(config, "S01", "real", tmp_path, tmp_path)
