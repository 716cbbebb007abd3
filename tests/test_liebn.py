"""LieBN: the equations of arXiv 2403.11261 under three metrics and the layer's contract, float64."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from models.geometry import spd
from models.liebn import LieBatchNorm, MixedRiemannianSGD, manifold_groups
from models.spdnet.net import normalisation

F64 = torch.float64
METRICS = ("aim", "lem", "lcm")
THETAS = (1.0, 0.5, -0.5)
EYE = torch.eye(4, dtype=F64)


def random_spd(*shape: int, seed: int = 0) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    a = torch.randn(*shape, 2 * shape[-1], dtype=F64, generator=g)
    return a @ a.mT / (2 * shape[-1]) + 0.1 * torch.eye(shape[-1], dtype=F64)


def commuting(k: int, n: int = 4, seed: int = 0) -> torch.Tensor:
    """Matrices with one eigenbasis: the one Karcher step is their exact mean."""
    g = torch.Generator().manual_seed(seed)
    q = torch.linalg.qr(torch.randn(n, n, dtype=F64, generator=g)).Q
    return spd.sym((q * torch.randn(k, 1, n, dtype=F64, generator=g).exp()) @ q.mT)


def close(a: torch.Tensor, b: torch.Tensor, tol: float) -> None:
    assert a.shape == b.shape
    assert float((a.detach() - b.detach()).abs().max()) <= tol * float(b.detach().abs().max())


def make(n: int = 4, seed: int = 50, **options) -> LieBatchNorm:
    """A layer with generic G, s and running statistics."""
    layer = LieBatchNorm(n, **options)
    with torch.no_grad():
        layer.bias.copy_(random_spd(n, seed=seed))
        layer.shift.fill_(1.3)
        layer.running_mean.copy_(layer.chart("mean", random_spd(n, seed=seed + 1)))
        layer.running_var.fill_(0.7)
    return layer


def distance2(layer: LieBatchNorm, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Squared distance under the layer's metric, theta included, from definitions that the layer does not use."""
    theta = layer.theta
    if layer.metric == "lem":
        return spd.lem_distance2(a, b)
    rule = spd.aim_distance2 if layer.metric == "aim" else spd.lcm_distance2
    return rule(spd.powm(a, theta), spd.powm(b, theta)) / theta**2


# --- the mathematics
# ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("theta", THETAS)
def test_output_has_mean_g_and_variance_s2(metric, theta):
    """Frechet mean of the output = G, variance about it = s^2 v2 / (v2 + eps); exact under every metric if X_i commute."""
    x = commuting(7, seed=1) if metric == "aim" else random_spd(7, 4, seed=1)
    for shift, bias in ((1.0, EYE), (1.7, random_spd(4, seed=2))):
        layer = LieBatchNorm(4, metric, theta, momentum=1.0)
        with torch.no_grad():
            layer.shift.fill_(shift)
            layer.bias.copy_(bias)
        y = layer(x).detach()
        v2 = float(layer.running_var)
        assert abs(v2 - float(distance2(layer, x, layer.mean_point()).mean())) < 1e-10 * v2
        assert abs(float(distance2(layer, y, bias).mean()) - shift**2 * v2 / (v2 + 1e-5)) < 1e-8
        if metric == "aim":
            g = spd.powm(bias, theta)
            h = spd.inv_sqrtm(g)
            assert float(spd.logm(h @ spd.powm(y, theta) @ h).mean(0).abs().max()) < 1e-10
        else:
            again = LieBatchNorm(4, metric, theta, momentum=1.0)
            again(y)
            close(again.mean_point(), bias, 1e-9)


def test_aim_mean_of_a_generic_batch():
    """One step is `aim_mean(n_iter=1)`; its error in the Karcher mean of X_i^t is of third order in t or smaller."""
    x = random_spd(9, 4, seed=3)
    gaps = []
    for t in (1.0, 0.5, 0.25):
        layer = LieBatchNorm(4, "aim", momentum=1.0)
        y = layer(spd.powm(x, t)).detach()
        close(layer.running_mean, spd.aim_mean(spd.powm(x, t), n_iter=1), 1e-12)
        gaps.append(float((spd.aim_mean(spd.powm(x, t)) - layer.running_mean).abs().max()))
        assert float((spd.aim_mean(y) - EYE).abs().max()) < 0.01
    assert gaps[0] > 7 * gaps[1] > 49 * gaps[2], gaps


