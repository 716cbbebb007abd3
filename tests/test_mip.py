"""Hypernetworks: the equations of arXiv 2304.07645, their initialisation, the wrapper's contract, and the study's plugin."""

from __future__ import annotations

import copy
import math
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from bench.schema import BenchError
from datasets.digits import adapter
from datasets.digits.config import Config as Digits
from models.mip import HyperNetwork, encode, hypernetise, magnitude, unit_interval
from models.mip.config import Config
from models.mip.primary import primary

F64 = torch.float64
SHAPES = {"0.weight": (6, 5), "0.bias": (6,), "2.weight": (3, 6)}
STANDARD = {"encoding": "none", "independent": False}


def net(seed: int = 0, **options) -> HyperNetwork:
    torch.manual_seed(seed)
    return HyperNetwork(options.pop("inputs", 1), SHAPES, **options).double()


def mlp(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(5, 6), nn.LeakyReLU(0.01), nn.Linear(6, 3)).double()


def batch(n: int = 8, seed: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    return torch.randn(n, 5, dtype=F64, generator=g), torch.randint(3, (n,), generator=g)


# --- the encoding
# ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("d", [1, 3])
def test_encoding_has_constant_length(d):
    """||E(gamma)||_2 = sqrt(d), each (cos, sin) pair of length 1; the complement has L1 norm d."""
    gamma = torch.rand(50, d, dtype=F64, generator=torch.Generator().manual_seed(0))
    gamma[0], gamma[1] = 0.0, 1.0
    e = encode(gamma)
    assert float((e.norm(dim=1) - math.sqrt(d)).abs().max()) < 1e-12
    assert float((e[:, :d] ** 2 + e[:, d:] ** 2 - 1).abs().max()) < 1e-12
    assert torch.allclose(e[:, :d], torch.cos(math.pi / 2 * gamma))  # all cosines first
    assert float((encode(gamma, "complement").abs().sum(1) - d).abs().max()) < 1e-12


@pytest.mark.parametrize("bad", [-0.01, 1.01, math.nan, math.inf])
def test_gamma_outside_the_unit_interval_is_refused(bad):
    with pytest.raises(ValueError, match=r"scale it to|not finite"):
        encode(torch.tensor([[0.5], [bad]]))
    assert float(unit_interval(torch.tensor(3.0), 2.0, 4.0)) == 0.5


# --- proportionality
# ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("activation", "proportional"), [("leaky_relu", True), ("relu", True), ("gelu", False), ("tanh", False)]
)
def test_standard_form_is_homogeneous(activation, proportional):
    """h(a gamma) = a h(gamma), a > 0, at zero biases exactly for piecewise-linear activations."""
    h = net(activation=activation, **STANDARD)
    gamma = torch.tensor([[0.4]], dtype=F64)
    base = h.flat(gamma).detach()
    error = max(float((h.flat(a * gamma).detach() - a * base).abs().max() / base.abs().max()) for a in (0.1, 2.0, 7.0))
    assert (error < 1e-10) == proportional


@pytest.mark.parametrize("seed", range(10))
def test_magnitude_with_and_without_mip(seed):
    """Standard: std(theta) is a line through zero. MIP: no proportionality, std(theta) constant within 25 %, theta near theta_0."""
    sizes = {"a.weight": (64, 64), "b.weight": (10, 64)}
    torch.manual_seed(seed)
    m = magnitude(HyperNetwork(1, sizes, **STANDARD))
    assert m.proportionality_error < 1e-10 and abs(m.correlation - 1) < 1e-10 and abs(m.intercept) < 1e-10 * m.slope
    torch.manual_seed(seed)
    h = HyperNetwork(1, sizes)
    m = magnitude(h)
    assert m.proportionality_error > 0.3 and abs(m.slope) < 0.1 * m.intercept and m.departure < 0.25
    assert float((m.scale / h.theta0().detach().double().std() - 1).abs().max()) < 0.25


def test_change_of_mip_is_isotropic_on_average():
    """E ||theta(gamma) - theta_0||^2 over initialisations is the same for all gamma; one draw of 16 units is not that even."""
    total = 0.0
    for seed in range(300):
        torch.manual_seed(seed)
        total = total + magnitude(HyperNetwork(1, {"a.weight": (16, 16)}), points=5).scale_change ** 2
    assert float((total / total.mean() - 1).abs().max()) < 0.15
    torch.manual_seed(0)
    assert magnitude(HyperNetwork(1, {"a.weight": (16, 16)}, hidden=(4096, 4096))).change_departure < 0.1


# --- initialisation
# ------------------------------------------------------------------------------------------------------


