"""Load one subject of MAMEM-SSVEP-II, or the simulator with the same shapes, sessions and label counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.schema import BenchError, Bundle
from datasets import files
from datasets.eeg.bundle import bundle, recorded, twin_card
from datasets.eeg.mamem.config import COUNTS, FREQUENCIES, Config
from datasets.eeg.twin import Recording, Trials, simulate

SFREQ, N_TIMES, N_SESSIONS, PER_SESSION = 125.0, 125, 5, 100
# The real files do not name their eight occipital channels (of a 256-channel net); the stand-in needs places on the head.
TWIN_CHANNELS = ("PO7", "PO3", "POz", "PO4", "PO8", "O1", "Oz", "O2")


def load(config: Config, fold: str, source: str, root: Path, cache: Path) -> Bundle:
    """One subject: sessions 1-3 train, 4 validation, 5 test (4 and 5 exchanged with `official_split`).

    Four consecutive trials are pieces of one 5-s presentation, so a random split would put neighbours on both sides; sessions
    do not. `x` (n, 8, 125) float64 in the units of the file (microvolt-like), `y` label 0..4, `group` session 1..5.
    """
    config.fold_number(fold)
    subject = int(fold[1:])
    meta = {
        "sfreq": SFREQ,
        "paradigm": "ssvep",
        "frequencies": list(FREQUENCIES),
        "classes": [f"{f:g}" for f in FREQUENCIES],
        "subject": fold,
        "unit": "uV",
        "official_split": config.official_split,
    }
    if source == "real":
        trials = read(config, subject, Path(root))
        names = [f"occipital{i}" for i in range(1, 9)]
        file = config.files()[subject - 1]
        card = {
            "licence": config.licence,
            "source": file.url,
            "citation": config.citation,
            "files": {file.path: file.sha256},
            "size": file.size,
        }
    else:
        trials = simulate(recording(), config.twin, subject)
        names, card = list(TWIN_CHANNELS), twin_card("MAMEM-SSVEP-II")
    val, test = (5, 4) if config.official_split else (4, 5)
    split = [np.flatnonzero(part) for part in (trials.session <= 3, trials.session == val, trials.session == test)]
    return bundle(
        trials, split, n_out=len(FREQUENCIES), group=fold, source=source, card=card, meta={**meta, "ch_names": names}
    )


def recording() -> Recording:
    """What the stand-in imitates."""
    return Recording(
        "ssvep", tuple(f"{f:g}" for f in FREQUENCIES), (COUNTS,) * N_SESSIONS, TWIN_CHANNELS, SFREQ, N_TIMES, pieces=4
    )


def read(config: Config, subject: int, root: Path) -> Trials:
    """The checked file of a subject. Despite its name, `x_test` is all five sessions in order, 100 trials each."""
    from scipy.io import loadmat

    path = files.verified(root, config.files()[subject - 1])
    content = loadmat(path, variable_names=["x_test", "y_test"])
    x, y = np.ascontiguousarray(content["x_test"], dtype=np.float64), content["y_test"].ravel().astype(np.int64)
    session = np.arange(N_SESSIONS * PER_SESSION) // PER_SESSION + 1
    if x.shape != (len(session), 8, N_TIMES) or y.shape != session.shape:
        raise BenchError(
            f"{path} holds x {x.shape} and y {y.shape}; {(len(session), 8, N_TIMES)} and {session.shape} are expected"
        )
    return recorded(x, y, session)


def fetch(config: Config, root: Path, cache: Path) -> None:
    """Download what is absent (23 MB in all), checked; MissingData when offline."""
    files.fetch(config.files(), Path(root), licence=config.licence)
