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
    if fold not in config.folds():
        raise BenchError(
            f"fold={fold} is unknown for {config.name}: data.splits={config.splits} makes {config.folds()[-1]} the last"
        )
    pool = gather(config, source, Path(root), Path(cache))
    if not isinstance(pool.x, np.ndarray):
        raise BenchError(
            f"data.dataset={config.dataset} stays in files; the transfer split takes images in memory, e.g. digits"
        )
    if len(pool.names) < config.learned + 2:
        raise BenchError(
            f"data.learned={config.learned} leaves fewer than two of {len(pool.names)} classes to transfer to; lower it"
        )
    number = config.folds().index(fold)
    known = np.flatnonzero(pool.y < config.learned)
    official = None if pool.test is None else np.flatnonzero(np.isin(known, pool.test))
    mine = replace(pool, x=pool.x[known], y=pool.y[known], test=official, names=pool.names[: config.learned])
    parts = split(mine, config, number)
    rest = np.flatnonzero(pool.y >= config.learned)
    probe = stratified(pool.y, rest, len(rest) // 2, np.random.default_rng([number, 21]))
    shape = mine.x.shape[1:]
    mean, std = normalisation(mine, config, parts[0], shape)

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
        card={"licence": config.licence, "citation": config.citation, **pool.sources},
        meta={
            "mean": mean,
            "std": std,
            "white": pool.white,
            "class_names": list(mine.names),
            "transfer": {k: arrays(rows, pool, config.learned) for k, rows in other.items()},
        },
    )
