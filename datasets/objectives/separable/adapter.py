"""Write the samples down and build the logistic objective on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.schema import Bundle
from datasets.objectives.bundle import linear
from datasets.objectives.separable.config import Config


def load(config: Config, *, fold: str, source: str, root: Path, cache: Path) -> Bundle:
    """`train.x` (n, d) float64, `train.y` (n,) in {-1, +1}; start 0, B = I."""
    x, y = construct(config, fold)
    card = {"licence": config.licence, "source": "simulated by construction; nothing is downloaded"}
    return linear(np.tile(x, (config.copies, 1)), np.tile(y, config.copies), fold, "simulated", card)


def construct(config: Config, fold: str) -> tuple[np.ndarray, np.ndarray]:
    """(x, y) of a fold, before copies."""
    if config.construction == "worst_case":
        n = int(fold.removeprefix("n"))
        x, y = np.tile([-0.5, -1.0], (n, 1)), -np.ones(n)
        x[0], y[0] = (0.5, -1.0), 1.0
        return x, y
    if config.construction == "two_sample":
        return np.array([[1.0, -1.0], [-1.0, -4.0]]), np.array([1.0, -1.0])
    draw = np.random.default_rng(int(fold.removeprefix("draw")))
    normal = draw.normal(size=config.d)
    normal /= np.linalg.norm(normal)
    x = draw.normal(size=(config.n, config.d))
    y = np.where(x @ normal > 0, 1.0, -1.0)
    return x + config.gap * y[:, None] * normal, y