@pytest.mark.parametrize("metric", METRICS)
def test_statistics_equal_pyriemann(metric):
    """Mean and variance of a batch are those of pyriemann's mean and distance (AIM: where its mean is exact)."""
    pytest.importorskip("pyriemann")
    from pyriemann.geometry import distance as distances
    from pyriemann.geometry import mean as means

    name = {"aim": "riemann", "lem": "logeuclid", "lcm": "logchol"}[metric]
    mean, distance = getattr(means, f"mean_{name}"), getattr(distances, f"distance_{name}")
    x = commuting(6, seed=4) if metric == "aim" else random_spd(6, 4, seed=4)
    layer = LieBatchNorm(4, metric, momentum=1.0)
    layer(x)
    theirs = torch.as_tensor(mean(x.numpy()))
    close(layer.mean_point(), theirs, 1e-7 if metric == "aim" else 1e-10)
    d2 = sum(float(distance(xi.numpy(), theirs.numpy())) ** 2 for xi in x) / len(x)
    assert abs(float(layer.running_var) - d2) < 1e-7 * d2


@pytest.mark.parametrize("theta", THETAS)
@pytest.mark.parametrize("training", [True, False])
def test_aim_equals_the_separate_maps(theta, training):
    """The card's steps with powers, logarithms and Cholesky factors taken one at a time."""
    layer = make(4, metric="aim", theta=theta).train(training)
    x = random_spd(6, 4, seed=5)
    z = spd.powm(x, theta)
    b = spd.aim_mean(z, n_iter=1) if training else layer.running_mean.clone()
    inv = torch.linalg.inv(torch.linalg.cholesky(b))
    w = inv @ z @ inv.mT
    v2 = spd.logm(w).square().sum((-2, -1)).mean() / theta**2 if training else layer.running_var.clone()
    low = torch.linalg.cholesky(spd.powm(layer.bias.detach(), theta))
    y = low @ spd.expm(1.3 / (v2 + 1e-5).sqrt() * spd.logm(w)) @ low.mT
    close(layer(x), spd.powm(spd.sym(y), 1 / theta), 1e-10)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("theta", THETAS)
@pytest.mark.parametrize("parity", [False, True])
@pytest.mark.parametrize("k", [1, 5])
def test_identical_matrices_give_the_bias(metric, theta, parity, k):
    """Identical matrices, and a batch of one, are mapped to G; v2 = 0; gradients are finite, that of X is 0 by default."""
    layer = make(4, metric=metric, theta=theta, official_parity=parity)
    x = random_spd(1, 4, seed=6).repeat(k, 1, 1).requires_grad_()
    out = layer(x)
    close(out, layer.bias.expand(k, 4, 4), 1e-9)
    out.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in (x, *layer.parameters()))
    assert abs(float(layer.running_var) - 0.9 * 0.7) < 1e-12
    if not parity:
        assert float(x.grad.sum(0).abs().max()) < 1e-7 * float(layer.bias.grad.abs().max())


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("theta", THETAS)
def test_left_invariance(metric, theta):
    """A translation of the whole batch, phi(X_i) -> A . phi(X_i), leaves the training output as it was."""
    layer = make(4, metric=metric, theta=theta)
    x, a = random_spd(6, 4, seed=7), layer.chart("a", random_spd(4, seed=8))
    z = layer.chart("x", x)
    if metric == "aim":
        low = torch.linalg.cholesky(a)
        z = low @ z @ low.mT
    else:
        z = z + a
    close(layer(layer.unchart(z)), layer(x), 1e-9)


def test_rotations():
    """layer(Q X Q^T) = Q layer(X) Q^T for G = I holds for LEM and not for the Cholesky-based groups."""
    x = random_spd(6, 4, seed=9)
    q = torch.linalg.qr(torch.randn(4, 4, dtype=F64, generator=torch.Generator().manual_seed(10))).Q
    for metric in METRICS:
        gap = LieBatchNorm(4, metric)(q @ x @ q.mT) - q @ LieBatchNorm(4, metric)(x) @ q.mT
        assert (float(gap.detach().abs().max()) < 1e-10) is (metric == "lem")


def test_theta():
    """LEM has no theta; AIM and LCM tend to their limits in log space, with an error of first order in theta."""
    x = random_spd(6, 4, seed=11)
    lem = make(4, metric="lem")(x)
    assert torch.equal(make(4, metric="lem", theta=0.5)(x), lem)
    v = spd.logm(x) - spd.logm(x).mean(0)
    v2 = (v.square().sum((-2, -1)) / 2 - v.diagonal(dim1=-2, dim2=-1).square().sum(-1) / 4).mean()
    lcm = spd.expm(1.3 / (v2 + 1e-5).sqrt() * v + spd.logm(random_spd(4, seed=50)))
    for metric, limit in (("aim", lem), ("lcm", lcm)):
        gaps = [float((make(4, metric=metric, theta=t)(x) - limit).detach().abs().max()) for t in (1e-2, 1e-3)]
        assert gaps[1] < 0.02 * float(limit.detach().abs().max()) and 5 < gaps[0] / gaps[1] < 20, (metric, gaps)


