"""One polynomial and its labelled points as a Bundle."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.schema import Arrays, Bundle, fingerprint
from datasets.hypercube.config import Config
from datasets.regression import RegressionTask


def load(config: Config, *, fold: str, source: str, root: Path, cache: Path) -> Bundle:
    """`x` (n, m) float64 of -1 and 1, `y` (n,): the polynomial, with noise in training and without in the test.

    `meta`: `noise`, and `truth` (2^m,): the polynomial at `points(m)`, for diagnostics of a simulation; no estimate may use it.
    """
    rng = np.random.default_rng([config.seed, config.fold_number(fold), 306])
    x = points(config.m)
    coefficients = polynomial(config, rng)
    truth = parities(config.m) @ coefficients
    order = rng.permutation(len(x))
    train, test = order[: config.n_train], np.sort(order[config.n_train :])
    y = truth[train] + config.noise * rng.standard_normal(len(train))
    return Bundle(
        kind=config.kind,
        train=Arrays(x[train], y),
        val=None,
        test=Arrays(x[test], truth[test]),
        n_out=1,
        shape=(config.m,),
        group=fold,
        origin="simulated",
        fingerprint=fingerprint(coefficients, train, y),
        task=RegressionTask(),
        card={"licence": config.licence, "source": "simulated as in the experiment; nothing is downloaded"},
        meta={"noise": config.noise, "truth": truth, "coefficients": coefficients},
    )


def points(m: int) -> np.ndarray:
    """(2^m, m) float64: point number i has -1 where i has a bit, the first coordinate being the lowest bit."""
    return 1.0 - 2.0 * ((np.arange(2**m)[:, None] >> np.arange(m)) & 1)


def parities(m: int) -> np.ndarray:
    """(2^m, 2^m): chi_S(x), the product of the coordinates in S, at point i (rows) for the set S of the bits of the column."""
    odd = np.bitwise_count(np.arange(2**m)[:, None] & np.arange(2**m)) & 1
    return np.where(odd, -1.0, 1.0)


def polynomial(config: Config, rng: np.random.Generator) -> np.ndarray:
    """Coefficients (2^m,) by set: normal with the degree's standard deviation, then scaled so that f has variance 1."""
    sets = np.arange(2**config.m)
    degree = np.bitwise_count(sets)
    sd = np.concatenate([[0.0], config.sd, np.zeros(config.m - len(config.sd))])[degree]
    if config.span is not None:
        bits = (sets[:, None] >> np.arange(config.m)) & 1
        first, last = bits.argmax(1), config.m - 1 - bits[:, ::-1].argmax(1)
        sd = np.where(last - first < config.span, sd, 0.0)
    c = sd * rng.standard_normal(len(sets))
    return c / np.linalg.norm(c)
