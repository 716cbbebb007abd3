"""Samples of two measures as a Bundle."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.schema import Arrays, Bundle, fingerprint
from datasets.transport.config import Config
from datasets.transport.problems import convex, moons, sphere
from datasets.transport.task import Transport


def load(config: Config, *, fold: str, source: str, root: Path, cache: Path) -> Bundle:
    """`x` (n, d) samples of the source and `y` (n, d) of the target, float32, not paired: row i of one says nothing of row i of the other.

    `meta`: `cost`, `power`, and for the test's `x` the optimal images `truth` (n, d) where they are known.
    """
    draw = config.fold_number(fold)
    if config.problem == "convex":
        mu, nu, true = convex(config.dim, np.random.default_rng([config.seed, draw, 0]))
    else:
        rng = np.random.default_rng([config.seed, draw, 0])
        (mu, nu), true = (moons() if config.problem == "moons" else sphere(rng)), None
    stream = np.random.default_rng([config.seed, draw, 1])
    parts = []
    for n in (config.n_train, config.n_test):
        x, y = mu(n, stream), nu(n, stream)
        parts.append(Arrays(x.astype(np.float32), y.astype(np.float32)))
    train, test = parts
    meta = {"cost": config.cost, "power": config.power}
    if true is not None and config.cost == "sqeuclidean":
        meta["truth"] = true(test.x.astype(np.float64))
    return Bundle(
        kind=config.kind,
        train=train,
        val=None,
        test=test,
        n_out=train.x.shape[1],
        shape=train.x.shape[1:],
        group=fold,
        origin="simulated",
        fingerprint=fingerprint(train.x, train.y, test.x, test.y, config.cost, config.power),
        task=Transport(config.cost, config.power, "truth" in meta),
        card={"licence": config.licence, "source": "simulated as in the experiment; nothing is downloaded"},
        meta=meta,
    )
