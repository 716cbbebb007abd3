"""The Riemannian residual network: the step, its gradients, the network around it, the optimiser; float64."""

from __future__ import annotations

import subprocess
import sys

import geoopt
import pytest
import torch
from torch import nn

from bench import cell as cells
from bench import plan
from models.geometry import spd
from models.nn.geoopt_adam import riemannian_adam
from models.rresnet import ResidualStep, RResNet, SpectrumMap
from models.rresnet.residual import eigenvalues
from models.spd_centring.centring import centre, float32_error
from models.spdnet.config import NORMS
from models.spdnet.net import SPDNetwork, normalisation
from tests.conftest import ROOT

F64 = torch.float64


def random_spd(*shape: int, seed: int = 0, floor: float = 0.1) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    a = torch.randn(*shape, 2 * shape[-1], dtype=F64, generator=g)
    return a @ a.mT / (2 * shape[-1]) + floor * torch.eye(shape[-1], dtype=F64)


def rotation(n: int, seed: int = 9) -> torch.Tensor:
    return torch.linalg.qr(torch.randn(n, n, dtype=F64, generator=torch.Generator().manual_seed(seed))).Q


def close(a: torch.Tensor, b: torch.Tensor, tol: float) -> None:
    assert a.shape == b.shape
    assert float((a.detach() - b.detach()).abs().max()) <= tol * float(b.detach().abs().max())


def make(n: int = 5, seed: int = 1) -> ResidualStep:
    torch.manual_seed(seed)
    return ResidualStep(n)


class Fixed(nn.Module):
    """A spectrum map that does not look at the eigenvalues."""

    def __init__(self, values: torch.Tensor):
        super().__init__()
        self.register_buffer("values", values)

    def forward(self, w: torch.Tensor) -> torch.Tensor:
        return self.values.expand_as(w)


def layer(name: str, n: int, theta: float = 0.5, parity: bool = False) -> nn.Module:
    return normalisation(name, n, theta=theta, momentum=0.1, eps=1e-5, official_parity=parity, mixed_bias=parity)


# --- the step
# ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("floor", [0.1, 1e-6])
def test_step_stays_spd_and_has_length_one(floor):
    """Output SPD; affine-invariant distance of every matrix to its image is 1, ill-conditioned ones included."""
    x = random_spd(8, 5, seed=2, floor=0.1)
    x[:, 0] *= floor**0.5
    x[:, :, 0] *= floor**0.5
    y = make()(x).detach()
    assert torch.equal(y, y.mT) and float(torch.linalg.eigvalsh(y).min()) > 0
    assert float((spd.aim_distance2(x, y) - 1).abs().max()) < 1e-7


def test_zero_spectrum_is_the_identity():
    """f = 0 moves nothing, and its gradient is finite (the released script divides 0 by 0)."""
    x = random_spd(4, 5, seed=3).requires_grad_()
    step = ResidualStep(5, Fixed(torch.zeros(5, dtype=F64)))
    y = step(x)
    close(y, x, 1e-13)
    y.square().sum().backward()
    assert torch.isfinite(x.grad).all() and torch.isfinite(step.frame.grad).all()
    seed = torch.randn(4, 5, 5, dtype=F64, generator=torch.Generator().manual_seed(0))
    (grad,) = torch.autograd.grad(step(x), x, spd.sym(seed))
    close(grad, spd.sym(seed), 1e-9)


def test_step_is_the_exponential_map():
    """The step equals Exp_X(V / |V|_X) of models.geometry and of geoopt, V and its norm from their definitions."""
    x, step = random_spd(6, 5, seed=4), make()
    f = step.spectrum(torch.linalg.eigvalsh(x))
    v = step.frame @ torch.diag_embed(f) @ step.frame.mT
    inverse = torch.linalg.inv(x)
    length = (inverse @ v @ inverse @ v).diagonal(dim1=-2, dim2=-1).sum(-1).sqrt()
    v = (v / length[:, None, None]).detach()
    step.eval()(x)  # the batch norms of f were in training mode above: compare with the same mode
    step.train()
    close(step(x), spd.aim_exp(x, v), 1e-9)
    manifold = geoopt.SymmetricPositiveDefinite()
    close(step(x), manifold.expmap(x, v), 1e-9)
    assert float((manifold.inner(x, v).sqrt() - 1).abs().max()) < 1e-9


def test_constant_spectrum_scales():
    """f constant: V is a multiple of I; at X = cI the step multiplies by exp(1 / sqrt n)."""
    n = 4
    step = ResidualStep(n, Fixed(torch.full((n,), 3.0, dtype=F64)))
    x = torch.tensor([0.5, 7.0], dtype=F64)[:, None, None] * torch.eye(n, dtype=F64)
    close(step(x), x * torch.exp(torch.tensor(1 / n**0.5, dtype=F64)), 1e-12)


