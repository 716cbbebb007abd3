"""Read cells, bring counts to one scale, and reduce the genes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.schema import ORIGIN, Arrays, BenchError, Bundle, fingerprint
from datasets.cells.config import PBMC, Config
from datasets.cells.readers import Table, read
from datasets.cells.task import Cells
from datasets.cells.twin import branching
from datasets.files import verified


def load(config: Config, *, fold: str, source: str, root: Path, cache: Path) -> Bundle:
    """`test.x` (n, genes or components) float64.

    `meta`: `labels` (n,) integers and `label_names`, `time` (n,), each where the file has it; `parameter` (n,) for the
    figure's colours. Both are for scoring alone.
    """
    table = _table(config, source, Path(root))
    n = round(config.share * len(table.x))
    if n < 20:
        raise BenchError(
            f"{config.name}: {n} cells of {len(table.x)} are left by data.share={config.share:g}; raise it"
        )
    rng = np.random.default_rng([config.fold_number(fold), 71])
    chosen = np.sort(rng.choice(len(table.x), n, replace=False))
    x = reduced(scaled(table.x[chosen], config.scaling), config.pca)
    meta: dict[str, object] = {}
    if table.label is not None:
        names, codes = np.unique(table.label[chosen], return_inverse=True)
        if len(names) < 2:
            raise BenchError(f"data.label={config.label} has one type only ({names[0]}); name another column")
        meta |= {"labels": codes, "label_names": [str(v) for v in names], "parameter": codes.astype(float)}
    if table.time is not None:
        time = table.time[chosen]
        if len(np.unique(time)) < 3:
            raise BenchError(f"data.time={config.time} has fewer than three times; interpolation needs one between two")
        meta |= {"time": time, "parameter": time}
    return Bundle(
        kind=config.kind,
        train=None,
        val=None,
        test=Arrays(x),
        n_out=0,
        shape=x.shape[1:],
        group=fold,
        origin=ORIGIN[source],
        fingerprint=fingerprint(x, *(np.asarray(meta[k], dtype=np.float64) for k in ("labels", "time") if k in meta)),
        task=Cells("ari" if "labels" in meta else "interpolation"),
        card={
            "licence": config.licence,
            "source": config.path or ("scverse/scanpy on GitHub" if source == "real" else "simulated"),
            "cells": f"{n} of {len(table.x)}",
            "genes": str(table.x.shape[1]),
            "scaling": config.scaling,
            "pca": "none" if config.pca is None else str(x.shape[1]),
        },
        meta=meta,
    )


def _table(config: Config, source: str, root: Path) -> Table:
    if source == "real":
        path = root / config.path if config.path else verified(root, PBMC)
        return read(path, config.matrix, config.label, config.time)
    found = branching(config.twin_cells, config.twin_genes, np.random.default_rng(72))
    found.x = scaled(found.x, "log") if config.scaling == "none" else found.x  # files without scaling hold logarithms
    return Table(found.x, found.label if config.label else None, found.time if config.time else None)


def scaled(x: np.ndarray, scaling: str) -> np.ndarray:
    """log: log(1 + 10,000 x / sum of the cell), natural logarithm.

    Raises
    ------
    BenchError : a negative count or a cell without counts; its number is said.
    """
    if scaling == "none":
        return x
    total = x.sum(1, keepdims=True)
    bad = np.argwhere((x < 0).any(1) | (total[:, 0] <= 0))
    if len(bad):
        raise BenchError(
            f"cell {bad[0][0]} has a negative count or no counts at all; data.scaling=log needs counts, "
            "take data.scaling=none for values that are scaled already"
        )
    return np.log1p(1e4 * x / total)


def reduced(x: np.ndarray, components: int | None) -> np.ndarray:
    """Scores of the first principal components (n, components), at most as many as there are; signs are fixed."""
    if components is None:
        return x
    from sklearn.decomposition import PCA

    return PCA(min(components, *x.shape), svd_solver="full").fit_transform(x)
