"""The simulator alone. Its rows have the origin synthetic_twin: no paper's experiment is this simulation."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.schema import Bundle
from datasets.eeg.bundle import bundle, twin_card
from datasets.eeg.standalone.config import Config
from datasets.eeg.twin import Recording, simulate


def load(config: Config, fold: str, source: str, root: Path, cache: Path) -> Bundle:
    """One simulated subject; `x` (n, n_channels, n_times) float64 uV, `group` session from 1."""
    config.fold_number(fold)
    channels, classes = config.names()
    recording = Recording(
        config.paradigm,
        classes,
        ((config.per_class,) * len(classes),) * config.sessions,
        channels,
        config.sfreq,
        round(config.sfreq * config.duration),
    )
    trials = simulate(recording, config.twin, int(fold[1:]))
    last = config.sessions
    split = [np.flatnonzero(p) for p in (trials.session < last - 1, trials.session == last - 1, trials.session == last)]
    meta = {
        "sfreq": config.sfreq,
        "paradigm": config.paradigm,
        "classes": list(classes),
        "ch_names": list(channels),
        "subject": fold,
        "unit": "uV",
    }
    if config.paradigm == "ssvep":
        meta["frequencies"] = [float(c) for c in classes]
    return bundle(
        trials, split, n_out=len(classes), group=fold, source="synthetic", card=twin_card("no recording"), meta=meta
    )