def test_equivariance_under_rotation_of_both():
    """step(Q X Q^T; Q P) = Q step(X; P) Q^T; with P held fixed it does not hold, since V is tied to P."""
    x, q = random_spd(6, 5, seed=5), rotation(5)
    step, turned = make(seed=6), make(seed=6)
    with torch.no_grad():
        turned.frame.copy_(q @ step.frame)
    y = step(x).detach()
    close(turned(q @ x @ q.mT), q @ y @ q.mT, 1e-9)
    assert float((step(q @ x @ q.mT).detach() - q @ y @ q.mT).abs().max()) > 1e-3


def test_batch_does_not_matter_in_evaluation():
    step = make().eval()
    x = random_spd(6, 5, seed=7)
    close(torch.cat([step(xi[None]) for xi in x]), step(x), 1e-12)


# --- gradients
# ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("training", [True, False])
def test_gradients_are_finite_differences(training):
    """X, P and all parameters of f, through both eigendecompositions and the normalisation to unit length."""
    step = make(4, seed=8)
    step(random_spd(9, 4, seed=1))
    step.train(training)
    x = random_spd(3, 4, seed=9)
    weight = torch.randn(3, 4, 4, dtype=F64, generator=torch.Generator().manual_seed(3))
    tensors = {"x": x, **{k: p.detach().clone() for k, p in step.named_parameters()}}
    leaves = {k: t.clone().requires_grad_() for k, t in tensors.items()}

    def loss(values):
        own = {k: v for k, v in values.items() if k != "x"}
        buffers = {k: b.clone() for k, b in step.named_buffers()}
        return (weight * torch.func.functional_call(step, {**own, **buffers}, (values["x"],))).sum()

    grads = dict(zip(leaves, torch.autograd.grad(loss(leaves), list(leaves.values())), strict=True))
    g = torch.Generator().manual_seed(11)
    for name, t in tensors.items():
        d = torch.randn(t.shape, dtype=F64, generator=g)
        d = spd.sym(d) if name == "x" else d
        h = 1e-5
        with torch.no_grad():
            up, down = (loss({**tensors, name: t + s * h * d}) for s in (1, -1))
        numeric, exact = float(up - down) / (2 * h), float((grads[name] * d).sum())
        assert abs(numeric - exact) <= 1e-6 * max(1.0, abs(exact)), name


def test_eigenvalue_gradient_at_ties():
    """The sum of eigenvalues is the trace: gradient I also where all of them tie."""
    x = (2.0 * torch.eye(3, dtype=F64))[None].requires_grad_()
    eigenvalues(spd.Eig(x)).sum().backward()
    close(x.grad[0], torch.eye(3, dtype=F64), 1e-14)


# --- the network
# ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("parity", [False, True])
def test_network_runs_with_every_normalisation(norm, parity):
    torch.manual_seed(0)
    net = RResNet(9, 6, 3, layer(norm, 6, parity=parity), official_parity=parity)
    x = random_spd(7, 9, seed=10)
    net(x).square().sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)
    out = net.eval()(x)
    assert out.shape == (7, 3) and out.dtype == F64 and torch.isfinite(out).all()


def test_sizes_of_the_paper():
    """BiMap 93 -> 30, Conv1d 1-3-3-1 with kernels of 5, P on St(30, 30), Linear(900, 117)."""
    net = RResNet(93, 30, 117, layer("gbw", 30))
    shapes = {k: tuple(p.shape) for k, p in net.named_parameters()}
    assert shapes["bimap.weight"] == (93, 30) and shapes["classifier.weight"] == (117, 900)
    assert shapes["steps.0.frame"] == (30, 30)
    convolutions = [m for m in net.modules() if isinstance(m, nn.Conv1d)]
    assert [(c.in_channels, c.out_channels, c.kernel_size) for c in convolutions] == [
        (1, 3, (5,)),
        (3, 3, (5,)),
        (3, 1, (5,)),
    ]
    frame = net.steps[0].frame.detach()
    assert float((frame.mT @ frame - torch.eye(30, dtype=F64)).abs().max()) < 1e-12


