"""Sample covariances of mixed sources, with channels that repeat others."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.schema import Bundle
from datasets.spd.bundle import bundle
from datasets.spd.sources.config import Config


def load(config: Config, fold: str, source: str, root: Path, cache: Path) -> Bundle:
    """`x` (k, channels, channels) float64, scaled by one factor so that the training matrices have mean eigenvalue 1; no validation.

    Signals are A_s diag(v_c)^(1/2) Z with white Z (channels - copies, samples), class variances v_c and the session's
    mixing A_s; `copies` further channels repeat the first ones plus `noise`. Without drift A_s = A in every session.
    """
    rng = np.random.default_rng([1604, config.fold_number(fold)])
    own = config.channels - config.copies
    variance = np.exp(config.contrast * rng.normal(size=(config.classes, own)))
    mixing = rng.normal(size=(own, own)) / np.sqrt(own)
    change = rng.normal(size=(config.sessions + 1, own, own)) / np.sqrt(own)
    amount = config.drift_size if config.drift else 0.0
    session_mixing = mixing + amount * change @ mixing
    counts = [config.per_class] * config.sessions + [config.test_per_class]
    y = np.concatenate([np.repeat(np.arange(config.classes), k) for k in counts])
    session = np.repeat(np.arange(config.sessions + 1), [k * config.classes for k in counts])
    white = rng.normal(size=(len(y), own, config.samples))
    signal = session_mixing[session] @ (np.sqrt(variance[y])[:, :, None] * white)
    copied = signal[:, np.arange(config.copies) % own]
    size = copied.std(axis=(0, 2), keepdims=True)
    signal = np.concatenate([signal, copied + config.noise * size * rng.normal(size=copied.shape)], axis=1)
    signal -= signal.mean(-1, keepdims=True)
    x = signal @ signal.swapaxes(-1, -2) / (config.samples - 1)
    train, test = np.flatnonzero(session < config.sessions), np.flatnonzero(session == config.sessions)
    x = (x + x.swapaxes(-1, -2)) * (config.channels / (2.0 * x[train].trace(axis1=1, axis2=2).mean()))
    return bundle(
        x,
        y,
        (train, train[:0], test),
        n_out=config.classes,
        group=fold,
        source="simulated",
        card={"licence": config.licence, "source": "simulated by datasets/spd/sources; nothing is downloaded"},
        meta={"drift": config.drift, "truth": {"variance": variance, "mixing": session_mixing}},
    )
