"""Load one fold of own recordings, or the simulator in their place when it is asked for."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from bench.schema import BenchError, Bundle, MissingData
from datasets.eeg.bundle import bundle, last_of_each_class, recorded, sound, twin_card
from datasets.eeg.folder.config import SIMULATED, Config, Recording
from datasets.eeg.twin import Recording as Imitation
from datasets.eeg.twin import simulate


def load(config: Config, fold: str, source: str, root: Path, cache: Path) -> Bundle:
    """One fold; `x` (n, n_channels, n_times) float64 uV, `y` place of the class in `data.classes`.

    `group` of a trial is its session, counted from 1 within its subject; with leave_out=subject it is the subject, counted
    from 1 in the folder.
    """
    found = config.recordings() if source == "real" else SIMULATED
    if not found:
        raise MissingData(f"data.path={config.path}: {config.folder()} holds no recordings")
    subject = fold.removeprefix("sub-").partition("_")[0]
    everyone = list(dict.fromkeys(r.subject for r in found))
    if subject not in everyone:
        raise BenchError(f"fold={fold} is unknown for {config.name}: it has the subjects {', '.join(everyone)}")
    own = found if config.leave_out == "subject" else [r for r in found if r.subject == subject]
    levels = [config.unit(r, config.leave_out) for r in own]
    if fold not in levels or len(set(levels)) < 2:
        raise BenchError(
            f"fold={fold}: {'missing' if fold not in levels else 'the only one'} among the {config.leave_out}s here, which are "
            f"{', '.join(dict.fromkeys(levels))}; add files, change data.leave_out, or leave sub-{subject} out of data.subjects"
        )
    x, y, at, facts = _trials(config, own, source, Path(cache))
    sessions = {s: list(dict.fromkeys(r.session for r in own if r.subject == s)) for s in everyone}
    group = [
        1 + (everyone.index(r.subject) if config.leave_out == "subject" else sessions[r.subject].index(r.session))
        for r in own
    ]
    trials = recorded(x, y, np.array(group)[at])
    split = _split(config, own, fold, y, at)
    classes = classes_of(config)
    meta = {
        "paradigm": "mi" if source != "real" else "own",
        "classes": classes,
        "unit": "uV",
        "subject": f"sub-{subject}",
    }
    meta["tested"] = json.dumps(Counter(own[i].session for i in at[split[2]].tolist()))
    digests = facts.pop("files")
    card = {
        "licence": config.licence,
        "files": digests,
        "size": sum((config.folder() / name).stat().st_size for name in digests),
        "source": "own recordings",
        "citation": "",
    }
    return bundle(
        trials,
        split,
        n_out=len(classes),
        group=f"sub-{subject}",
        source=source,
        card=card if source == "real" else twin_card("a folder of recordings"),
        meta=meta | facts | {"n_sessions": max(map(len, sessions.values()))},
    )


def classes_of(config: Config) -> list[str]:
    """The classes; two usual ones for the simulator where none are named."""
    return list(config.classes) or ["left_hand", "right_hand"]


def _trials(
    config: Config, own: list[Recording], source: str, cache: Path
) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
    """Trials of all recordings, their labels, the place in `own` of the recording that each comes from, and facts."""
    if source != "real":
        return _simulated(config, own)
    from datasets.eeg.folder.read import read

    parts = [read(config, r, cache) for r in own]
    first = parts[0]
    for r, part in zip(own, parts, strict=True):
        for name, remedy in (("sfreq", "data.resample"), ("ch_names", "data.channels")):
            if not np.array_equal(part[name], first[name]):
                raise BenchError(
                    f"{r.path} differs in {name} from {own[0].path}: {_short(part[name])} and {_short(first[name])}; "
                    f"set {remedy}"
                )
    length = min(p["x"].shape[-1] for p in parts)  # epochs of files at other rates may differ by a sample
    x = np.concatenate([p["x"][..., :length] for p in parts])
    y = np.concatenate([p["y"] for p in parts])
    at = np.repeat(np.arange(len(own)), [len(p["y"]) for p in parts])
    names = first["ch_names"].tolist()
    classes = classes_of(config)
    for s in dict.fromkeys(r.subject for r in own):
        mine = np.array([r.subject == s for r in own])[at]
        absent = [c for i, c in enumerate(classes) if not (y[mine] == i).any()]
        if absent:
            seen = sorted({e for r, p in zip(own, parts, strict=True) if r.subject == s for e in p["events"].tolist()})
            raise BenchError(
                f"data.classes: sub-{s} has no event {', '.join(absent)} in the column {config.column}; its events are "
                f"{', '.join(seen) or 'none'}"
            )
        sound(x[mine], np.array([r.session for r in own])[at[mine]], names, f"sub-{s}")
    files = {r.path: p["sha256"].item() for r, p in zip(own, parts, strict=True)}
    return x, y, at, {"sfreq": first["sfreq"].item(), "ch_names": names, "files": files}


def _short(value: np.ndarray) -> str:
    values = np.atleast_1d(value).tolist()
    return ", ".join(map(str, values[:6])) + (f" ... ({len(values)})" if len(values) > 6 else "")


def _simulated(config: Config, own: list[Recording]) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
    channels = tuple(config.channels) or ("Fz", "FC3", "FC4", "C3", "Cz", "C4", "CP3", "CP4", "Pz")
    classes, sfreq = tuple(classes_of(config)), config.resample or 128.0
    n_times = round((config.tmax - config.tmin) * sfreq) + 1
    subjects = list(dict.fromkeys(r.subject for r in own))
    parts = []
    for s in subjects:
        counts = ((24,) * len(classes),) * sum(r.subject == s for r in own)
        parts.append(
            simulate(Imitation("mi", classes, counts, channels, sfreq, n_times, config.tmin), config.twin, int(s))
        )
    first = np.cumsum([0] + [sum(r.subject == s for r in own) for s in subjects])
    at = np.concatenate([first[i] + p.session - 1 for i, p in enumerate(parts)])
    x, y = (np.concatenate([getattr(p, k) for p in parts]) for k in ("x", "y"))
    return x, y, at, {"sfreq": sfreq, "ch_names": list(channels), "files": {}}


def _split(
    config: Config, own: list[Recording], fold: str, y: np.ndarray, at: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(train, val, test) rows: the tested unit; validation is the unit after it (cyclically), or a share of each class."""
    tested = np.array([config.unit(r, config.leave_out) == fold for r in own])[at]
    train, test = np.flatnonzero(~tested), np.flatnonzero(tested)
    if config.validate_on == "share":
        fitted, held = last_of_each_class(y, train, config.val_share)
        return fitted, held, test
    names = np.array([config.unit(r, config.validate_on) for r in own])[at]
    order = list(dict.fromkeys(names.tolist()))
    start = order.index(names[test[-1]])
    others = [u for u in order[start + 1 :] + order[:start] if (names[train] == u).any()]
    if not others or (names[train] == others[0]).all():
        raise BenchError(
            f"data.validate_on={config.validate_on}: {fold} leaves no {config.validate_on} for training beside one for "
            "validation; use validate_on=share"
        )
    return train[names[train] != others[0]], train[names[train] == others[0]], test
