"""Encoders of views: the exact top eigenspace, and a network trained by the spectral contrastive loss."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from models.rkhs_aug.augmentation import Augmentation


def top(augmentation: Augmentation, d: int) -> np.ndarray:
    """Sets (d,) of the d largest eigenvalues, the constant included; ties by degree, then by number, so the choice is one of many."""
    values = augmentation.eigenvalues()
    if not 1 <= d <= len(values):
        raise ValueError(f"d={d} must lie between 1 and {len(values)}, the number of eigenfunctions")
    sets = np.arange(len(values))
    return np.lexsort((sets, np.bitwise_count(sets), -values.round(14)))[:d]


def spectral_contrastive(first: Tensor, second: Tensor) -> Tensor:
    """-2 E[phi(A) . phi(A+)] + E[(phi(A) . phi(A'))^2] from two views each of n independent points, features (n, d).

    Unbiased: the second mean is over pairs of different points. Its population minimum is -sum_{i <= d} lambda_i^2, where phi phi^T is
    the best approximation of rank d of the density ratio of positive pairs (HaoChen, Wei, Gaidon, Ma, NeurIPS 2021).
    """
    if first.shape != second.shape or first.dim() != 2 or len(first) < 2:
        raise ValueError(
            f"features have shapes {tuple(first.shape)} and {tuple(second.shape)}; pass two equal (n, d), n > 1"
        )
    n = len(first)
    products = (first @ second.T).square()
    return -2 * (first * second).sum(1).mean() + (products.sum() - products.diagonal().sum()) / (n * (n - 1))


class Encoder(nn.Module):
    """Views a (n, m) of -1, 0, 1 -> features (n, d): two hidden layers on a and |a|, which tells the hidden coordinates."""

    def __init__(self, m: int, d: int, width: int = 256) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(2 * m, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, d)
        )

    def forward(self, a: Tensor) -> Tensor:
        return self.net(torch.cat([a, a.abs()], dim=1))


def learn(
    encoder: nn.Module,
    draw: Callable[[int], tuple[np.ndarray, np.ndarray]],
    steps: int,
    batch: int,
    lr: float,
    after: Callable[[int, float], None] = lambda step, loss: None,
) -> None:
    """Minimise the spectral contrastive loss by Adam with a cosine schedule; `draw(batch)` gives two views each of fresh points."""
    optimiser = torch.optim.Adam(encoder.parameters(), lr=lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    for step in range(steps):
        views = (torch.as_tensor(v, dtype=torch.float32) for v in draw(batch))
        loss = spectral_contrastive(*(encoder(v) for v in views))
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        schedule.step()
        after(step + 1, float(loss.detach()))
