"""The images of the learned classes as train, val and test; those of the other classes in `meta["transfer"]`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.schema import ORIGIN, Arrays, BenchError, Bundle, fingerprint
from datasets.image_transfer.config import Config
from datasets.images.adapter import gather, normalisation, split, stratified


def load(config: Config, *, fold: str, source: str, root: Path, cache: Path) -> Bundle:
    """A Bundle as `datasets.images` gives it, of the classes below `learned`.

    `meta["transfer"]`: {"train", "test"}: Arrays of the images of the other classes, half and half by class, labels counted from 0.
    Images have to be in memory: digits, MNIST, CIFAR, the stand-in.
    """
    number = config.fold_number(fold)
    pool = gather(config, source, Path(root), Path(cache))
    x = pool.in_memory(config, "the transfer split")
    if len(pool.names) < config.learned + 2:
        raise BenchError(
            f"data.learned={config.learned} leaves fewer than two of {len(pool.names)} classes to transfer to; lower it"
        )
    known = np.flatnonzero(pool.y < config.learned)
    official = None if pool.test is None else np.flatnonzero(np.isin(known, pool.test))
    mine = replace(pool, x=x[known], y=pool.y[known], test=official, names=pool.names[: config.learned])
    parts = split(mine, config, number)
    rest = np.flatnonzero(pool.y >= config.learned)
    probe = stratified(pool.y, rest, len(rest) // 2, np.random.default_rng([number, 21]))
    shape = x.shape[1:]
    meta = normalisation(mine, config, parts[0], shape)

    def arrays(rows: np.ndarray, of: Any = mine, shift: int = 0) -> Arrays:
        return Arrays(of.x[rows], of.y[rows] - shift)

    other = {"train": probe, "test": np.setdiff1d(rest, probe)}
    return Bundle(
        kind=config.kind,
        train=arrays(parts[0]),
        val=arrays(parts[1]) if len(parts[1]) else None,
        test=arrays(parts[2]),
        n_out=config.learned,
        shape=shape,
        group=fold,
        origin=ORIGIN[source],
        fingerprint=fingerprint(pool.digest, *parts, probe, config.learned, config.normalise, str(shape)),
        card=pool.card(config),
        meta=meta | {"transfer": {k: arrays(rows, pool, config.learned) for k, rows in other.items()}},
    )
