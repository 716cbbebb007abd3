"""From images to a Bundle of kind "partly_labelled"."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.schema import ORIGIN, Arrays, BenchError, Bundle, fingerprint
from datasets.categories.config import Config
from datasets.categories.known import known_classes
from datasets.categories.task import CategoryDiscovery
from datasets.images.adapter import Pool, fetch, gather, normalisation, stratified

__all__ = ["fetch", "load"]


def load(config: Config, *, fold: str, source: str, root: Path, cache: Path) -> Bundle:
    """`train`: the labelled images D_l; `test`: the unlabelled images D_u, whose labels only the task reads.

    Classes are renumbered so that the known ones come first. Images are uint8 (c, h, w); with data.augment=crops a training sample is
    (2, c, h, w). `meta`: `known` (list of class indices), `unlabelled` (D_u as a training set, every label -1), `labelled`
    (D_l as it is evaluated), `class_names`, `mean`, `std`, `white` as `datasets.images` gives them. No validation split.
    """
    number = config.fold_number(fold)
    # in files or in memory, images come as they are stored where the crops resize them
    stored = replace(config, image_size=config.image_size if config.lazy() or source != "real" else None)
    pool = gather(stored if config.augment == "crops" else config, source, Path(root), Path(cache))
    known = known_classes(config, pool.names, source, Path(root))
    order = [*known, *(i for i in range(len(pool.names)) if i not in set(known))]
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    pool = replace(pool, y=place[pool.y], names=tuple(pool.names[i] for i in order))
    labelled, unlabelled = split(pool, config, len(known), number)
    shape = _shape(pool, config)
    meta = normalisation(pool, config, np.union1d(labelled, unlabelled), shape)
    train, plain_train = _images(pool, labelled, config, shape)
    train_u, test = _images(pool, unlabelled, config, shape, hidden=True)
    return Bundle(
        kind=config.kind,
        train=train,
        val=None,
        test=test,
        n_out=len(pool.names),
        shape=shape,
        group=fold,
        origin=ORIGIN[source],
        fingerprint=fingerprint(
            pool.digest, labelled, unlabelled, str(order), config.augment, config.normalise, str(shape)
        ),
        task=CategoryDiscovery(),
        card=pool.card(config),
        meta=meta | {"known": list(range(len(known))), "unlabelled": train_u, "labelled": plain_train},
    )


def split(pool: Pool, config: Config, n_known: int, draw: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows (labelled, unlabelled): a share of the training images of the first `n_known` classes, and all others.

    The share is drawn without replacement by numpy's RandomState(draw), as in GCD, whose draw is the first.
    """
    rng = np.random.default_rng([draw, 22])
    rows = np.arange(len(pool.y)) if pool.test is None else np.setdiff1d(np.arange(len(pool.y)), pool.test)
    if config.n_train is not None:
        if config.n_train > len(rows):
            raise BenchError(f"data.n_train={config.n_train} is more than the {len(rows)} images there are; lower it")
        rows = stratified(pool.y, rows, config.n_train, rng)
    mine = rows[pool.y[rows] < n_known]
    if config.by_class:
        labelled = stratified(pool.y, mine, int(config.labelled * len(mine)), rng)
    else:
        labelled = np.sort(np.random.RandomState(draw).choice(mine, int(config.labelled * len(mine)), replace=False))
    unlabelled = np.setdiff1d(rows, labelled)
    novel = pool.y[unlabelled] >= n_known
    if len(np.unique(pool.y[labelled])) < n_known:
        raise BenchError(
            f"data.labelled={config.labelled} leaves a known class without a labelled image; raise it or data.n_train"
        )
    if novel.all() or not novel.any():
        what = "novel" if not novel.any() else "known"
        raise BenchError(
            f"the unlabelled images have no {what} class; change data.known, data.labelled or data.n_train"
        )
    return labelled, unlabelled


def _shape(pool: Pool, config: Config) -> tuple[int, int, int]:
    if isinstance(pool.x, np.ndarray) and config.augment == "none":
        c, h, w = pool.x.shape[1:]
        return c, h, w
    c, h, w = config.shape()
    return c or pool.x.shape[1], h, w  # type: ignore[union-attr]


def _images(
    pool: Pool, rows: np.ndarray, config: Config, shape: tuple[int, int, int], hidden: bool = False
) -> tuple[Any, Any]:
    """(the images as training draws them, as they are evaluated); `hidden`: every label of the first is -1."""
    y = pool.y[rows]
    seen = np.full_like(y, -1) if hidden else y
    if isinstance(pool.x, np.ndarray) and config.augment == "none":
        x = pool.x[rows]
        return Arrays(x, seen), Arrays(x, y)
    from datasets.categories.views import TwoViews, central
    from datasets.images.transforms import Pictures, fixed

    items = pool.x[rows] if isinstance(pool.x, np.ndarray) else [pool.x[i] for i in rows]
    crops = config.augment == "crops"
    plain = central(shape[1]) if crops else fixed(shape[1], lazy=True)
    evaluated = Pictures(items, y, plain, random=False, channels=shape[0])
    return Pictures(items, seen, TwoViews(shape[1]) if crops else plain, random=crops, channels=shape[0]), evaluated
