"""FiLM and separately trained networks: their equations, and that the study's loop trains and records them rightly."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from bench.schema import BenchError
from models.conditional_networks.config import Config
from models.conditional_networks.networks import Film, Modulation, Separate, modulated
from models.conditional_networks.plugin import Conditional
from models.mip.primary import primary


def images(n: int = 12, seed: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    return torch.rand(n, 1, 8, 8, generator=g), torch.randint(10, (n,), generator=g)


@pytest.mark.parametrize("kind", ["mlp", "conv"])
def test_film_scales_and_shifts_hidden_features(kind):
    """y = scale(gamma) * (W x + b) + shift(gamma) in every hidden layer, none on the scores; 1 and 0 without the predicting network."""
    torch.manual_seed(0)
    net = Film(primary(kind, (1, 8, 8), 10, (6, 5)), hidden=(4,), encoding="none")
    x, _ = images()
    gamma = torch.tensor([0.3])
    predicted = net.inner.hyper(gamma)
    y = x
    for name, layer in net.primary.named_children():
        if isinstance(layer, Modulation):
            axes = (1, -1) if y.dim() == 2 else (1, -1, 1, 1)
            y = y * predicted[f"{name}.scale"].view(axes) + predicted[f"{name}.shift"].view(axes)
        else:
            y = layer(y)
    assert torch.allclose(net(gamma, x), y, atol=1e-6)
    modulations = [m for m in net.primary if isinstance(m, Modulation)]
    assert len(modulations) == 2 and isinstance(list(net.primary)[-1], nn.Linear)
    assert not torch.allclose(net(gamma, x), net(torch.tensor([0.9]), x))
    nn.init.zeros_(net.inner.hyper.last.weight)
    plain = nn.Sequential(*(m for m in net.primary if not isinstance(m, Modulation)))
    assert torch.allclose(net(gamma, x), plain(x), atol=1e-6)


def test_all_weights_of_film_as_one_vector():
    net = Film(primary("mlp", (1, 8, 8), 10, (6,)), hidden=(4,), encoding="none")
    x, _ = images()
    gamma = torch.tensor([[0.0], [0.7]])
    theta = net.hyper.flat(gamma)
    for row, g in zip(theta, gamma, strict=True):
        assert torch.allclose(functional_call(net.primary, net.hyper.split(row), (x,)), net(g, x), atol=1e-6)


def test_modulation_of_an_unmodulated_network_changes_nothing():
    net = primary("conv", (1, 8, 8), 10, (3, 4))
    x, _ = images()
    assert torch.equal(modulated(copy.deepcopy(net))(x), net(x))


@pytest.mark.parametrize("optimiser", ["adam", "sgd"])
def test_separate_networks_are_trained_apart(optimiser, monkeypatch):
    """Each of the networks follows the trajectory that it has when it is trained alone, at its gamma."""
    config = Config(name="n", form="separate", epochs=1, batch=4, widths=[5], grid=[0.0, 0.5, 1.0], optimiser=optimiser)
    method = Conditional(config)
    method.norms = []
    torch.manual_seed(3)
    net = Separate(primary("mlp", (1, 8, 8), 10, (5,)), 3)
    x, y = images()

    def made(parameters) -> torch.optim.Optimizer:
        if optimiser == "adam":
            return torch.optim.Adam(parameters, lr=0.01)
        return torch.optim.SGD(parameters, lr=0.05, momentum=0.9, nesterov=True)

    alone = [copy.deepcopy(net.primary).requires_grad_(True) for _ in range(3)]
    for k, single in enumerate(alone):
        single.load_state_dict({n: p[k] for n, p in net.split(net.flat(torch.zeros(3, 1))).items()})
    assert not torch.equal(alone[0][1].weight, alone[1][1].weight)
    optimisers = [made(single.parameters()) for single in alone]
    g = torch.Generator().manual_seed(0)
    for index in torch.randperm(len(x), generator=g).split(4):
        torch.rand(1, 1, generator=g)
        noise = torch.randn(len(index), 1, 8, 8, generator=g)
        for gamma, single, o in zip(config.grid, alone, optimisers, strict=True):
            o.zero_grad()
            cross_entropy(single(x[index] + gamma * noise), y[index]).backward()
            o.step()
    before = net.flat(torch.zeros(3, 1))
    trained = made([net.theta])
    method._epoch(net, trained, x, y, torch.Generator().manual_seed(0), 0)
    assert not torch.equal(before, net.theta) and len(method.norms) == 3
    for k, single in enumerate(alone):
        for name, p in net.split(net.theta[k]).items():
            assert float((p - single.get_parameter(name)).detach().abs().max()) < 1e-5


@pytest.mark.parametrize("method", ["film", "separate_networks"])
def test_every_epoch_is_scored_with_its_own_weights(method, tmp_path, bench):
    """After one epoch of three the accuracy is that of a run of one epoch."""
    words = ["run", f"method={method}", "scale=smoke", "fold=0", "data.source=synthetic", "method.report=[1]"]
    for epochs in (1, 3):
        assert bench(*words, f"method.epochs={epochs}", f"out={tmp_path / str(epochs)}")[0] == 0
    one, three = (json.loads(next((tmp_path / e).rglob("cell.json")).read_text())["metrics"] for e in ("1", "3"))
    first, later = ({m["metric"]: m["value"] for m in ms} for ms in (one, three))
    assert first["noisy_nll"] == later["noisy_nll_epoch1"] and later["noisy_nll"] < first["noisy_nll"]
    assert np.isfinite(later["gradient_cv"]) and "scale_slope" not in later


@pytest.mark.parametrize(
    ("fields", "word"),
    [({"conditioned": True}, "method=mip"), ({"form": "separate", "gamma_per": "sample"}, "gamma_per")],
)
def test_contradicting_choices_are_named(fields, word):
    with pytest.raises(BenchError, match=word):
        Config(**fields).check()


def test_separate_networks_belong_to_their_grid():
    with pytest.raises(ValueError, match="give the grid"):
        Separate(primary("mlp", (1, 8, 8), 10, (5,)), 3).flat(torch.zeros(2, 1))
