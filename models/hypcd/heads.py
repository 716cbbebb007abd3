"""Projection heads and classifiers."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from models.geometry import poincare
from models.nn.mlp import mlp


def projection(width: int, widths: Sequence[int], prototypes: int | None = None, init: str = "normal") -> nn.Sequential:
    """Linear layers with GELU between them; (n, width) -> (n, widths[-1]).

    `init`: "normal" weights N(0, 0.02^2) cut at two and biases 0, as in DINO; "uniform" the start of nn.Linear, for narrow heads.
    `prototypes`: the output is normalised and meets that many unit vectors instead, as in DINO.
    """
    head = mlp([width, *widths], nn.GELU)
    for m in head:
        if isinstance(m, nn.Linear) and init == "normal":
            nn.init.trunc_normal_(m.weight, std=0.02)
            nn.init.zeros_(m.bias)
    return nn.Sequential(*head, CosineClassifier(widths[-1], prototypes)) if prototypes else head


class CosineClassifier(nn.Module):
    """Features (n, d) -> cosines (n, k) with k learned directions."""

    def __init__(self, d: int, k: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(nn.init.normal_(torch.empty(k, d), std=1 / math.sqrt(d)))

    def forward(self, x: Tensor) -> Tensor:
        return normalize(x, dim=1) @ normalize(self.weight, dim=1).mT


class HyperbolicLinear(nn.Module):
    """Points of the ball (n, d) -> points (n, k), whose coordinates serve as scores; see `poincare.linear`.

    weight is uniform in +-1/sqrt(d), the start of nn.Linear, and so is the bias.
    """

    def __init__(self, d: int, k: int, c: float, bias_curvature: str = "paper") -> None:
        super().__init__()
        self.c, self.bias_curvature = poincare.curvature(c), bias_curvature
        self.weight, self.bias = nn.Parameter(torch.empty(k, d)), nn.Parameter(torch.empty(k))
        for p in (self.weight, self.bias):
            nn.init.uniform_(p, -1 / math.sqrt(d), 1 / math.sqrt(d))

    def forward(self, x: Tensor) -> Tensor:
        return poincare.linear(self.weight, self.bias, x, self.c, self.bias_curvature)