def test_mixed_bias_follows_the_released_copy():
    """Q7: Exp_{G'}(T_{I->G}(Log_I W)) with the separate maps; the default uses G' in both; they agree at theta = 1, M = I."""
    x, g, m = random_spd(6, 4, seed=12), random_spd(4, seed=13), random_spd(4, seed=14)
    for theta in (0.5, 1.0, -0.5):
        mixed, plain = (layer("gbw", 4, theta, parity) for parity in (True, False))
        plain.official_parity = True  # the bias is then the only difference
        for norm in (mixed, plain):
            with torch.no_grad():
                norm.bias.copy_(g)
                norm.metric.copy_(m)
        c, h = spd.inv_sqrtm(m), spd.sqrtm(m)
        z = c @ spd.powm(x, theta) @ c
        b = spd.bw_mean(z, n_iter=1)
        w = spd.bw_exp_identity(spd.bw_transport_to_identity(b, spd.bw_log(b, z)))
        v2 = spd.bw_distance2(z, torch.eye(4, dtype=F64)).mean() / theta**2
        w = spd.bw_exp_identity(spd.bw_log_identity(w) / (v2 + 1e-5).sqrt())
        prime = spd.sym(c @ spd.powm(g, theta) @ c)
        for norm, target in ((mixed, g), (plain, prime)):
            y = spd.bw_exp(prime, spd.bw_transport_from_identity(target, spd.bw_log_identity(w)))
            close(norm(x), spd.powm(spd.sym(h @ y @ h), 1 / theta), 1e-8)
        assert float((mixed(x) - plain(x)).detach().abs().max()) > 1e-3
    pair = [layer("gbw", 4, 1.0, parity) for parity in (True, False)]
    pair[1].official_parity = True
    for norm in pair:
        with torch.no_grad():
            norm.bias.copy_(g)
    assert pair[0].mixed_bias and not pair[1].mixed_bias
    close(pair[0](x), pair[1](x), 1e-10)


def test_spdnet_on_matrices_is_its_layers():
    """BiMap, normalisation and ReEig in turn for each of dims, LogEig, Linear; nothing before them."""
    torch.manual_seed(0)
    net = SPDNetwork(nn.Identity(), 9, 3, [6, 4], lambda n: layer("aim", n, 1.0))
    x = random_spd(5, 9, seed=15)
    y = x
    for i in (0, 3):
        w = net.blocks[i].weight
        y = spd.rectify_eigenvalues(net.blocks[i + 1](spd.sym(w.mT @ y @ w)), 1e-5)
    close(net(x), net.classifier(spd.logm(y).flatten(1)), 1e-10)


PRESETS = ("gbw_rbn", "bw_rbn", "spdnet", "spdnet_bn", "liebn_aim", "liebn_lem", "liebn_lcm", "rresnet", "rresnet_gbw")


def run(tmp_path, *words: str) -> dict:
    cell = plan.expand([*words, "scale=smoke", "data.source=synthetic", "fold=0", f"out={tmp_path}"])[0]
    outcome, record = cells.run(cell)
    assert outcome == "done", record["traceback"]
    return {m["metric"]: m["value"] for m in record["metrics"]}


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_takes_spd_matrices(preset, tmp_path):
    values = run(tmp_path, f"method={preset}", "data=spd_twin", "data.condition=ill", "method.epochs=1")
    assert 0 <= values["accuracy"] <= 1


@pytest.mark.parametrize("norm", NORMS)
def test_norm_is_a_choice_of_every_network(norm, tmp_path):
    """method.norm gives what the preset of that name gives, to the last digit."""
    preset = {"gbw": "gbw_rbn", "bw": "bw_rbn", "brooks": "spdnet_bn", "none": "spdnet"}.get(norm, f"liebn_{norm}")
    words = ("data=spd_twin", "method.epochs=1")
    ours = run(tmp_path / "norm", "method=spdnet", f"method.norm={norm}", *words)
    assert ours == run(tmp_path / "preset", f"method={preset}", *words)
    run(tmp_path, "method=rresnet", f"method.norm={norm}", *words)


def test_several_bimaps_and_amsgrad(tmp_path):
    values = run(
        tmp_path, "method=gbw_rbn", "data=spd_twin", "method.dims=[12,8]", "method.optimiser=amsgrad", "method.epochs=2"
    )
    assert 0 <= values["accuracy"] <= 1
    cell = plan.expand(["method=spdnet", "data=spd_twin", "method.dims=[12,14]", f"out={tmp_path}", "fold=0"])[0]
    outcome, record = cells.run(cell)
    assert outcome == "skip" and "cannot enlarge" in record["error"]


# --- the optimiser
# ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", ["none", "gbw", "aim"])
def test_adam_keeps_every_parameter_on_its_manifold(norm):
    torch.manual_seed(1)
    net = RResNet(8, 5, 2, layer(norm, 5))
    x, y = random_spd(12, 8, seed=16), torch.arange(12) % 2
    optimiser = riemannian_adam(net, lr=2e-2, weight_decay=0.1)
    before = {k: p.detach().clone() for k, p in net.named_parameters()}
    losses = []
    for _ in range(40):
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(net(x), y)
        loss.backward()
        losses.append(loss.item())
        optimiser.step()
    assert losses[-1] < losses[0]
    eye = torch.eye(5, dtype=F64)
    for name, p in net.named_parameters():
        assert not torch.equal(p, before[name]), name
        value = p.detach()
        if isinstance(p, geoopt.ManifoldParameter):
            if "frame" in name or "bimap" in name:
                assert float((value.mT @ value - eye).abs().max()) < 1e-10, name
            else:
                assert (
                    float(torch.linalg.eigvalsh(value).min()) > 0 and float((value - value.mT).abs().max()) < 1e-12
                ), name
    curved = {id(p) for g in optimiser.param_groups if g["weight_decay"] == 0 for p in g["params"]}
    assert curved == {id(p) for p in net.parameters() if isinstance(p, geoopt.ManifoldParameter)}


