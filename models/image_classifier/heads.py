"""Heads: features (N, D) -> class scores (N, n_out). A head of a paper lives in that paper's folder and joins by the table HEADS.

A head whose weights live on a manifold says so as every module does, `manifolds = {parameter name: manifold}`, and the table MANIFOLDS
names their optimiser. `after_average()`, where a module has it, is called whenever its weights were averaged. A head may
have `measure(bundle) -> list[Metric]` and `draw() -> figure`, which become part of the row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import linear as affine
from torch.nn.functional import normalize

if TYPE_CHECKING:
    from models.image_classifier.config import Config


class CosineHead(nn.Module):
    """Scores s <x/||x||, w_c/||w_c||> with a fixed scale s and one vector w_c for each class, no bias (normalised softmax)."""

    def __init__(self, features: int, n_out: int, scale: float) -> None:
        super().__init__()
        self.scale = scale
        self.weight = nn.Parameter(torch.randn(n_out, features) / features**0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * affine(normalize(x, dim=1), normalize(self.weight, dim=1))


def linear(features: int, n_out: int, cfg: Config) -> nn.Module:
    return nn.Linear(features, n_out)


def cosine(features: int, n_out: int, cfg: Config) -> nn.Module:
    return CosineHead(features, n_out, cfg.scale)
