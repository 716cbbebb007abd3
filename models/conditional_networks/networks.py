"""Two ways besides hypernetworks to make a classifier depend on gamma, with what the study's training loop asks of a network."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from models.mip.wrap import Hypernetised, hypernetise

SLOPE = 0.01  # of the primary networks' LeakyReLU


class Modulation(nn.Module):
    """scale_c x_c + shift_c for features x (N, C, ...): feature-wise linear modulation (FiLM)."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.scale, self.shift = nn.Parameter(torch.ones(features)), nn.Parameter(torch.zeros(features))

    def forward(self, x: Tensor) -> Tensor:
        axes = (-1, *[1] * (x.dim() - 2))
        return x * self.scale.view(axes) + self.shift.view(axes)


def modulated(primary: nn.Sequential) -> nn.Sequential:
    """The network with a `Modulation` after every linear or convolutional layer but the last, before its activation."""
    layers: list[nn.Module] = []
    for layer in primary:
        layers.append(layer)
        if isinstance(layer, (nn.Linear, nn.Conv2d)):
            layers.append(Modulation(layer.weight.shape[0]))
    del layers[-1]  # after the last layer, which gives the scores
    return nn.Sequential(*layers)


@torch.no_grad()
def start(weight: Tensor) -> None:
    """Kaiming fan-in in place, as theta_0 of a hypernetwork starts; biases at zero."""
    if weight.dim() > 1:
        weight.normal_(std=math.sqrt(2 / ((1 + SLOPE**2) * weight[0].numel())))
    else:
        weight.zero_()


def views(theta: Tensor, shapes: Mapping[str, torch.Size]) -> dict[str, Tensor]:
    """theta (..., entries) -> (..., *shape) by name."""
    parts = theta.split([s.numel() for s in shapes.values()], -1)
    return {name: p.reshape(*p.shape[:-1], *s) for (name, s), p in zip(shapes.items(), parts, strict=True)}


class Film(nn.Module):
    """`net(gamma, x)`: weights shared by all gamma; scales 1 + s(gamma) and shifts t(gamma) come from a small network of gamma.

    `options` are those of HyperNetwork, which predicts them. `hyper.flat` gives all weights of the network at gamma.
    """

    def __init__(self, primary: nn.Sequential, **options: Any) -> None:
        super().__init__()
        for p in primary.parameters():
            start(p)
        network = modulated(primary)
        chosen = {
            f"{at}.{name}"
            for at, m in network.named_modules()
            if isinstance(m, Modulation)
            for name, _ in m.named_parameters()
        }
        self.inner = hypernetise(network, which=lambda name, p: name in chosen, **options)
        self.hyper = _Whole(self.inner)

    @property
    def primary(self) -> nn.Module:
        return self.inner.primary

    def forward(self, gamma: Tensor, x: Tensor) -> Tensor:
        return self.inner(gamma, x)


class _Whole:
    """All weights of a partly predicted network as one vector: the predicted ones, then its own."""

    def __init__(self, net: Hypernetised) -> None:
        self.predicted, self.primary = net.hyper, net.primary
        self.entries = sum(s.numel() for s in net.hyper.shapes.values())

    def flat(self, gamma: Tensor) -> Tensor:
        """gamma (B, d) -> (B, entries)."""
        theta = self.predicted.flat(gamma)
        own = torch.cat([p.reshape(-1) for p in self.primary.parameters()])
        return torch.cat([theta, own.expand(len(theta), -1)], 1)

    def split(self, theta: Tensor) -> dict[str, Tensor]:
        """theta (..., entries) -> (..., *shape) by name."""
        own = {name: p.shape for name, p in self.primary.named_parameters()}
        return self.predicted.split(theta[..., : self.entries]) | views(theta[..., self.entries :], own)


class Separate(nn.Module):
    """One network for each of `count` gammas, evaluated together: `net(x)` with x (count, N, ...) -> (count, N, classes)."""

    def __init__(self, primary: nn.Module, count: int) -> None:
        super().__init__()
        self.primary = primary.requires_grad_(False)
        self.shapes = {name: p.shape for name, p in primary.named_parameters()}
        self.theta = nn.Parameter(torch.zeros(count, sum(s.numel() for s in self.shapes.values())))
        with torch.no_grad():
            for row in self.theta:
                for weight in self.split(row).values():
                    start(weight)

    @property
    def hyper(self) -> Separate:
        return self

    def flat(self, gamma: Tensor) -> Tensor:
        """The weights (count, entries); gamma (count, 1) is the grid that they were trained at."""
        if len(gamma) != len(self.theta):
            raise ValueError(f"{len(gamma)} values of gamma for {len(self.theta)} networks; give the grid")
        return self.theta.detach().clone()  # of this moment: the caller keeps them while training goes on

    def split(self, theta: Tensor) -> dict[str, Tensor]:
        """theta (..., entries) -> (..., *shape) by name."""
        return views(theta, self.shapes)

    def forward(self, x: Tensor) -> Tensor:
        return vmap(lambda theta, part: functional_call(self.primary, theta, (part,)))(self.split(self.theta), x)