def test_fan_out_start_has_the_stated_statistics():
    """Hidden layers std sqrt(2 / fan_out); rows of the last layer sqrt(2 / entries of their tensor), within 5 %; biases 0."""
    torch.manual_seed(0)
    shapes = {"conv.weight": (32, 16, 3, 3), "conv.bias": (32,)}
    h = HyperNetwork(1, shapes, hidden=(256, 128), independent=False)
    rows = h.last.weight.split([32 * 16 * 9, 32])
    assert abs(float(rows[0].std()) / 0.0208 - 1) < 0.05 and abs(float(rows[1].std()) / 0.25 - 1) < 0.05
    first, second = h.body[0], h.body[2]
    assert abs(float(second.weight.std()) / math.sqrt(2 / 128) - 1) < 0.05
    assert abs(float(first.weight.std()) / math.sqrt(2 / 256) - 1) < 0.15
    assert all(float(layer.bias.abs().max()) == 0 for layer in (first, second, h.last))
    joint = HyperNetwork(1, shapes, start="joint", independent=False).last.weight
    assert abs(float(joint.std()) * math.sqrt(32 * 16 * 9 + 32) - 1) < 0.05


def test_independent_weights_start_as_a_networks_own():
    """Kaiming normal fan-in with the gain of LeakyReLU 0.01; biases zero."""
    torch.manual_seed(0)
    h = HyperNetwork(1, {"a.weight": (64, 32, 3, 3), "a.bias": (64,)})
    theta0 = h.split(h.theta0())
    assert abs(float(theta0["a.weight"].std()) / math.sqrt(2 / (1.0001 * 32 * 9)) - 1) < 0.05
    assert float(theta0["a.bias"].abs().max()) == 0


def test_hyperfan_in_gives_kaiming_variance():
    torch.manual_seed(0)
    h = HyperNetwork(1, {"a.weight": (64, 200)}, hidden=(64, 256), start="hyperfan_in", **STANDARD)
    grid = torch.linspace(0, 1, 33)[:, None]
    assert abs(float(h.flat(grid).var()) / (2 / 200) - 1) < 0.1


# --- the additive form
# ------------------------------------------------------------------------------------------------------


def test_gradient_of_theta0_is_that_of_the_primary_parameters():
    """d loss / d theta_0 = sum over the batch of gammas of d loss / d theta."""
    h = net()
    x, y = batch(4)
    gamma = torch.rand(4, 1, dtype=F64)
    module = hypernetise(mlp(), hidden=(8,))
    module.hyper = HyperNetwork(1, {n: p.shape for n, p in mlp().named_parameters()}, hidden=(8,)).double()
    loss = cross_entropy(module(gamma, x), y, reduction="sum")
    loss.backward()
    total = torch.zeros_like(module.hyper.theta0())
    for i in range(4):
        theta = module.hyper.flat(gamma[i : i + 1])[0].detach().requires_grad_()
        out = functional_call(mlp(), module.hyper.split(theta), (x[i : i + 1],))
        total += torch.autograd.grad(cross_entropy(out, y[i : i + 1], reduction="sum"), theta)[0]
    assert float((module.hyper.theta0().grad - total).abs().max()) < 1e-12
    assert h.theta0() is h.last.bias


@pytest.mark.parametrize("optimiser", [torch.optim.SGD, torch.optim.Adam])
def test_without_h_it_is_the_ordinary_network(optimiser):
    """Last weight zero and only theta_0 trained: the primary network's own loss trajectory from theta_0."""
    plain = mlp()
    model = hypernetise(copy.deepcopy(plain), keep=True).double()
    nn.init.zeros_(model.hyper.last.weight)
    a, b = optimiser(plain.parameters(), lr=0.05), optimiser([model.hyper.last.bias], lr=0.05)
    x, y = batch(16)
    for step in range(20):
        gamma = torch.tensor([step / 20], dtype=F64)
        losses = cross_entropy(plain(x), y), cross_entropy(model(gamma, x), y)
        assert abs(float(losses[0].detach() - losses[1].detach())) < 1e-12
        for loss, o in zip(losses, (a, b), strict=True):
            o.zero_grad()
            loss.backward()
            o.step()


# --- the wrapper
# ------------------------------------------------------------------------------------------------------


def test_hypernetised_module_equals_a_functional_call():
    model = hypernetise(mlp(), inputs={"b": 2, "a": 1})
    x, _ = batch()
    gamma = {"a": torch.tensor([0.3], dtype=F64), "b": torch.tensor([0.1, 0.9], dtype=F64)}
    theta = model.hyper.flat(torch.tensor([[0.3, 0.1, 0.9]], dtype=F64))[0]  # names in sorted order
    expected = functional_call(mlp(7), model.hyper.split(theta), (x,))
    assert torch.equal(model(gamma, x), expected)
    assert not list(model.primary.parameters()) and model(gamma, x).requires_grad


