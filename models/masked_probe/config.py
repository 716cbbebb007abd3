"""Choices of the probe on masked images; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import MethodConfig, option


@dataclass
class Config(MethodConfig):
    """Two masked views of each unlabelled image train an encoder; a ridge probe reads its average over views from few labels."""

    mask: str = option(
        "random", "random: each pixel by itself; block: one square of pixels", choices=("random", "block")
    )
    alpha: float = option(0.5, "share of pixels hidden", low=0.0, high=1.0)
    encoder: str = option(
        "network", "network, or pixels: the probe on the pixels themselves", choices=("network", "pixels")
    )
    d: int | None = option(None, "dimension of the features; null: by scale", low=1)
    width: int | None = option(None, "of the network's two hidden layers; null: by scale", low=1)
    steps: int | None = option(None, "optimiser steps on all training images, without labels; null: by scale", low=1)
    batch: int | None = option(None, "images with two views each in a step; null: by scale", low=2)
    lr: float = option(1e-3, "first step size of Adam, cosine to 0", low=0.0)
    views: int = option(16, "views over which features are averaged", low=1)
    labels: int = option(100, "training images whose labels the probe sees, classes in proportion", low=2)

    plugin: ClassVar[str] = "models.masked_probe.plugin:MaskedProbe"
    accepts: ClassVar[tuple[str, ...]] = ("image",)
    margin: ClassVar[float] = 0.1

    def parts(self) -> tuple[str, ...]:
        """Loss and training live with the augmentation's theory."""
        return ("rkhs_aug",)
