"""One draw of the clusters, split class by class."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.schema import Bundle
from datasets.spd.bundle import bundle
from datasets.spd.clusters.config import KAPPA, Config
from datasets.spd.twin import clusters


def load(config: Config, fold: str, source: str, root: Path, cache: Path) -> Bundle:
    """`x` (k, n, n) float64 SPD, the base point of trace n; `meta["truth"]` has the class centres."""
    number = config.fold_number(fold)
    per_class = config.train + config.val + config.test
    found = clusters(
        config.n,
        config.classes,
        per_class,
        kappa=KAPPA[config.condition],
        separation=config.separation,
        spread=config.spread,
        rng=np.random.default_rng([2504, number]),
    )
    place = np.arange(len(found.y)) % per_class
    split = [
        np.flatnonzero(part)
        for part in (
            place < config.train,
            (place >= config.train) & (place < config.train + config.val),
            place >= config.train + config.val,
        )
    ]
    return bundle(
        found.x,
        found.y,
        split,
        n_out=config.classes,
        group=fold,
        source="simulated",
        card={"licence": config.licence, "source": "simulated by datasets/spd/twin.py; nothing is downloaded"},
        meta={"condition": config.condition, "truth": {"centres": found.centres, "base": found.base}},
    )
