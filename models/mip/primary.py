"""Primary networks of the study: a perceptron and a small convolutional network, LeakyReLU 0.01 throughout."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import nn

WIDTHS = {"mlp": (64, 64, 64), "conv": (16, 32, 64, 64)}


def primary(kind: str, shape: Sequence[int], n_out: int, widths: Sequence[int] | None = None) -> nn.Module:
    """Images (N, *shape), shape (channels, height, width) -> scores (N, n_out).

    mlp: linear layers on the flattened image. conv: 3 x 3 convolutions of stride 2, mean over what is left, linear layer.
    """
    widths = tuple(widths or WIDTHS[kind])
    layers: list[nn.Module] = []
    if kind == "mlp":
        entries = 1
        for n in shape:
            entries *= n
        layers.append(nn.Flatten())
        for a, b in pairwise((entries, *widths)):
            layers += [nn.Linear(a, b), nn.LeakyReLU(0.01)]
    else:
        for a, b in pairwise((shape[0], *widths)):
            layers += [nn.Conv2d(a, b, 3, stride=2, padding=1), nn.LeakyReLU(0.01)]
        layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, nn.Linear(widths[-1], n_out))
