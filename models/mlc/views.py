"""Random views of a batch, every sample changed in its own way, by batched operations on the device of the batch."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample


def noisy(x: Tensor, generator: torch.Generator, noise: float) -> Tensor:
    """x + noise e with standard normal e."""
    return x + noise * torch.randn(x.shape, generator=generator, dtype=x.dtype).to(x.device)


def affine(
    x: Tensor, generator: torch.Generator, noise: float, degrees: float = 15.0, scale: float = 0.1, shift: float = 0.1
) -> Tensor:
    """Images (n, c, h, w) turned by up to `degrees`, scaled by 1 -+ `scale`, shifted by up to `shift` of their size, and noisy.

    What comes in from outside repeats the border.
    """
    r = 2 * torch.rand(len(x), 4, generator=generator) - 1
    angle, size = r[:, 0] * math.radians(degrees), 1 + scale * r[:, 1]
    theta = torch.stack(
        [
            size * angle.cos(),
            -size * angle.sin(),
            2 * shift * r[:, 2],
            size * angle.sin(),
            size * angle.cos(),
            2 * shift * r[:, 3],
        ],
        1,
    ).view(-1, 2, 3)
    return noisy(_sample(x, theta), generator, noise)


def simclr(x: Tensor, generator: torch.Generator) -> Tensor:
    """Crops (area 0.2 to 1, ratio 3/4 to 4/3) resized to the image, mirroring, brightness, contrast and saturation by factors 0.6 to 1.4
    with probability 0.8, grey with probability 0.2 (after Chen et al., ICML 2020; hue and blur are left out)."""
    n = len(x)
    r = torch.rand(n, 10, generator=generator)
    area, ratio = 0.2 + 0.8 * r[:, 0], torch.exp((2 * r[:, 1] - 1) * math.log(4 / 3))
    w, h = (area * ratio).sqrt().clamp_max(1), (area / ratio).sqrt().clamp_max(1)
    x0, y0 = (1 - w) * (2 * r[:, 2] - 1), (1 - h) * (2 * r[:, 3] - 1)
    mirror, zero = torch.where(r[:, 4] < 0.5, -1.0, 1.0), torch.zeros(n)
    x = _sample(x, torch.stack([w * mirror, zero, x0, zero, h, y0], 1).view(-1, 2, 3))
    factors = torch.where(r[:, 8:9] < 0.8, 0.6 + 0.8 * r[:, 5:8], torch.ones(n, 3)).to(x)[:, :, None, None, None]
    x = x * factors[:, 0]
    x = x.mean((1, 2, 3), keepdim=True) * (1 - factors[:, 1]) + x * factors[:, 1]
    grey = x.mean(1, keepdim=True)
    x = grey * (1 - factors[:, 2]) + x * factors[:, 2]
    return torch.where((r[:, 9] < 0.2).to(x.device)[:, None, None, None], grey.expand_as(x), x)


def _sample(x: Tensor, theta: Tensor) -> Tensor:
    grid = affine_grid(theta.to(x), list(x.shape), align_corners=False)
    return grid_sample(x, grid, padding_mode="border", align_corners=False)


def view(x: Tensor, kind: str, generator: torch.Generator, noise: float) -> Tensor:
    """One random view of each sample of x (n, ...); affine and simclr take images (n, c, h, w)."""
    if kind == "noise":
        return noisy(x, generator, noise)
    if x.dim() != 4:
        raise ValueError(
            f"views={kind} are of images (n, c, h, w) and the samples have shape {tuple(x.shape[1:])}; use noise"
        )
    return affine(x, generator, noise) if kind == "affine" else simclr(x, generator)
