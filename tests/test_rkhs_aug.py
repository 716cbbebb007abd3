"""The space of an augmentation: kernels and spectra against enumeration, estimators against their definitions, the harness' cells."""

from __future__ import annotations

import subprocess
import sys
from math import comb
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.schema import BenchError
from datasets.hypercube.adapter import load, parities, points
from datasets.hypercube.config import Config as Cube
from models.rkhs_aug import Block, Independent, Smoother, States, operator, spectral_contrastive
from models.rkhs_aug.encoder import Encoder, learn, top
from models.rkhs_aug.views import captured

ROOT = Path(__file__).resolve().parents[1]
SMALL = [
    Independent(4, 0.3),
    Independent(4, 0.2, 0.15),
    Independent(4, 0.0, 0.1),
    Block(4, 2),
    Block(4, 1, 0.2),
    Block(4, 0),
    Block(4, 4),
]


def close(a, b, tol=1e-12):
    assert np.shape(a) == np.shape(b) and np.max(np.abs(np.asarray(a) - b)) <= tol


# --- kernels and spectra
# ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("a", SMALL, ids=repr)
def test_closed_forms_are_the_enumeration_of_all_views(a):
    x = points(4)
    given, p = operator(a, x)
    close(given.sum(1), np.ones(16))
    close(given.mean(0), p)
    kernel = given / p @ given.T
    close(a.kernel(x, x), kernel)
    close(kernel.diagonal(), np.full(16, np.exp(a.log_kappa2())))
    # the parities are the eigenfunctions of K / 2^m, and Gamma* Gamma has the same non-zero eigenvalues
    u = parities(4) / 4
    close(u.T @ kernel @ u / 16, np.diag(a.eigenvalues()))
    gamma = given / np.sqrt(p) / 4
    dual = np.sort(np.linalg.eigvalsh(gamma.T @ gamma))[::-1][:16]
    close(dual[: len(p)], np.sort(a.eigenvalues())[::-1][: len(p)], 1e-10)


@pytest.mark.parametrize("a", SMALL, ids=repr)
def test_views_are_drawn_with_their_probabilities(a):
    """Frequencies of 40,000 views of one point, within five standard errors; the ratio p(a | x) / p(a) by enumeration."""
    x = points(4)[5]
    given, p = operator(a, x[None])
    states = States(a).views
    n = 40_000
    drawn = a.sample(np.tile(x, (n, 1)), np.random.default_rng(0))
    where = (drawn[:, None] == states[None]).all(-1)
    assert where.any(1).all()
    error = np.sqrt(given[0] * (1 - given[0]) / n)
    assert (np.abs(where.mean(0) - given[0]) <= 5 * error + 1e-12).all()
    close(a.ratio(states, np.tile(x, (len(states), 1))), given[0] / p)


def test_density_ratio_of_positive_pairs():
    """K_A = sum_x p(x) p(a|x) p(a'|x) / (p(a) p(a')) averages to 1 over a', and 1 is its largest eigenvalue."""
    given, p = operator(Independent(4, 0.4, 0.1), points(4))
    k = given.T @ given / 16 / np.outer(p, p)
    close(k @ p, np.ones(len(p)))


def test_numbers_of_the_hypercube():
    x = points(10)
    random, block = Independent(10, 0.5), Block(10, 5)
    close(random.kernel(x[:7], x[:7]).diagonal(), np.full(7, 57.6650390625))
    close(block.kernel(x[:7], x[:7]).diagonal(), np.full(7, 32.0))
    values = random.eigenvalues()
    assert all(np.isclose(values, 0.5**k).sum() == comb(10, k) for k in range(11))
    close(values.sum(), 1.5**10)
    found = np.linalg.eigvalsh(block.kernel(x, x))[::-1] / 1024
    close(found, np.sort(block.eigenvalues())[::-1], 1e-10)
    assert np.isclose(found[1], 5 / 6) and np.isclose(np.sort(Block(10, 2).eigenvalues())[-2], 8 / 9)
    close(Independent(10, 0.0).kernel(x[:9], x), 1024 * np.eye(1024)[:9], 1e-9)
    close(Independent(10, 1.0).kernel(x[:9], x), np.ones((9, 1024)))


def test_complexity_from_samples():
    """kappa^2 = E[p(A | x) / p(A)] over views of x, within three standard errors."""
    for a in (Independent(10, 0.5), Block(10, 5, 0.1)):
        x = np.ones((200_000, 10))
        ratio = a.ratio(a.sample(x, np.random.default_rng(1)), x)
        error = ratio.std() / np.sqrt(len(ratio))
        assert abs(ratio.mean() - np.exp(a.log_kappa2())) <= 3 * error + 1e-9


