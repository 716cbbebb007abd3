"""GBW batch norm: the equations of arXiv 2504.00660 and the layer's contract, float64."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from models.gbw_rbn import GBWBatchNorm, MixedRiemannianSGD, manifold_groups
from models.geometry import spd
from models.nn.eeg_frontend import CovarianceFrontEnd
from models.nn.spd_layers import BiMap, LogEig, ReEig
from models.nn.spd_norms import BrooksBatchNorm
from scripts.speed.reference_gbw import reference_gbw

F64 = torch.float64
THETAS = (1.0, 0.5, -0.5)


def random_spd(*shape: int, seed: int = 0) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    a = torch.randn(*shape, 2 * shape[-1], dtype=F64, generator=g)
    return a @ a.mT / (2 * shape[-1]) + 0.1 * torch.eye(shape[-1], dtype=F64)


def close(a: torch.Tensor, b: torch.Tensor, tol: float) -> None:
    assert a.shape == b.shape
    assert float((a.detach() - b.detach()).abs().max()) <= tol * float(b.detach().abs().max())


def make(n: int = 4, seed: int = 50, **options) -> GBWBatchNorm:
    """A layer with generic M, G, s and running statistics."""
    layer = GBWBatchNorm(n, **options)
    with torch.no_grad():
        if layer.learn_metric:
            layer.metric.copy_(random_spd(n, seed=seed) + 0.5 * torch.eye(n, dtype=F64))
        layer.bias.copy_(random_spd(n, seed=seed + 1))
        layer.shift.fill_(1.3)
        layer.running_mean.copy_(random_spd(n, seed=seed + 2))
        layer.running_var.fill_(0.7)
    return layer


def plain(n: int, shift: float = 1.0, **options) -> GBWBatchNorm:
    """M = G = I."""
    layer = GBWBatchNorm(n, **options)
    with torch.no_grad():
        layer.bias.copy_(torch.eye(n, dtype=F64))
        layer.shift.fill_(shift)
    return layer


# --- oracles
# ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("theta", THETAS)
@pytest.mark.parametrize("parity", [False, True])
@pytest.mark.parametrize("training", [True, False])
def test_layer_equals_reference(theta, parity, training):
    """Output, running statistics and all gradients equal those of the matrix-by-matrix reference."""
    layer = make(5, theta=theta, official_parity=parity).train(training)
    x = random_spd(7, 5, seed=1).requires_grad_()
    inputs = [x, layer.metric, layer.bias, layer.shift]
    seed = spd.sym(torch.randn(7, 5, 5, dtype=F64, generator=torch.Generator().manual_seed(2)))
    theirs, mean, var = reference_gbw(
        *inputs,
        layer.running_mean.clone(),
        layer.running_var.clone(),
        theta,
        parity=parity,
        training=training,
    )
    ours = layer(x)
    close(ours, theirs, 1e-10)
    close(layer.running_mean, mean, 1e-10)
    close(layer.running_var, var, 1e-10)
    for a, b in zip(torch.autograd.grad(ours, inputs, seed), torch.autograd.grad(theirs, inputs, seed), strict=True):
        close(*((spd.sym(a), spd.sym(b)) if a.dim() > 1 else (a, b)), 1e-8)


def test_outside_the_injectivity_domain():
    """Where I + V/2 or the scaled map is indefinite, |.| keeps the layer equal to the separate maps."""
    x = random_spd(6, 4, seed=3)
    x[0] = 1e-4 * x[0]
    layer = make(4)
    with torch.no_grad():
        layer.shift.fill_(6.0)
    x.requires_grad_()
    inputs = [x, layer.metric, layer.bias, layer.shift]
    theirs = reference_gbw(*inputs, layer.running_mean.clone(), layer.running_var.clone())[0]
    ours = layer(x)
    close(ours, theirs, 1e-9)
    seed = random_spd(6, 4, seed=4)
    for a, b in zip(torch.autograd.grad(ours, inputs, seed), torch.autograd.grad(theirs, inputs, seed), strict=True):
        close(*((spd.sym(a), spd.sym(b)) if a.dim() > 1 else (a, b)), 1e-8)


def test_scaling_is_neutral_at_s_equal_to_standard_deviation():
    """s = sqrt(v2 + eps), M = G = I, theta = 1: the output is Exp_I(T(Log_B(X))) alone."""
    x = random_spd(8, 4, seed=5)
    b = spd.bw_mean(x, n_iter=1)
    centred = spd.bw_exp_identity(spd.bw_transport_to_identity(b, spd.bw_log(b, x)))
    v2 = spd.bw_distance2(x, b).mean()
    close(plain(4, float((v2 + 1e-5).sqrt()))(x), centred, 1e-12)
    uncentred = spd.bw_distance2(x, torch.eye(4, dtype=F64)).mean()
    close(plain(4, float((uncentred + 1e-5).sqrt()), official_parity=True)(x), centred, 1e-12)


@pytest.mark.parametrize("theta", THETAS)
@pytest.mark.parametrize("parity", [False, True])
@pytest.mark.parametrize("k", [1, 5])
def test_identical_matrices_give_the_bias(theta, parity, k):
    """Identical matrices, and a batch of one, are mapped to G whatever M and theta; gradients finite."""
    layer = make(4, theta=theta, official_parity=parity)
    x = random_spd(1, 4, seed=6).repeat(k, 1, 1).requires_grad_()
    out = layer(x)
    close(out, layer.bias.expand(k, 4, 4), 1e-9)
    out.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in (x, *layer.parameters()))
    if not parity:
        expected = 0.9 * 0.7 + 0.1 * 0.0
        assert abs(float(layer.running_var) - expected) < 1e-12


def test_equivariance_under_the_metric():
    """layer(M, X, G) = M^(1/2) layer(I, C X C, C G C) M^(1/2), C = M^(-1/2), theta = 1."""
    layer, other = make(4), make(4, learn_metric=False)
    h, c = spd.Eig(layer.metric.detach()).roots()
    with torch.no_grad():
        other.bias.copy_(c @ layer.bias @ c)
    x = random_spd(6, 4, seed=7)
    for training in (True, False):
        layer.train(training)
        other.train(training)
        close(layer(x), h @ other(c @ x @ c) @ h, 1e-10)
        close(layer.running_mean, other.running_mean, 1e-10)


@pytest.mark.parametrize(
    "layer",
    [lambda: plain(4), lambda: plain(4, theta=0.5), lambda: BrooksBatchNorm(4)],
    ids=["gbw", "gbw_theta", "brooks"],
)
def test_orthogonal_equivariance(layer):
    """layer(Q X Q^T) = Q layer(X) Q^T for M = G = I."""
    x = random_spd(6, 4, seed=8)
    q = torch.linalg.qr(torch.randn(4, 4, dtype=F64, generator=torch.Generator().manual_seed(9))).Q
    close(layer()(q @ x @ q.mT), q @ layer()(x) @ q.mT, 1e-9)


@pytest.mark.parametrize("theta", THETAS)
@pytest.mark.parametrize("training", [True, False])
def test_total_gradient_is_the_finite_difference(theta, training):
    """Default: gradients of X, M, G, s in training (through mean and variance) and with frozen statistics."""
    layer = make(3, theta=theta, momentum=1.0)
    layer(random_spd(4, 3, seed=9))  # running statistics of a similar batch
    layer.train(training)
    x = random_spd(4, 3, seed=10)
    weight = random_spd(4, 3, seed=11)

    def loss(y, m, g, s):
        return (weight * torch.func.functional_call(layer, {"metric": m, "bias": g, "shift": s}, (y,))).sum()

    inputs = [t.detach().clone().requires_grad_() for t in (x, layer.metric, layer.bias, layer.shift)]
    grads = torch.autograd.grad(loss(*inputs), inputs)
    for i, (t, grad) in enumerate(zip(inputs, grads, strict=True)):
        d = torch.randn(t.shape, dtype=F64, generator=torch.Generator().manual_seed(12 + i))
        d = spd.sym(d) if d.dim() > 1 else d
        with torch.no_grad():
            values = [loss(*[u + h * d if j == i else u for j, u in enumerate(inputs)]) for h in (1e-5, -1e-5)]
        fd = float(values[0] - values[1]) / 2e-5
        assert abs(float((grad * d).sum()) - fd) < 1e-6 * max(1.0, abs(fd))


@pytest.mark.parametrize("theta", THETAS)
def test_parity_gradient_is_that_of_frozen_statistics(theta):
    """Parity: the gradient in training is the one with mean and variance held constant, not the total."""
    layer = make(3, theta=theta, official_parity=True, momentum=1.0)
    x = random_spd(4, 3, seed=13).requires_grad_()
    weight = random_spd(4, 3, seed=14)
    inputs = [x, *layer.parameters()]
    train = torch.autograd.grad((weight * layer(x)).sum(), inputs)
    # momentum 1 has put the batch statistics into the buffers
    frozen = torch.autograd.grad((weight * layer.eval()(x)).sum(), inputs)
    for a, b in zip(train, frozen, strict=True):
        close(a, b, 1e-8)
    total = torch.autograd.grad((weight * make(3, theta=theta)(x)).sum(), x)[0]
    assert float((total - train[0]).abs().max()) > 1e-3 * float(total.abs().max())


def test_ties_of_the_metric():
    """At M = I the off-diagonal gradient of M is kept by default and lost in parity."""
    x = random_spd(6, 4, seed=15)
    weight = random_spd(6, 4, seed=16)
    off = ~torch.eye(4, dtype=torch.bool)
    for parity, kept in ((False, True), (True, False)):
        layer = plain(4, official_parity=parity).eval()
        with torch.no_grad():
            layer.running_mean.copy_(random_spd(4, seed=17))
            layer.bias.copy_(random_spd(4, seed=18))
        (weight * layer(x)).sum().backward()
        d = spd.sym(off.to(F64))
        with torch.no_grad():
            values = []
            for h in (1e-5, -1e-5):
                state = {"metric": layer.metric + h * d}
                values.append((weight * torch.func.functional_call(layer, state, (x,))).sum())
        fd = float(values[0] - values[1]) / 2e-5
        agrees = abs(float((layer.metric.grad * d).sum()) - fd) < 1e-6 * abs(fd)
        assert agrees is kept


def test_rank_deficient_input_is_finite():
    x = random_spd(6, 4, seed=19)
    x[:, 0, :] = 0.0
    x[:3, :, 0] = 0.0
    x = spd.sym(x)
    x[:3, 0, 0] = 0.0
    x[3:] = random_spd(3, 4, seed=20)
    layer = make(4)
    y = x.clone().requires_grad_()
    out = layer(y)
    out.sum().backward()
    assert torch.isfinite(out).all() and torch.isfinite(y.grad).all()


# --- contract
# -----------------------------------------------------------------------------------------------------


def test_initial_state_and_shapes():
    layer = GBWBatchNorm(3)
    eye = torch.eye(3, dtype=F64)
    assert torch.equal(layer.metric, eye) and torch.equal(layer.running_mean, eye)
    assert torch.equal(layer.bias, eye + 1e-7 * torch.diag(torch.tensor([1.0, 2.0, 3.0], dtype=F64)))
    assert torch.equal(layer.shift, torch.ones(1, dtype=F64)) and torch.equal(
        layer.running_var, torch.ones(1, dtype=F64)
    )
    x = random_spd(2, 5, 3, seed=21)
    assert layer(x).shape == x.shape
    assert layer.eval()(x[0, 0]).shape == (3, 3)
    assert {n for n, _ in GBWBatchNorm(3, learn_metric=False).named_parameters()} == {"bias", "shift"}


def test_state_dict_restores_evaluation():
    layer = make(4)
    x = random_spd(5, 4, seed=22)
    layer(x)
    assert set(layer.state_dict()) == {"metric", "bias", "shift", "running_mean", "running_var"}
    other = GBWBatchNorm(4)
    other.load_state_dict(layer.state_dict())
    assert torch.equal(other.eval()(x), layer.eval()(x))
    before = layer.running_mean.clone()
    layer(x)
    assert torch.equal(layer.running_mean, before)


@pytest.mark.parametrize(
    ("x", "error", "word"),
    [
        (torch.eye(3).expand(2, 3, 3), TypeError, "double"),
        (torch.eye(4, dtype=F64), ValueError, "n=4"),
        (torch.full((2, 3, 3), float("nan"), dtype=F64), ValueError, "NaN"),
        (torch.diag(torch.tensor([1.0, 1.0, -0.5], dtype=F64)).expand(2, 3, 3), ValueError, "negative"),
        (
            torch.tensor([[1.0, 0.5, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]], dtype=F64),
            ValueError,
            "symmetric",
        ),
        (torch.ones(0, 3, 3, dtype=F64), ValueError, "non-empty"),
    ],
)
@pytest.mark.parametrize("theta", [1.0, 0.5])
@pytest.mark.parametrize("training", [True, False])
def test_bad_input_gets_one_sentence(x, error, word, theta, training):
    layer = GBWBatchNorm(3, theta=theta).train(training)
    with pytest.raises(error, match=word) as info:
        layer(x)
    assert "input" in str(info.value) and "\n" not in str(info.value)
    assert torch.equal(layer.running_mean, torch.eye(3, dtype=F64))  # refused before the statistics move


@pytest.mark.parametrize("options", [{"n": 0}, {"n": 3, "theta": 0.0}, {"n": 3, "momentum": 1.5}, {"n": 3, "eps": 0.0}])
def test_bad_options(options):
    with pytest.raises(ValueError, match=r"\d"):
        GBWBatchNorm(**options)


@pytest.mark.parametrize("parity", [False, True])
def test_condition_number_1e12_for_200_steps(parity):
    """Riemannian steps on M and G, inputs of condition 1e12: outputs, gradients, parameters finite, SPD."""
    g = torch.Generator().manual_seed(23)
    q = torch.linalg.qr(torch.randn(8, 5, 5, dtype=F64, generator=g)).Q
    w = torch.logspace(0, -12, 5, dtype=F64)
    x = spd.sym((q * w) @ q.mT)
    x[:4] = spd.sym((q[0] * (w * torch.rand(4, 1, 5, dtype=F64, generator=g))) @ q[0].T)
    x.requires_grad_()
    target = random_spd(8, 5, seed=24)
    layer = GBWBatchNorm(5, official_parity=parity)
    optimizer = MixedRiemannianSGD(manifold_groups(layer, lr=1e-2))
    for step in range(200):
        optimizer.zero_grad()
        x.grad = None
        out = layer(x if step % 2 else x[:4])  # every other batch has one eigenbasis: the mean has condition 1e12 too
        loss = (spd.logm(out + 1e-5 * torch.eye(5, dtype=F64)) * target[: len(out)]).mean()
        loss.backward()
        assert torch.isfinite(out).all() and torch.isfinite(x.grad).all()
        assert all(torch.isfinite(p.grad).all() for p in layer.parameters())
        optimizer.step()
    for p in (layer.metric, layer.bias, layer.running_mean):
        assert torch.isfinite(p).all() and bool((torch.linalg.eigvalsh(p.detach()) > 0).all())


def test_import_is_lazy():
    """The package offers its names without importing torch."""
    code = "import sys, models.gbw_rbn as m; assert 'torch' not in sys.modules; assert 'GBWBatchNorm' in dir(m)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).resolve().parents[1])
    import models.gbw_rbn

    with pytest.raises(AttributeError, match="nothing"):
        _ = models.gbw_rbn.nothing


# --- Brooks, layers, front end
# ------------------------------------------------------------------------------------


def test_brooks_centres_under_the_affine_invariant_metric():
    """Identical matrices go to G; commuting data give X / B; running mean moves along the geodesic."""
    layer = BrooksBatchNorm(4)
    with torch.no_grad():
        layer.bias.copy_(random_spd(4, seed=30))
    x = random_spd(1, 4, seed=31).repeat(3, 1, 1)
    close(layer(x), layer.bias.expand(3, 4, 4), 1e-10)
    close(layer.running_mean, spd.powm(x[0], 0.1), 1e-10)
    y = torch.diag_embed(torch.rand(5, 4, dtype=F64, generator=torch.Generator().manual_seed(32)) + 0.1)
    geometric = y.diagonal(dim1=1, dim2=2).log().mean(0).exp()  # one step is exact for commuting matrices
    close(BrooksBatchNorm(4)(y), torch.diag_embed(y.diagonal(dim1=1, dim2=2) / geometric), 1e-10)


def test_brooks_gradient():
    """Total by default (finite differences), frozen mean in parity."""
    x = random_spd(4, 3, seed=33).requires_grad_()
    assert torch.autograd.gradcheck(lambda y: BrooksBatchNorm(3)(spd.sym(y)), x, atol=1e-6)
    layer = BrooksBatchNorm(3, momentum=1.0, official_parity=True)
    weight = random_spd(4, 3, seed=34)
    (train,) = torch.autograd.grad((weight * layer(x)).sum(), x)
    (frozen,) = torch.autograd.grad((weight * layer.eval()(x)).sum(), x)
    close(train, frozen, 1e-9)


def test_spd_layers():
    torch.manual_seed(0)
    bimap = BiMap(6, 4)
    w = bimap.weight.detach()
    close(w.mT @ w, torch.eye(4, dtype=F64), 1e-13)
    torch.manual_seed(0)
    assert torch.equal(BiMap(6, 4).weight, w)
    torch.manual_seed(0)
    v = torch.rand(6, 6, dtype=F64)
    vv = v @ v.mT
    close(w.mT @ vv @ w, torch.diag(torch.linalg.eigvalsh(vv).flip(0)[:4]), 1e-12)
    x = random_spd(3, 6, seed=35)
    y = bimap(x)
    close(y, torch.stack([w.T @ xi @ w for xi in x]), 1e-13)
    z = ReEig(0.4)(y)
    close(torch.linalg.eigvalsh(z), torch.linalg.eigvalsh(y.detach()).clamp_min(0.4), 1e-12)
    close(torch.linalg.matrix_exp(LogEig()(z)), z, 1e-12)
    with pytest.raises(ValueError, match="n_out"):
        BiMap(3, 4)


def test_covariance_front_end():
    """float32 convolutions, float64 covariance of mean-removed features, ridge; kernels get gradients."""
    torch.manual_seed(0)
    net = CovarianceFrontEnd(8, 12, 5, 36)
    x = torch.randn(3, 8, 125)
    cov = net(x)
    assert cov.shape == (3, 5, 5) and cov.dtype == F64 and net.spatial.weight.dtype == torch.float32
    features = net.temporal_norm(net.temporal(net.spatial_norm(net.spatial(x[:, None])))).squeeze(2).double()
    assert features.shape[-1] == 126
    expected = torch.stack([torch.cov(f) for f in features]) + 1e-5 * torch.eye(5, dtype=F64)
    close(cov, expected, 1e-10)
    assert bool((torch.linalg.eigvalsh(cov.detach()) > 0).all())
    cov.sum().backward()
    assert float(net.spatial.weight.grad.abs().sum()) > 0
    with pytest.raises(ValueError, match="N, 8, samples"):
        net(torch.randn(3, 7, 125))
