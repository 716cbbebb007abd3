"""Make the trials of a subject and cut one fold.

Each source is the AR(2) resonator x_t = 2 r cos(2 pi f / fs) x_{t-1} - r^2 x_{t-2} + e_t, scaled to unit variance; sensors see
A s + noise, A = Q_1 diag(geomspace(1, spread, d)) Q_2 with random orthogonal Q_1, Q_2. The classes' covariances are equal in
expectation: only the spectrum of the last source tells them apart.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.schema import Bundle
from datasets.ar_sources.config import Config
from datasets.eeg.bundle import bundle
from datasets.eeg.twin import Trials, ill_share


def load(config: Config, *, fold: str, source: str, root: Path, cache: Path) -> Bundle:
    """One fold: `x` (n, d, samples) float64, `y` class; train and test are parts of a stratified shuffled split, no validation."""
    from sklearn.model_selection import StratifiedKFold

    config.fold_number(fold)
    subject, part = int(fold[1:3]), int(fold.partition("k")[2])
    x, y, mixing = simulate(config, subject)
    parts = StratifiedKFold(config.n_folds, shuffle=True, random_state=config.split_seed).split(x, y)
    train, test = list(parts)[part - 1]
    trials = Trials(x, y, np.ones(len(y), dtype=np.int64), {"mixing": mixing}, ill_share(x))
    names = [f"{f:g} Hz" for f in config.telling]
    return bundle(
        trials,
        (train, np.empty(0, dtype=np.int64), test),
        n_out=len(names),
        group=fold[:3],
        source="simulated",
        card={"licence": config.licence, "source": "simulated as in the experiment; nothing is downloaded"},
        meta={"sfreq": config.sfreq, "paradigm": "mi", "classes": names, "class_names": names, "subject": fold[:3]},
    )


def simulate(config: Config, subject: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(x, y, A): trials (n, d, samples) of one subject, class after class, and its mixing matrix (d, d)."""
    rng = np.random.default_rng(subject)
    d = len(config.common) + 1
    mixing = _orthogonal(rng, d) * np.geomspace(1, config.spread, d) @ _orthogonal(rng, d)
    y = np.repeat(np.arange(len(config.telling)), config.trials)
    frequency = np.array([[*config.common, f] for f in config.telling])[y]
    shape = (len(y), d, config.burn_in + config.samples)
    s = resonator(rng.standard_normal(shape), frequency / config.sfreq, config.radius)[..., config.burn_in :]
    x = mixing @ s + config.noise * rng.standard_normal(s.shape)
    if config.permute:
        order = rng.random((len(y), 1, config.samples)).argsort(
            -1
        )  # one permutation per trial, the same in every channel
        x = np.take_along_axis(x, order, axis=-1)
    return x, y, mixing


def resonator(e: np.ndarray, frequency: np.ndarray, radius: float) -> np.ndarray:
    """AR(2) signals of unit stationary variance from white noise e (..., T); `frequency` (...) in cycles per sample.

    With a = 2 r cos(2 pi f), b = -r^2 the stationary variance for unit noise is (1 - b) / ((1 + b) ((1 - b)^2 - a^2))
    (Box and Jenkins). The recursion runs over time; all signals take a step together.
    """
    a, b = 2 * radius * np.cos(2 * np.pi * frequency), -(radius**2)
    x = e / np.sqrt((1 - b) / ((1 + b) * ((1 - b) ** 2 - a**2)))[..., None]
    x = np.moveaxis(x, -1, 0).copy()
    x[1] += a * x[0]
    for t in range(2, len(x)):
        x[t] += a * x[t - 1] + b * x[t - 2]
    return np.ascontiguousarray(np.moveaxis(x, 0, -1))


def _orthogonal(rng: np.random.Generator, d: int) -> np.ndarray:
    q, r = np.linalg.qr(rng.standard_normal((d, d)))
    return q * np.sign(np.diag(r))