# --- gradients
# ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("theta", THETAS)
@pytest.mark.parametrize("training", [True, False])
def test_gradient_is_the_finite_difference(metric, theta, training):
    """Default: gradients of X, G, s, total in training (through mean and variance) and with frozen statistics."""
    layer = make(3, metric=metric, theta=theta, momentum=1.0)
    layer(random_spd(4, 3, seed=12))  # running statistics of a similar batch
    layer.train(training)
    weight = random_spd(4, 3, seed=13)

    def loss(y, g, s):
        return (weight * torch.func.functional_call(layer, {"bias": g, "shift": s}, (y,))).sum()

    inputs = [t.detach().clone().requires_grad_() for t in (random_spd(4, 3, seed=14), layer.bias, layer.shift)]
    grads = torch.autograd.grad(loss(*inputs), inputs)
    for i, (t, grad) in enumerate(zip(inputs, grads, strict=True)):
        d = torch.randn(t.shape, dtype=F64, generator=torch.Generator().manual_seed(15 + i))
        d = spd.sym(d) if d.dim() > 1 else d
        with torch.no_grad():
            values = [loss(*[u + h * d if j == i else u for j, u in enumerate(inputs)]) for h in (1e-5, -1e-5)]
        fd = float(values[0] - values[1]) / 2e-5
        assert abs(float((grad * d).sum()) - fd) < 1e-6 * max(1.0, abs(fd))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("theta", THETAS)
def test_parity_gradient_is_that_of_frozen_statistics(metric, theta):
    layer = make(3, metric=metric, theta=theta, official_parity=True, momentum=1.0)
    x = random_spd(4, 3, seed=16).requires_grad_()
    weight = random_spd(4, 3, seed=17)
    inputs = [x, *layer.parameters()]
    train = torch.autograd.grad((weight * layer(x)).sum(), inputs)
    # momentum 1 has put the batch statistics into the buffers
    frozen = torch.autograd.grad((weight * layer.eval()(x)).sum(), inputs)
    for a, b in zip(train, frozen, strict=True):
        close(a, b, 1e-8)
    total = torch.autograd.grad((weight * make(3, metric=metric, theta=theta)(x)).sum(), x)[0]
    assert float((total - train[0]).abs().max()) > 1e-3 * float(total.abs().max())


def test_parity_statistics():
    """AIM stops before the step where the tangent mean is short; LEM and LCM start their running mean at the matrix I."""
    near = commuting(5, seed=18)
    near = spd.powm(near, 0.05)  # tangent mean of norm about 0.005
    far = commuting(5, seed=18)
    for x, stops in ((near, True), (far, False)):
        h = spd.inv_sqrtm(x.mean(0))
        assert (float(torch.linalg.matrix_norm(spd.logm(h @ x @ h).mean(0))) <= 0.1) is stops
        layer = LieBatchNorm(4, "aim", momentum=1.0, official_parity=True)
        layer(x)
        close(layer.running_mean, x.mean(0) if stops else spd.aim_mean(x, n_iter=1), 1e-12)
    e = torch.tensor(1.0, dtype=F64).exp()
    close(LieBatchNorm(4, "lem", official_parity=True).mean_point(), e * EYE, 1e-12)
    close(LieBatchNorm(4, "lcm", official_parity=True).mean_point(), e**2 * EYE, 1e-12)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("theta", [1.0, 0.5])
@pytest.mark.parametrize("parity", [False, True])
def test_condition_number_1e10_for_50_steps(metric, theta, parity):
    """Riemannian steps on G, inputs of condition 1e10: outputs, gradients, parameters finite, SPD."""
    g = torch.Generator().manual_seed(19)
    q = torch.linalg.qr(torch.randn(8, 5, 5, dtype=F64, generator=g)).Q
    x = spd.sym((q * torch.logspace(0, -10, 5, dtype=F64)) @ q.mT).requires_grad_()
    target = random_spd(8, 5, seed=20)
    layer = LieBatchNorm(5, metric, theta, official_parity=parity)
    optimizer = MixedRiemannianSGD(manifold_groups(layer, lr=1e-2))
    for _ in range(50):
        optimizer.zero_grad()
        x.grad = None
        out = layer(x)
        (spd.logm(out + 1e-5 * torch.eye(5, dtype=F64)) * target).mean().backward()
        assert torch.isfinite(out).all() and torch.isfinite(x.grad).all()
        assert all(torch.isfinite(p.grad).all() for p in layer.parameters())
        optimizer.step()
    for p in (layer.bias, layer.mean_point()):
        assert torch.isfinite(p).all() and bool((torch.linalg.eigvalsh(p.detach()) > 0).all())


