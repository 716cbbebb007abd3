"""Load a skeleton data set, or clusters of the same sizes in its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bench.schema import BenchError, Bundle
from datasets import files
from datasets.spd.bundle import bundle, regularise, stratified, unpack
from datasets.spd.skeleton_config import SkeletonConfig
from datasets.spd.twin import clusters


def load(config: SkeletonConfig, fold: str, source: str, root: Path, cache: Path) -> Bundle:
    """`x` (k, n, n) float64 SPD after `config.scale` and `config.eps`; `y` class from 0.

    Fold "standard" is the published split as it is. Fold "half<i>" draws a new stratified half from all matrices, after
    zero matrices and exact copies were left out, so that no matrix is on both sides. Validation comes from the training
    half. The same seed draws the split for every method.
    """
    index = config.fold_number(fold)
    meta: dict[str, Any] = {"paradigm": "skeleton", "scale": config.scale, "eps": config.eps}
    if source == "real":
        x, y, test, card = _read(config, root)
        classes = config.classes
    else:
        x, y, test, card, truth = _imitate(config)
        classes = int(y.max()) + 1
        meta["truth"] = truth
    if index:
        _, first = np.unique(x.reshape(len(x), -1), axis=0, return_index=True)
        kept = np.sort([i for i in first if x[i].any()])
        pool, test_rows = stratified(y, kept, 0.5, seed=1000 + index)
    else:
        pool, test_rows = np.flatnonzero(~test), np.flatnonzero(test)
    train, val = stratified(y, pool, config.val_share, seed=index)
    x = regularise(x, config.scale, config.eps)
    return bundle(x, y, (train, val, test_rows), n_out=classes, group=fold, source=source, card=card, meta=meta)


def _read(config: SkeletonConfig, root: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
    """(x, y, whether in the test half, card) of the checked file."""
    file = config.files()[0]
    path = files.verified(Path(root), file)
    with np.load(path) as content:
        parts = [(content[f"{half}_triu"], content[f"{half}_y"]) for half in ("train", "test")]
    if tuple(len(y) for _, y in parts) != config.sizes:
        raise BenchError(f"{path} holds {[len(y) for _, y in parts]} matrices; {list(config.sizes)} are expected")
    x = np.concatenate([unpack(t, config.n) for t, _ in parts])
    y = np.concatenate([y for _, y in parts]).astype(np.int64) + config.shift
    if set(y.tolist()) != set(range(config.classes)):
        raise BenchError(f"{path} has labels {y.min()} to {y.max()}; 0 to {config.classes - 1} are expected")
    card = {
        "licence": config.licence,
        "source": file.path,
        "citation": config.citation,
        "files": {file.path: file.sha256},
        "size": file.size,
    }
    return x, y, np.arange(len(y)) >= config.sizes[0], card


def _imitate(
    config: SkeletonConfig,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, Any], dict[str, Any]]:
    twin = config.twin
    found = clusters(
        twin.n or config.n,
        twin.classes or config.classes,
        2 * twin.per_class,
        kappa=twin.kappa,
        separation=twin.separation,
        spread=twin.spread,
        rng=np.random.default_rng(twin.seed),
    )
    card = {
        "licence": "made by this project's code; no licence of a recording applies",
        "files": {},
        "size": 0,
        "source": f"simulated by datasets/spd/twin.py in the sizes of {config.name}; never evidence about {config.name}",
        "citation": "",
    }
    test = np.arange(len(found.y)) % 2 == 1
    return found.x, found.y, test, card, {"centres": found.centres, "base": found.base}