def test_the_optimiser_resumes():
    """State of network and optimiser survive a save that holds tensors and plain values only."""
    import io

    x, y = random_spd(12, 8, seed=17), torch.arange(12) % 2

    def make_one():
        torch.manual_seed(2)
        net = RResNet(8, 5, 2, layer("gbw", 5))
        return net, riemannian_adam(net, lr=1e-2)

    def train(net, optimiser, k):
        for _ in range(k):
            optimiser.zero_grad()
            nn.functional.cross_entropy(net(x), y).backward()
            optimiser.step()

    whole, first, second = make_one(), make_one(), make_one()
    train(*whole, 4)
    train(*first, 2)
    file = io.BytesIO()
    torch.save({"net": first[0].state_dict(), "optimiser": first[1].state_dict()}, file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    second[0].load_state_dict(state["net"])
    second[1].load_state_dict(state["optimiser"])
    train(*second, 2)
    for a, b in zip(whole[0].state_dict().values(), second[0].state_dict().values(), strict=True):
        assert torch.equal(a, b)


# --- centring in float32
# ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", ["bw", "aim"])
def test_centring_maps_the_mean_to_the_identity(metric):
    x = random_spd(7, 5, seed=18)
    mean = spd.bw_mean(x) if metric == "bw" else spd.aim_mean(x)
    y = centre(metric, x, mean)
    eye = torch.eye(5, dtype=F64)
    log = spd.bw_log_identity(y) if metric == "bw" else spd.logm(y)
    assert float(log.mean(0).abs().max()) < 1e-9
    close(centre(metric, mean[None], mean)[0], eye, 1e-10)
    distance2 = spd.bw_distance2 if metric == "bw" else spd.aim_distance2
    assert float((distance2(y, eye) - distance2(x, mean)).abs().max()) < 1e-9


def test_float32_error_grows_under_bw_only():
    """The card's D: the root-based centring loses digits as kappa grows, the affine-invariant one does not."""
    q = torch.stack([rotation(10, seed) for seed in range(30)])
    errors = {}
    for kappa in (2.0, 6.0):
        x = spd.sym((q * torch.logspace(0, -kappa, 10, dtype=F64)) @ q.mT)
        errors[kappa] = {m: float32_error(m, x)[0] for m in ("bw", "aim")}
    assert errors[6.0]["bw"] > 10 * errors[2.0]["bw"]
    assert all(e["aim"] < 5e-6 for e in errors.values())


# --- bad input
# ------------------------------------------------------------------------------------------------------


def test_bad_input_is_named():
    step = make(4)
    with pytest.raises(ValueError, match=r"pass \(N, 4, 4\)"):
        step(random_spd(2, 3))
    with pytest.raises(ValueError, match="positive definite"):
        step(torch.diag(torch.tensor([1.0, 1.0, 1.0, -1.0], dtype=F64))[None])
    with pytest.raises(ValueError, match="NaN"):
        step(torch.full((1, 4, 4), torch.nan, dtype=F64))
    with pytest.raises(ValueError, match="n is 0"):
        ResidualStep(0)
    with pytest.raises(ValueError, match="n_out"):
        RResNet(5, 6, 2, nn.Identity())
    with pytest.raises(ValueError, match="unknown metric"):
        float32_error("lem", random_spd(2, 3))


def test_mistakes_in_the_words(bench):
    for words, sentence in (
        (("method=rresnet", "method.theta=0"), "no inverse power"),
        (("method=spdnet", "data=spd_twin", "method.dims=[]"), "one size or more"),
        (("method=spdnet", "data=spd_twin", "method.dims=[8]", "method.hidden=8"), "drop one"),
        (("method=rresnet", "data=bci"), "takes spd_trials"),
        (("method=rresnet", "data=fpha", "data.scales=none"), "scale"),
    ):
        code, _, err = bench("plan", *words, "data.source=synthetic")
        assert code == 2 and sentence in err, (words, err)


def test_importing_the_package_is_light():
    code = "import models.rresnet, models.rresnet.config, models.spd_centring.config, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def test_spectrum_map_has_the_stated_shape():
    w = torch.rand(6, 30, dtype=F64)
    out = SpectrumMap()(w)
    assert out.shape == w.shape and out.dtype == F64
