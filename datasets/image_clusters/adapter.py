"""Images of a catalogue data set as a Bundle of kind "clustering"."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.schema import ORIGIN, Arrays, BenchError, Bundle, fingerprint
from datasets.clustering import Clustering
from datasets.image_clusters.config import Config
from datasets.images.adapter import gather, normalisation, stratified


def load(config: Config, *, fold: str, source: str, root: Path, cache: Path) -> Bundle:
    """`test.x` (n, c, h, w) uint8 is the set to cluster; `test.y` the class of each image, for scoring only.

    `meta`: `mean` and `std` by channel, in units of `white`, the value of a white pixel, and `class_names`.
    """
    number = config.fold_number(fold)
    pool = gather(config, source, Path(root), Path(cache))
    x = pool.in_memory(config, "clustering")
    rows = np.arange(len(pool.y))
    if pool.test is not None:
        rows = np.setdiff1d(rows, pool.test)
    if config.n_train is not None:
        if config.n_train > len(rows):
            raise BenchError(f"data.n_train={config.n_train} is more than the {len(rows)} images there are; lower it")
        rows = stratified(pool.y, rows, config.n_train, np.random.default_rng([number, 22]))
    shape = x.shape[1:]
    return Bundle(
        kind=config.kind,
        train=None,
        val=None,
        test=Arrays(x[rows], pool.y[rows]),
        n_out=len(pool.names),
        shape=shape,
        group=fold,
        origin=ORIGIN[source],
        fingerprint=fingerprint(pool.digest, rows, config.normalise, str(shape)),
        task=Clustering(),
        card=pool.card(config),
        meta=normalisation(pool, config, rows, shape),
    )
