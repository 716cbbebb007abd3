"""Two random views of an image, and the evaluation view."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from models.nn.torchvision_ops import cure

cure()

from torchvision.transforms import v2  # noqa: E402


class TwoViews:
    """(c, h, w) uint8 -> (2, c, size, size): shorter side to size / 0.875 (bicubic), a random crop, mirrored at random."""

    def __init__(self, size: int) -> None:
        self.view = v2.Compose([resized(size), v2.RandomCrop(size), v2.RandomHorizontalFlip()])

    def __call__(self, image: Tensor) -> Tensor:
        return torch.stack([self.view(image), self.view(image)])


def resized(size: int) -> Any:
    return v2.Resize(round(size / 0.875), interpolation=v2.InterpolationMode.BICUBIC, antialias=True)


def central(size: int) -> Any:
    """The evaluation view: the same resizing and the central square."""
    return v2.Compose([resized(size), v2.CenterCrop(size)])
