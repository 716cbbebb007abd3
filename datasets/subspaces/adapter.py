"""Random subspaces and samples near them, as a Bundle of kind "embedding"."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.schema import Arrays, Bundle, fingerprint
from datasets.subspaces.config import Config


def load(config: Config, *, fold: str, source: str, root: Path, cache: Path) -> Bundle:
    """Unit vectors x (n, ambient) float32 and classes y int64 as train and test; `meta["truth"]["bases"]` (classes, ambient, dim)
    float64 are the true subspaces, orthonormal columns."""
    rng = np.random.default_rng([config.seed, config.fold_number(fold)])
    bases = np.linalg.qr(rng.standard_normal((config.classes, config.ambient, config.dim)))[0]
    n_train, n_test = config.n_train or 4000, config.n_test or 4000
    y = rng.integers(config.classes, size=n_train + n_test)
    signal = rng.standard_normal((len(y), config.dim))
    x = config.noise * rng.standard_normal((len(y), config.ambient))
    for c, q in enumerate(bases):  # one product for each class instead of one for each sample
        x[y == c] += signal[y == c] @ q.T
    x = (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32)
    return Bundle(
        kind=config.kind,
        train=Arrays(x[:n_train], y[:n_train]),
        val=None,
        test=Arrays(x[n_train:], y[n_train:]),
        n_out=config.classes,
        shape=(config.ambient,),
        group=fold,
        origin="simulated",
        fingerprint=fingerprint(x, y, n_train),
        card={"licence": config.licence, "source": "simulated; nothing is downloaded"},
        meta={"truth": {"bases": bases}},
    )