# --- encoders
# ------------------------------------------------------------------------------------------------------


def test_averages_over_views_are_conditional_expectations():
    x = points(4)
    for a in SMALL:
        given, _ = operator(a, x)
        phi = np.random.default_rng(0).standard_normal((given.shape[1], 3))
        close(States(a).average(phi, x), given @ phi)


def test_trace_gap():
    """0 for the exact encoder, above for a random one, and no invertible map of the features changes it."""
    a, x, d = Independent(4, 0.3), points(4), 5
    given, p = operator(a, x)
    _, v = np.linalg.eigh((given / np.sqrt(p) / 4).T @ (given / np.sqrt(p) / 4))
    exact = v[:, ::-1][:, :d] / np.sqrt(p)[:, None]
    random = np.random.default_rng(0).standard_normal(exact.shape)

    def trace(phi):
        return captured(given @ phi, (phi * p[:, None]).T @ phi)

    best = np.sort(a.eigenvalues())[::-1][:d].sum()
    close(trace(exact), best, 1e-10)
    assert trace(random) < 0.7 * best
    close(trace(random @ np.random.default_rng(1).standard_normal((d, d))), trace(random), 1e-9)
    close(trace(np.column_stack([exact, exact[:, 0]])), best, 1e-9)  # a repeated feature adds nothing


def test_spectral_contrastive_loss_is_unbiased():
    """Its mean over all pairs of views equals -2 tr C + tr G^2 of the population."""
    a, x = Independent(3, 0.4), points(3)
    given, p = operator(a, x)
    phi = np.random.default_rng(0).standard_normal((len(p), 2))
    c, g = (given @ phi).T @ (given @ phi) / 8, (phi * p[:, None]).T @ phi
    rng, total = np.random.default_rng(1), []
    for _ in range(4000):
        at = rng.integers(8, size=6)
        rows = [[rng.choice(len(p), p=given[i]) for i in at] for _ in range(2)]
        total.append(float(spectral_contrastive(*(torch.as_tensor(phi[r]) for r in rows))))
    expected = -2 * np.trace(c) + np.trace(g @ g)
    assert abs(np.mean(total) - expected) < 4 * np.std(total) / np.sqrt(len(total))


def test_trained_features_span_the_top_space():
    """m = 4, d = 5 (the constant and all of degree 1): the loss reaches -sum of the five largest lambda^2, angles below 0.01."""
    a, x = Independent(4, 0.3), points(4)
    given, p = operator(a, x)
    joint, marginal = torch.as_tensor(given.T @ given / 16), torch.as_tensor(p)
    torch.manual_seed(0)
    phi = (0.3 * torch.randn(len(p), 5, dtype=torch.float64)).requires_grad_()
    optimiser = torch.optim.LBFGS([phi], max_iter=2000, tolerance_grad=1e-12, tolerance_change=1e-16)

    def loss():
        g = phi.T @ (phi * marginal[:, None])
        return -2 * (phi * (joint @ phi)).sum() + g.square().sum()

    def closure():
        optimiser.zero_grad()
        value = loss()
        value.backward()
        return value

    for _ in range(5):
        optimiser.step(closure)
    values = np.sort(a.eigenvalues())[::-1]
    assert abs(float(loss()) + np.square(values[:5]).sum()) < 1e-3
    q, _ = np.linalg.qr(given @ phi.detach().numpy())
    u = parities(4)[:, top(a, 5)] / 4
    assert np.arccos(min(1.0, np.linalg.svd(q.T @ u, compute_uv=False).min())) < 1e-2


def test_the_network_learns():
    """Two hundred steps on fresh views close most of the trace gap of its start."""
    a, x, rng = Independent(5, 0.3), points(5), np.random.default_rng(0)
    torch.manual_seed(0)
    net, states = Encoder(5, 6, 64), States(a)

    def gap():
        with torch.no_grad():
            phi = net(torch.as_tensor(states.views, dtype=torch.float32)).double().numpy()
        best = np.sort(a.eigenvalues())[::-1][:6].sum()
        return 1 - captured(states.average(phi, x), (phi * states.p[:, None]).T @ phi) / best

    def draw(n):
        z = x[rng.integers(len(x), size=n)]
        return a.sample(z, rng), a.sample(z, rng)

    before = gap()
    learn(net, draw, 200, 256, 3e-3)
    assert gap() < 0.25 * before


