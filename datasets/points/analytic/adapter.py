"""Draw the surfaces of a fold."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.schema import Bundle
from datasets.points.analytic.config import Config
from datasets.points.bundle import Split, bundle
from datasets.points.shapes import FAMILIES, mixed


def load(config: Config, *, fold: str, source: str, root: Path, cache: Path) -> Bundle:
    """Training, validation and test clouds of independent random streams."""
    splits = {}
    for stream, part in enumerate(("train", "val", "test")):
        splits[part] = draw(getattr(config, part), config.points, [int(fold), stream])
    card = {"licence": config.licence, "source": "made by formula; nothing is downloaded"}
    return bundle(
        config, splits, group=f"split{fold}", origin="simulated", names=list(FAMILIES), seed=int(fold), card=card
    )


def draw(count: int, points: int, seed: list[int]) -> Split:
    """Points, normals and classes of `count` clouds."""
    cloud, label = mixed(count, points, np.random.default_rng(seed))
    return cloud.points, cloud.normals, label