def test_one_gamma_per_sample_equals_a_loop():
    model = hypernetise(mlp())
    x, _ = batch(6)
    gamma = torch.rand(6, 1, dtype=F64)
    each = torch.cat([model(g, row[None]) for g, row in zip(gamma, x, strict=True)])
    assert float((model(gamma, x) - each).detach().abs().max()) < 1e-12
    out = model.hyper(gamma)
    assert out["0.weight"].shape == (6, 6, 5) and model.hyper(gamma[0])["0.weight"].shape == (6, 5)


def test_any_module_part_of_it_and_pretrained_weights():
    """Convolutions, norm layers with running statistics; `which` picks parameters; `keep` starts at the present weights."""
    torch.manual_seed(0)
    own = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 2))
    x = torch.randn(5, 1, 8, 8)
    model = hypernetise(copy.deepcopy(own), keep=True, which=lambda name, p: not name.startswith("4."))
    assert {n for n, _ in model.primary.named_parameters()} == {"4.weight", "4.bias"}
    nn.init.zeros_(model.hyper.last.weight)
    assert torch.allclose(model(torch.tensor([0.2]), x), own(x), atol=1e-6)
    assert float(model.primary[1].running_mean.abs().max()) > 0
    fresh = hypernetise(copy.deepcopy(own))
    theta0 = fresh.hyper.split(fresh.hyper.theta0())
    assert torch.equal(theta0["1.weight"], torch.ones(4)) and float(theta0["0.bias"].abs().max()) == 0
    state = copy.deepcopy(fresh.state_dict())
    again = hypernetise(copy.deepcopy(own))
    again.load_state_dict(state)
    gamma = torch.tensor([0.7])
    assert torch.equal(again.eval()(gamma, x), fresh.eval()(gamma, x))


class Recurrent(nn.Module):
    """Two outputs in a dict, and a named argument."""

    def __init__(self, kind: type[nn.RNNBase]) -> None:
        super().__init__()
        self.body, self.head = kind(5, 4, batch_first=True), nn.Linear(4, 2)

    def forward(self, x: torch.Tensor, *, scale: float = 1.0) -> dict[str, torch.Tensor]:
        states = self.body(x)[0]
        return {"states": states, "score": scale * self.head(states[:, -1])}


def _modules() -> dict[str, tuple[nn.Module, torch.Tensor]]:
    torch.manual_seed(0)
    x = torch.randn(3, 6, 8)
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True, norm_first=True)
    return {
        "lstm": (Recurrent(nn.LSTM), x[..., :5]),
        "gru": (Recurrent(nn.GRU), x[..., :5]),
        "encoder": (nn.TransformerEncoder(layer, 2, enable_nested_tensor=False), x),
        "embedding": (nn.Sequential(nn.Embedding(7, 5), nn.Linear(5, 2)), torch.randint(7, (3, 6))),
        "weight_norm": (nn.utils.parametrizations.weight_norm(nn.Linear(8, 3)), x[:, 0]),
        "convolutions": (nn.Sequential(nn.Conv1d(6, 4, 3), nn.GroupNorm(2, 4), nn.ConvTranspose1d(4, 2, 3)), x),
    }


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("name", list(_modules()))
def test_modules_of_every_kind(name, training):
    """One call: theta_0 alone gives the module's own output, each gamma of a batch its own, and every weight gets a gradient."""
    module, x = _modules()[name]
    model = hypernetise(copy.deepcopy(module), keep=True).train(training)
    gamma = torch.tensor([[0.1], [0.5], [0.9]])
    own, _ = torch.utils._pytree.tree_flatten(model(gamma, x))
    for i, g in enumerate(gamma):
        single, _ = torch.utils._pytree.tree_flatten(model(g, x[i : i + 1]))
        for a, b in zip(own, single, strict=True):
            assert torch.allclose(a[i : i + 1], b, atol=1e-5)
    sum(o.square().sum() for o in own).backward()
    reached = list(model.hyper.split(model.hyper.last.bias.grad).values())
    assert all(float(g.abs().max()) > 0 for g in reached)
    nn.init.zeros_(model.hyper.last.weight)
    for a, b in zip(
        torch.utils._pytree.tree_flatten(model(gamma[1], x))[0],
        torch.utils._pytree.tree_flatten(module.train(training)(x))[0],
        strict=True,
    ):
        assert torch.allclose(a, b, atol=1e-5)