def test_top_sets():
    assert top(Independent(4, 0.3), 5).tolist() == [0, 1, 2, 4, 8]
    with pytest.raises(ValueError, match="between 1 and 16"):
        top(Independent(4, 0.3), 17)


# --- regression
# ------------------------------------------------------------------------------------------------------


def test_smoother_is_kernel_ridge_and_its_parts_add_up():
    from sklearn.kernel_ridge import KernelRidge

    a, x, rng = Independent(6, 0.4), points(6), np.random.default_rng(0)
    f = parities(6)[:, :9] @ rng.standard_normal(9)
    at = rng.permutation(64)
    train, test = at[:20], at[20:]
    k = a.kernel(x, x)
    smoother = Smoother(k[np.ix_(train, train)], k[np.ix_(test, train)], 1e-2)
    y = f[train] + 0.3 * rng.standard_normal((2000, 20))
    theirs = KernelRidge(alpha=20 * 1e-2, kernel="precomputed").fit(smoother.train, y.T).predict(smoother.test)
    close(smoother.predict(y[0]), theirs[:, 0], 1e-10)
    bias2, variance = smoother.parts(f[train], f[test], 0.3)
    errors = ((theirs - f[test][:, None]) ** 2).mean(0)
    assert abs(errors.mean() - bias2 - variance) < 4 * errors.std() / np.sqrt(2000)
    # each left-out label predicted by the other nineteen with the same penalty
    alone = []
    for i in range(20):
        rest = np.delete(train, i)
        weights = np.linalg.solve(k[np.ix_(rest, rest)] + 20 * 1e-2 * np.eye(19), np.delete(y[0], i))
        alone.append((k[train[i], rest] @ weights - y[0, i]) ** 2)
    close(smoother.leave_one_out(y[0]), np.mean(alone), 1e-10)


def test_all_points_without_noise_interpolate():
    x, f = points(6), parities(6) @ np.random.default_rng(0).standard_normal(64)
    k = Independent(6, 0.5).kernel(x, x)
    close(Smoother(k, k, 1e-13).predict(f), f, 1e-8)


def test_all_eigenfunctions_give_the_kernel(tmp_path):
    from bench import cell as cells
    from bench import plan

    values = []
    for method in (["method=rkhs_aug"], ["method=rkhs_top", "method.d=64"]):
        words = [*method, "method.alpha=0.4", "data.m=6", "data.n_train=20", "fold=0", "scale=smoke", f"out={tmp_path}"]
        record = cells.run(plan.expand(words)[0])[1]
        values.append({m["metric"]: m["value"] for m in record["metrics"]})
    assert abs(values[0]["mse"] - values[1]["mse"]) < 1e-10 and values[1]["trace_gap"] == 0
    assert values[0]["spectrum_error"] < 1e-10 and values[0]["kappa2_error"] < 1e-10


# --- data and choices
# ------------------------------------------------------------------------------------------------------


def test_polynomials(tmp_path):
    config = Cube(name="hypercube", draws=3)
    first, again, other = (
        load(config, fold=f, source="simulated", root=tmp_path, cache=tmp_path) for f in ("draw0", "draw0", "draw1")
    )
    assert first.fingerprint == again.fingerprint != other.fingerprint
    c = first.meta["coefficients"]
    degree = np.bitwise_count(np.arange(1024))
    assert c[0] == 0 and not c[degree > 3].any() and c[(degree > 0) & (degree < 4)].all()
    close(first.meta["truth"].var(), 1.0, 1e-9)
    close(parities(10) @ c, first.meta["truth"])
    assert len(first.train) == 120 and len(first.test) == 904
    noise = first.train.y - first.meta["truth"][(first.train.x < 0) @ (1 << np.arange(10))]
    assert 0.2 < noise.std() < 0.4
    local = load(Cube(name="hypercube_local", span=3), fold="draw0", source="simulated", root=tmp_path, cache=tmp_path)
    sets = np.flatnonzero(local.meta["coefficients"])
    assert len(sets) == 10 + 9 + 8 + 8  # single, adjacent, at distance two, three in a row
    assert max(int(s).bit_length() - 1 - (int(s) & -int(s)).bit_length() + 1 for s in sets) == 2