# --- contract
# -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", METRICS)
def test_running_statistics_and_state(metric):
    """Geodesic step of the mean from I, linear of the variance; evaluation reads them and leaves them; they are saved."""
    x = random_spd(2, 3, 4, seed=21)
    layer, whole = LieBatchNorm(4, metric, momentum=0.3), LieBatchNorm(4, metric, momentum=1.0)
    assert torch.equal(layer.mean_point(), EYE) and torch.equal(layer.running_var, torch.ones(1, dtype=F64))
    out = layer(x)
    assert out.shape == x.shape and torch.equal(whole(x.reshape(6, 4, 4)), out.reshape(6, 4, 4))
    geodesic = {"aim": spd.aim_geodesic, "lem": spd.lem_geodesic, "lcm": spd.lcm_geodesic}[metric]
    close(layer.mean_point(), geodesic(EYE, whole.mean_point(), 0.3), 1e-12)
    close(layer.running_var, 0.7 + 0.3 * whole.running_var, 1e-14)
    assert set(layer.state_dict()) == {"bias", "shift", "running_mean", "running_var"}
    other = LieBatchNorm(4, metric).eval()
    other.load_state_dict(layer.state_dict())
    before = layer.running_mean.clone()
    assert torch.equal(other(x), layer.eval()(x)) and torch.equal(layer.running_mean, before)
    assert layer(x[0, 0]).shape == (4, 4)
    close(whole.eval()(x), out, 1e-12)  # the statistics of this very batch
    assert {g["manifold"] for g in manifold_groups(layer)} == {"spd_aim", "euclidean"}


@pytest.mark.parametrize(
    ("x", "error", "word"),
    [
        (torch.eye(3).expand(2, 3, 3), TypeError, "double"),
        (torch.eye(4, dtype=F64), ValueError, "n=4"),
        (torch.full((2, 3, 3), float("nan"), dtype=F64), ValueError, "NaN"),
        (torch.diag(torch.tensor([1.0, 1.0, -0.5], dtype=F64)).expand(2, 3, 3), ValueError, "positive definite"),
        (torch.diag(torch.tensor([1.0, 1.0, 0.0], dtype=F64)).expand(2, 3, 3), ValueError, "positive definite"),
        (torch.eye(3, dtype=F64) + torch.ones(3, 3, dtype=F64).triu(1), ValueError, "symmetric"),
        (torch.ones(0, 3, 3, dtype=F64), ValueError, "non-empty"),
    ],
)
@pytest.mark.parametrize("metric", METRICS)
def test_bad_input_gets_one_sentence(metric, x, error, word):
    for theta, training in ((1.0, True), (0.5, False)):
        layer = LieBatchNorm(3, metric, theta).train(training)
        before = layer.running_mean.clone()
        with pytest.raises(error, match=word) as info:
            layer(x)
        assert "input" in str(info.value) and "\n" not in str(info.value)
        assert torch.equal(layer.running_mean, before)


def test_a_power_that_float64_cannot_hold():
    x = torch.diag(torch.logspace(0, -10, 4, dtype=F64))
    q = torch.linalg.qr(torch.randn(4, 4, dtype=F64, generator=torch.Generator().manual_seed(22))).Q
    with pytest.raises(ValueError, match=r"theta = 3.0 of input.*nearer to 0"):
        LieBatchNorm(4, "lcm", 3.0)(spd.sym(q @ x @ q.mT)[None])


def test_cast_parameters():
    with pytest.raises(TypeError, match=r"\.double\(\) on the layer"):
        LieBatchNorm(4).float()(random_spd(2, 4))


@pytest.mark.parametrize(
    "options",
    [{"n": 0}, {"n": 3, "metric": "bw"}, {"n": 3, "theta": 0.0}, {"n": 3, "momentum": 1.5}, {"n": 3, "eps": 0.0}],
)
def test_bad_options(options):
    with pytest.raises(ValueError, match=r"\d"):
        LieBatchNorm(**options)


def test_by_name_in_the_network():
    for metric in METRICS:
        layer = normalisation(metric, 3, theta=0.5, momentum=0.2, eps=1e-4, official_parity=True)
        assert isinstance(layer, LieBatchNorm) and layer.metric == metric and layer.official_parity
        assert (layer.theta, layer.momentum, layer.eps) == (0.5, 0.2, 1e-4)


def test_import_is_lazy():
    """The package offers its names without importing torch."""
    code = "import sys, models.liebn as m; assert 'torch' not in sys.modules; assert 'LieBatchNorm' in dir(m)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).resolve().parents[1])
    import models.liebn

    with pytest.raises(AttributeError, match="nothing"):
        _ = models.liebn.nothing
