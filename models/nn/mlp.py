"""A multilayer perceptron."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import nn


def mlp(widths: Sequence[int], activation: type[nn.Module] = nn.ReLU, *, last: bool = False) -> nn.Sequential:
    """Linear layers of the given widths with the activation between them, and after the last one where `last`."""
    layers: list[nn.Module] = []
    for k, (a, b) in enumerate(pairwise(widths)):
        layers.append(nn.Linear(a, b))
        if last or k < len(widths) - 2:
            layers.append(activation())
    return nn.Sequential(*layers)
