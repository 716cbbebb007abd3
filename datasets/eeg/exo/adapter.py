"""Load one fold of the SSVEP exoskeleton recordings, or the simulator with the same subjects, sessions and label counts."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

import numpy as np

from bench.schema import BenchError, Bundle
from datasets import files
from datasets.eeg.bundle import bundle, last_of_each_class, recorded, twin_card
from datasets.eeg.exo.config import CHANNELS, CLASSES, DURATION, PER_CLASS, SESSIONS, SFREQ, TWICE, Config
from datasets.eeg.twin import Recording, Trials, simulate

UNIT = 1e-3  # of the files' amplitude unit, whose physical meaning they do not state


def load(config: Config, fold: str, source: str, root: Path, cache: Path) -> Bundle:
    """One fold; `x` (n, 8, samples) float64, `y` label 0..3, `group` (n,) int64: 100 * subject + session.

    last_session, each_session: trained on the other sessions of the subject. cross_subject: trained on the sessions of all
    other subjects, without the one that is a copy of a tested one. Validation is the last `val_share` of each class of each
    training session. `x` is in thousandths of the files' unit (in uV for the stand-in).
    """
    if fold not in config.folds():
        names = config.folds()
        raise BenchError(f"fold={fold} is unknown for {config.name}: it has {names[0]} to {names[-1]}")
    subject, session = (int(n) if n else None for n in re.fullmatch(r"S(\d+)(?:s(\d+))?", fold).groups())
    everyone = range(1, len(SESSIONS) + 1) if config.protocol == "cross_subject" else [subject]
    get = _recorded if source == "real" else _simulated
    parts = [get(config, s, Path(root)) for s in everyone]
    x, y, group = (np.concatenate([p[i] for p in parts]) for i in range(3))
    if config.protocol == "cross_subject":
        tested = group // 100 == subject
        train = ~tested & ~np.isin(group, _copies(group[tested]))
    else:
        tested = group % 100 == (session or config.sessions(subject)[-1])
        train = ~tested
    train, val = _validation(y, group, np.flatnonzero(train), config.val_share)
    meta = {
        "sfreq": config.resample,
        "paradigm": "ssvep",
        "frequencies": [float(c) for c in CLASSES[1:]],
        "classes": list(CLASSES),
        "class_names": list(CLASSES),
        "ch_names": list(CHANNELS),
        "subject": fold,
        "unit": "1e-3 of the files' unit" if source == "real" else "uV",
        "protocol": config.protocol,
        "band": f"{config.band[0]:g}-{config.band[1]:g} Hz",
        "window": f"{config.tmin:g}-{config.tmax:g} s",
        "reference": "as recorded",
    }
    trials = recorded(x, y, group)
    return bundle(
        trials,
        (train, val, np.flatnonzero(tested)),
        n_out=len(CLASSES),
        group=f"S{subject:02d}",
        source=source,
        card=_card(config, everyone) if source == "real" else twin_card("the SSVEP exoskeleton recordings"),
        meta=meta,
    )


def fetch(config: Config, root: Path, cache: Path) -> None:
    """The cut trials are not offered for download: MissingData says where they belong, unless they are there and right."""
    files.fetch(config.files(), Path(root), licence=config.licence)


def _recorded(config: Config, subject: int, root: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(x, y, group) of the used sessions of one subject, from its checked file, preprocessed."""
    path = files.verified(root, config.files()[subject - 1])
    with np.load(path, allow_pickle=False) as content:
        x = content["X"] * (float(content["scale"]) / UNIT)
        y, session = content["y"].astype(np.int64) - 1, content["session"].astype(np.int64) + 1
        names = tuple(content["ch_names"].tolist())
    n = SESSIONS[subject - 1] * len(CLASSES) * PER_CLASS
    if x.shape != (n, len(CHANNELS), round(SFREQ * DURATION)) or names != CHANNELS:
        raise BenchError(
            f"{path} holds trials {x.shape} of {', '.join(names)}; {n} of {', '.join(CHANNELS)} are expected"
        )
    used = np.isin(session, config.sessions(subject))
    return preprocess(config, x[used]), y[used], 100 * subject + session[used]


def _simulated(config: Config, subject: int, root: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same from the simulator, with the sessions numbered alike."""
    sessions = config.sessions(subject)
    counts = ((PER_CLASS,) * len(CLASSES),) * len(sessions)
    recording = Recording("ssvep", CLASSES, counts, CHANNELS, SFREQ, round(SFREQ * DURATION))
    trials: Trials = simulate(recording, config.twin, subject)
    return preprocess(config, trials.x), trials.y, 100 * subject + np.asarray(sessions)[trials.session - 1]


def preprocess(config: Config, x: np.ndarray) -> np.ndarray:
    """Band-pass, resample and cut trials x (n, channels, 1280) of 256 Hz; each trial by itself, nothing is learnt from others."""
    from scipy.signal import butter, resample_poly, sosfiltfilt

    x = sosfiltfilt(butter(4, config.band, "bandpass", fs=SFREQ, output="sos"), x, axis=-1, padlen=int(SFREQ))
    ratio = Fraction(config.resample / SFREQ).limit_denominator(1000)
    if ratio != 1:
        x = resample_poly(x, ratio.numerator, ratio.denominator, axis=-1)
    first, stop = round(config.tmin * config.resample), round(config.tmax * config.resample)
    return np.ascontiguousarray(x[..., first:stop])


def _copies(groups: np.ndarray) -> list[int]:
    """Sessions that are the same recording as one of `groups` (both as 100 * subject + session)."""
    pairs = [(100 * a + b, 100 * c + d) for (a, b), (c, d) in TWICE.items()]
    return [b for a, b in pairs if a in groups] + [a for a, b in pairs if b in groups]


def _validation(y: np.ndarray, group: np.ndarray, train: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
    """(train, val) rows: the tail of each class, session by session."""
    pairs = [last_of_each_class(y, train[group[train] == g], share) for g in np.unique(group[train])]
    return np.concatenate([p[0] for p in pairs]), np.concatenate([p[1] for p in pairs])


def _card(config: Config, subjects: range | list[int]) -> dict:
    used = [config.files()[s - 1] for s in subjects]
    return {
        "licence": config.licence,
        "source": "sylvchev/dataset-ssvep-exoskeleton on GitHub, cut to trials and stored as 16-bit integers",
        "citation": config.citation,
        "files": {f.path: f.sha256 for f in used},
        "size": sum(f.size for f in used),
    }