def test_bad_input(bench):
    for make in (
        lambda: Independent(4, 0.7, 0.4),
        lambda: Block(4, 5),
        lambda: Block(4, 2, 1.5),
        lambda: Independent(0, 0.5),
    ):
        with pytest.raises(ValueError, match="pass"):
            make()
    with pytest.raises(ValueError, match="-1 or 1"):
        Independent(4, 0.5).kernel(np.zeros((1, 4)), points(4))
    with pytest.raises(ValueError, match=r"3\^13|1594323"):
        States(Independent(13, 0.5))
    with pytest.raises(ValueError, match="positive"):
        Smoother(np.eye(2), np.eye(2), 0.0).predict(np.ones(2))
    with pytest.raises(ValueError, match="shapes"):
        spectral_contrastive(torch.zeros(1, 2), torch.zeros(1, 2))
    with pytest.raises(BenchError, match="draw0"):
        load(Cube(name="hypercube"), fold="0", source="simulated", root=Path(), cache=Path())
    for words, said in (
        (["method=rkhs_network", "method.alpha=null"], "method.alpha"),
        (["method=rkhs_aug", "data.n_train=1024"], "data.n_train"),
        (["method=rkhs_aug", "data.sd=[0.0]"], "data.sd"),
        (["method=rkhs_aug", "method.alpha=1.2"], "method.alpha"),
    ):
        code, _, err = bench("plan", *words)
        assert code == 2 and said in err


def test_import_is_lazy():
    code = "import sys, models.rkhs_aug as m; assert 'torch' not in sys.modules; assert 'Block' in dir(m)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


# --- masked images
# ------------------------------------------------------------------------------------------------------


def test_masks_of_images():
    from models.masked_probe.plugin import hidden

    rng = np.random.default_rng(0)
    random = hidden("random", 0.3, 4000, (3, 8, 8), rng).reshape(4000, 3, 8, 8)
    assert (random[:, :1] == random).all() and abs(random.mean() - 0.3) < 0.01
    block = hidden("block", 0.25, 4000, (1, 8, 8), rng).reshape(4000, 8, 8)
    assert (block.sum((1, 2)) == 16).all() and (block.any(2).sum(1) == 4).all()
    assert (np.abs(block[:, 0, 0].mean() - 1 / 25) < 0.02) and block.any(0).all()
    assert not hidden("block", 0.0, 3, (1, 8, 8), rng).any() and hidden("block", 1.0, 3, (1, 8, 8), rng).all()


def test_probe_is_ridge_with_leave_one_out():
    from sklearn.linear_model import Ridge

    from models.masked_probe.config import Config
    from models.masked_probe.plugin import PENALTIES, MaskedProbe

    rng = np.random.default_rng(0)
    z = rng.standard_normal((30, 4)) * [1, 2, 3, 4] + 5
    targets = np.eye(3)[(z @ rng.standard_normal((4, 3))).argmax(1)]
    probe = MaskedProbe(Config(name="masked_probe"))
    probe._probe(z, targets)
    a = (z - probe.centre) / probe.scale
    errors = []
    for penalty in PENALTIES * 30:
        left = []
        for i in range(30):
            rest = np.delete(np.arange(30), i)
            model = Ridge(alpha=penalty).fit(a[rest], targets[rest])
            left.append(((model.predict(a[i : i + 1])[0] - targets[i]) ** 2).mean())
        errors.append(np.mean(left))
    assert probe.loo == pytest.approx(min(errors), rel=1e-8)
    model = Ridge(alpha=(PENALTIES * 30)[int(np.argmin(errors))]).fit(a, targets)
    close(a @ probe.weights + probe.shift, model.predict(a), 1e-10)


def test_features_of_masked_digits_need_few_labels(tmp_path):
    """The network beats the pixels on twenty labels; labels of other training images play no part."""
    from dataclasses import replace

    from bench import cell as cells
    from bench import plan
    from bench.schema import Arrays
    from models.masked_probe.plugin import MaskedProbe

    words = ["method=masked_probe", "fold=0", "scale=smoke", "method.labels=20", f"out={tmp_path}", "trainer.threads=1"]
    words += ["data.source=real"]
    values = []
    for extra in (
        ["method.steps=300", "method.width=256", "method.d=64", "method.batch=256"],
        ["method.encoder=pixels"],
    ):
        outcome, record = cells.run(plan.expand([*words, *extra])[0])
        assert outcome == "done", record.get("error")
        values.append(record["metrics"][0]["value"])
    assert values[0] > values[1]
    cell = plan.expand(words)[0]
    bundle = cells.load(cell)
    method = MaskedProbe(cell.method)
    few = method._labelled(bundle.train.y, 20, np.random.default_rng(0))
    assert len(set(few.tolist())) == 20 and np.bincount(bundle.train.y[few], minlength=10).min() >= 1
    assert "raise it" in MaskedProbe(replace(cell.method, labels=5)).skip(bundle)
    assert isinstance(bundle.train, Arrays) and method.skip(bundle) is None
