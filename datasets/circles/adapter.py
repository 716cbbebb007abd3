"""Points on concentric circles as a Bundle of kind "clustering"."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.schema import Arrays, Bundle, fingerprint
from datasets.circles.config import Config
from datasets.clustering import Clustering


def load(config: Config, *, fold: str, source: str, root: Path, cache: Path) -> Bundle:
    """`test.x` (n circles, 2) float32 is the set to cluster, in random order; `test.y` the circle of each point, for scoring only."""
    rng = np.random.default_rng([config.seed, config.fold_number(fold)])
    y = rng.permutation(np.repeat(np.arange(len(config.radii)), config.n))
    angle = rng.uniform(0, 2 * np.pi, len(y))
    x = np.asarray(config.radii)[y, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    x = (x + config.noise * rng.standard_normal(x.shape)).astype(np.float32)
    return Bundle(
        kind=config.kind,
        train=None,
        val=None,
        test=Arrays(x, y),
        n_out=len(config.radii),
        shape=(2,),
        group=fold,
        origin="simulated",
        fingerprint=fingerprint(x, y),
        task=Clustering(),
        card={"licence": config.licence, "source": "simulated; nothing is downloaded"},
    )