def test_named_arguments_reach_the_module():
    module, x = _modules()["gru"]
    model = hypernetise(module)
    for gamma in (torch.tensor([0.4]), torch.rand(3, 1)):
        assert torch.allclose(model(gamma, x, scale=3.0)["score"], 3 * model(gamma, x)["score"], atol=1e-6)


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: hypernetise(nn.ReLU()), "has none"),
        (lambda: hypernetise(nn.BatchNorm1d(4))(torch.rand(3, 1), torch.rand(3, 4)), "no statistics"),
        (lambda: hypernetise(nn.Linear(4, 2))(torch.rand(3, 1), torch.rand(3, 5)), "(?i)size|shape"),
        (lambda: hypernetise(_tied()), "untie"),
        (lambda: hypernetise(mlp(), keep=True, independent=False), "independent"),
        (lambda: hypernetise(mlp())(torch.rand(2, 1, dtype=F64), batch(3)[0]), "one per sample"),
        (lambda: hypernetise(mlp())(torch.rand(2, dtype=F64), batch(3)[0]), r"\(batch, 1\)"),
        (lambda: hypernetise(mlp(), inputs={"a": 1, "b": 1})({"a": torch.rand(1)}, batch(3)[0]), "names"),
        (lambda: net(encoding="fourier"), "cos_sin"),
        (lambda: HyperNetwork(1, {}), "at least one"),
    ],
)
def test_mistakes_are_named(call, word):
    with pytest.raises((ValueError, RuntimeError), match=word):
        call()


def _tied() -> nn.Module:
    module = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    module[1].weight = module[0].weight
    return module


# --- the study
# ------------------------------------------------------------------------------------------------------


def test_primary_networks():
    """The perceptron 64-64-64-64-10 has 13,130 weights."""
    assert sum(p.numel() for p in primary("mlp", (1, 8, 8), 10).parameters()) == 13130
    assert primary("conv", (1, 28, 28), 10)(torch.zeros(2, 1, 28, 28)).shape == (2, 10)


@pytest.mark.parametrize(
    ("fields", "word"),
    [({"norm": "batch"}, "gamma_per"), ({"epochs": 3, "report": [4]}, "not run"), ({"grid": [2.0]}, "between 0 and 1")],
)
def test_contradicting_choices_are_named(fields, word):
    with pytest.raises(BenchError, match=word):
        Config(**fields).check()


def test_stopped_run_goes_on_to_the_same_numbers(tmp_path, bench):
    """A deadline after each epoch, the same command again and again: the row of an uninterrupted run."""
    import json

    words = ["run", "method=hyper_residual", "scale=smoke", "fold=0", "data.source=synthetic", "method.epochs=2"]
    assert bench(*words, f"out={tmp_path / 'a'}")[0] == 0
    codes = [bench(*words, f"out={tmp_path / 'b'}", "deadline=0")[0] for _ in range(2)]
    codes.append(bench(*words, f"out={tmp_path / 'b'}")[0])
    assert codes[0] == 75 and codes[-1] == 0
    rows = [json.loads(next((tmp_path / run).rglob("cell.json")).read_text())["metrics"] for run in ("a", "b")]
    assert rows[0] == rows[1]


# --- the data
# ------------------------------------------------------------------------------------------------------


def load(fold: str = "split0", source: str = "real", **fields):
    root = Path(os.environ.get("BENCH_DATA", "."))
    return adapter.load(Digits(name="d", **fields), fold=fold, source=source, root=root, cache=Path())


def test_digits_are_split_without_overlap():
    b = load()
    assert (len(b.train), len(b.test)) == (1437, 360) and b.train.x.dtype == np.float32 and b.origin == "real"
    assert b.train.x.min() == 0 and b.train.x.max() == 1
    counts = np.bincount(b.test.y)
    assert counts.min() >= 34 and counts.max() <= 38  # stratified
    assert b.fingerprint != load("split1").fingerprint


@pytest.mark.parametrize("dataset", ["digits", "mnist"])
def test_stand_in_has_the_truth_that_it_was_made_from(dataset):
    """Nearest template finds every class."""
    b = load(source="synthetic", dataset=dataset, n_train=200, n_test=300)
    t = adapter.templates(adapter.SIDE[dataset]).reshape(10, -1)
    guess = ((b.test.x.reshape(300, 1, -1) - t) ** 2).sum(-1).argmin(1)
    assert (guess == b.test.y).mean() > 0.99 and b.origin == "synthetic_twin"


@pytest.mark.real
def test_mnist_subsets():
    if not Digits(name="m", dataset="mnist").present(Path(os.environ.get("BENCH_DATA", ".")), Path()):
        pytest.skip("mnist/mnist.npz is not under BENCH_DATA")
    a, b = (load(f, dataset="mnist", n_train=300, n_test=100) for f in ("split0", "split1"))
    assert a.train.x.shape == (300, 1, 28, 28) and a.origin == "real" and a.fingerprint != b.fingerprint


def test_data_mistakes_are_named():
    with pytest.raises(BenchError, match="at most 360"):
        Digits(n_test=1000).check()
    with pytest.raises(BenchError, match="split0 to split9"):
        load("split99")
