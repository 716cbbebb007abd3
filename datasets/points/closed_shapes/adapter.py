"""Draw the closed shapes of a fold."""

from __future__ import annotations

from pathlib import Path

from bench.schema import Bundle
from datasets.points.closed_shapes.config import Config
from datasets.points.oriented import analytic, noise_name, oriented


def load(config: Config, *, fold: str, source: str, root: Path, cache: Path) -> Bundle:
    """Training, validation and test clouds of independent random streams."""
    splits, names = {}, []
    for stream, part in enumerate(("train", "val", "test")):
        query = None if part == "train" else config.query
        splits[part], names = analytic(
            getattr(config, part), config.points, config.noise, [31, int(fold), stream], query
        )
    card = {"licence": config.licence, "source": "made by formula; nothing is downloaded"}
    return oriented(
        splits,
        group=f"split{fold}",
        origin="simulated",
        card=card,
        names=names,
        categories=[noise_name(v) for v in config.noise],
    )
