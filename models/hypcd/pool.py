"""Labelled and unlabelled images as one training set, its batches, and their views."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import ConcatDataset

from bench.schema import Arrays, Bundle


class Joined(ConcatDataset):
    """Map-style data sets one after the other; the seed of an epoch reaches all of them."""

    def begin_epoch(self, seed: int) -> None:
        for i, part in enumerate(self.datasets):
            if hasattr(part, "begin_epoch"):
                part.begin_epoch(2 * seed + i)


def joined(bundle: Bundle) -> Any:
    """D_l, then D_u with every label -1; the true labels of D_u stay in the test split."""
    first, second = bundle.train, bundle.meta["unlabelled"]
    if isinstance(first, Arrays) and isinstance(second, Arrays):
        return Arrays(np.concatenate([first.x, second.x]), np.concatenate([first.y, second.y]))
    return Joined([first, second])


def weighted_batches(n_labelled: int, n_unlabelled: int, batch: int, generator: torch.Generator) -> list[list[int]]:
    """Batches of one epoch: as many draws with replacement as there are images, a rest below one batch dropped.

    A labelled image has weight 1, an unlabelled one |D_l| / |D_u|: half of a batch is labelled on average.
    """
    n = n_labelled + n_unlabelled
    weight = torch.ones(n, dtype=torch.float64)
    weight[n_labelled:] = n_labelled / n_unlabelled
    draws = torch.multinomial(weight, max(n, batch), replacement=True, generator=generator)
    return [b.tolist() for b in draws.split(batch) if len(b) == batch]


def two_views(x: Tensor, shift: int, gain: float, noise: float, white: float) -> Tensor:
    """Two random views (2B, ...) of samples (B, ...), the first ones of all samples, then the second ones.

    Images (B, C, H, W): rolled by up to `shift` pixels in each axis, multiplied by U(1 - gain, 1 + gain), with Gaussian noise of
    deviation noise x white. Vectors (B, D) are not rolled; their noise is in units of the root mean square of the batch.
    """
    x = torch.cat([x, x]).float()
    n = len(x)
    if x.dim() == 4 and shift:
        h, w = x.shape[2:]
        dy, dx = torch.randint(-shift, shift + 1, (2, n, 1), device=x.device)
        rows = (torch.arange(h, device=x.device) - dy) % h
        columns = (torch.arange(w, device=x.device) - dx) % w
        x = x[torch.arange(n, device=x.device)[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(
            0, 3, 1, 2
        )
    unit = white if x.dim() == 4 else float(x.square().mean().sqrt())
    factor = 1 + gain * (2 * torch.rand((n, *[1] * (x.dim() - 1)), device=x.device) - 1)
    return factor * x + noise * unit * torch.randn_like(x)
