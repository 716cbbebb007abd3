"""Load one fold of a MOABB data set, or the simulator with the same subjects, sessions, channels, classes and length."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from bench.schema import BenchError, Bundle, MissingData, fingerprint
from datasets import files
from datasets.eeg.bundle import bundle, last_of_each_class, recorded, sound, twin_card
from datasets.eeg.moabb.config import PARADIGM, Config, moabb_version
from datasets.eeg.moabb.prepare import keep
from datasets.eeg.moabb.splits import by_moabb, by_rule, in_order
from datasets.eeg.moabb.task import MoabbScore
from datasets.eeg.twin import Recording, Trials, simulate

PER_CLASS = {"BNCI2014_001": 72, "PhysionetMI": 22}  # trials of a class in a session, for the stand-in; others get 24
SIMULATED = {"imagery": "mi", "ssvep": "ssvep", "p300": "erp"}


def load(config: Config, fold: str, source: str, root: Path, cache: Path) -> Bundle:
    """One fold; `x` (n, n_channels, n_times) float64 uV, `y` place of the class in `meta["classes"]`, `group` session from 1.

    cross_subject: `group` is the subject number instead, and validation is another subject (the next one); elsewhere
    validation is the last `val_share` of each class of the training trials.

    MOABB's FakeDataset goes through MOABB's whole path with source=synthetic, and its origin is synthetic_twin.
    """
    config.check()
    if fold not in config.folds():
        names = config.folds()
        raise BenchError(f"fold={fold} is unknown for {config.name}: it has {names[0]} to {names[-1]}")
    subject, session, part = (
        int(n) if n else None for n in re.fullmatch(r"S(\d+)(?:s(\d+))?(?:k(\d+))?", fold).groups()
    )
    if source == "real" and config.fake():
        raise MissingData("data.source=real: FakeDataset is random numbers made by MOABB; use data.source=synthetic")
    moabb = source == "real" or config.fake()
    everyone = config.subject_list() if config.evaluation == "cross_subject" else [subject]
    parts = [(_recording if moabb else _simulated)(config, s, Path(root), Path(cache)) for s in everyone]
    trials, who, facts = _join(parts, everyone)
    names = parts[everyone.index(subject)][1]["session_names"]
    _enough(config, trials, who)
    pairs = _pairs(config, trials, who, Path(cache), moabb)
    train, test = _pick(config, pairs, trials, who, subject, session or config.test_session, part)
    train, val = _validation(config, trials, who, subject, train)
    classes, name = config.classes(), re.match(r"S\d+", fold).group()
    tested = np.array(names)[trials.session[test] - 1]
    task = MoabbScore(len(classes), tested if config.evaluation == "cross_subject" else None)
    _scorable(classes, trials.y[test], tested, name)
    facts["tested"] = json.dumps(Counter(tested.tolist()))
    if config.evaluation == "cross_subject":
        trials.session = who
    meta = {
        "paradigm": SIMULATED.get(PARADIGM[config.paradigm], config.paradigm),
        "classes": classes,
        "unit": "uV",
        "subject": name,
        "dataset": config.dataset,
        "evaluation": config.evaluation,
        "n_sessions": config.facts()["sessions"],
        **facts,
    }
    if PARADIGM[config.paradigm] == "ssvep":
        meta["frequencies"] = [float(c) if c.replace(".", "", 1).isdigit() else 0.0 for c in classes]
    return bundle(
        trials,
        (train, val, test),
        n_out=len(classes),
        group=name,
        source=source,
        card=_card(config, source, Path(cache), everyone),
        meta=meta,
        task=task,
    )


def fetch(config: Config, root: Path, cache: Path) -> None:
    """Download and preprocess every subject; MissingData when the server cannot be reached.

    Without declared checksums this is no checked download, and it can be gigabytes: data.source=auto does not start it.
    """
    from datasets.eeg.moabb import prepare

    if config.fake():
        raise MissingData("FakeDataset is random numbers made by MOABB; there is nothing to fetch")
    if not config.files() and config.source == "auto":  # auto takes checked downloads only
        raise MissingData(
            f"the provider of {config.dataset} publishes no checksum, so it is fetched only when asked for: "
            f"bench prepare data={config.name} data.source=real"
        )
    if config.files():
        files.fetch(config.files(), Path(root), licence=config.facts()["licence"])
    absent = [s for s in config.subject_list() if not config.prepared(cache, s).is_file()]
    if absent and not config.files() and not files.online(prepare.host(config.dataset)):
        raise MissingData(f"{prepare.host(config.dataset)} cannot be reached")
    for s in absent:
        prepare.prepare(config, s, Path(root), Path(cache))


# ------------------------------------------------------------------------------------------ trials


def _recording(config: Config, subject: int, root: Path, cache: Path) -> tuple[Trials, dict[str, Any]]:
    from datasets.eeg.moabb import prepare

    arrays = prepare.read(config, prepare.prepare(config, subject, root, cache))
    names = in_order(arrays["session"])
    session = np.array([names.index(s) + 1 for s in arrays["session"].tolist()])
    sound(arrays["x"], arrays["session"], arrays["ch_names"].tolist(), f"{config.dataset} subject {subject}")
    facts = {"sfreq": arrays["sfreq"].item(), "ch_names": arrays["ch_names"].tolist(), "session_names": names}
    return recorded(arrays["x"], arrays["y"], session), facts


def _simulated(config: Config, subject: int, root: Path, cache: Path) -> tuple[Trials, dict[str, Any]]:
    recording = imitation(config, subject)
    facts = {"sfreq": recording.sfreq, "ch_names": list(recording.channels)}
    names = [str(i) for i in range(len(recording.counts))]
    return simulate(recording, config.twin, subject), facts | {"session_names": names}


def imitation(config: Config, subject: int | None = None) -> Recording:
    """Shape, channels, classes and sessions of the data set, as far as MOABB's catalog states them."""
    facts, kind = config.facts(), PARADIGM[config.paradigm]
    if kind not in SIMULATED:
        raise BenchError(f"the paradigm {config.paradigm} has no synthetic stand-in; use data.source=real")
    recorded_at = facts["sfreq"] or 250.0
    start = facts["interval"][0]
    stop = facts["interval"][1] if config.tmax is None else start + config.tmax
    n_times = round(stop * recorded_at) - round((start + config.tmin) * recorded_at) + 1  # both ends belong to an epoch
    sfreq = config.resample or recorded_at
    n_times = round(n_times * sfreq / recorded_at)
    late = config.tmin
    if config.crop:
        late += config.crop[0] / sfreq
        n_times = min(config.crop[1], n_times) - config.crop[0]
    channels = (
        tuple(config.channels)
        or tuple(facts["channels"])
        or tuple(f"EEG{i}" for i in range(1, (facts["n_channels"] or 16) + 1))
    )
    per_class = PER_CLASS.get(config.dataset, 24)
    counts = ((per_class,) * len(config.classes()),) * config.sessions(subject)
    return Recording(SIMULATED[kind], tuple(config.classes()), counts, channels, sfreq, n_times, start=late)


def _join(parts: list[tuple[Trials, dict[str, Any]]], subjects: list[int]) -> tuple[Trials, np.ndarray, dict[str, Any]]:
    who = np.repeat(subjects, [len(t.y) for t, _ in parts])
    if len(parts) == 1:
        return parts[0][0], who, parts[0][1]
    shapes = {t.x.shape[1:] for t, _ in parts}
    if len(shapes) > 1:
        raise BenchError(
            f"data.subjects: trials have different shapes {sorted(shapes)}; set data.resample and data.channels, or leave "
            "the odd subject out"
        )
    share = np.average([t.ill_share for t, _ in parts], weights=[len(t.y) for t, _ in parts])
    truth = {"by_subject": {s: t.truth for s, (t, _) in zip(subjects, parts, strict=True)}} if parts[0][0].truth else {}
    joined = Trials(
        *(np.concatenate([getattr(t, k) for t, _ in parts]) for k in ("x", "y", "session")), truth, float(share)
    )
    return joined, who, parts[0][1]


# ------------------------------------------------------------------------------------------ splits


def _pairs(
    config: Config, trials: Trials, who: np.ndarray, cache: Path, moabb: bool
) -> list[tuple[np.ndarray, np.ndarray]]:
    """(train, test) rows of every fold of these trials; MOABB's are kept in the cache, so that it is imported once."""
    ask = (config.evaluation, trials.y, who, trials.session, config.n_folds, config.split_seed)
    if not moabb:
        return by_rule(*ask)
    path = config.home(cache) / "splits" / f"{fingerprint(*ask, moabb_version())[:16]}.npz"
    if not path.is_file():
        pairs = by_moabb(*ask)
        keep(path, {f"{i}{side}": rows for i, pair in enumerate(pairs) for side, rows in zip("ab", pair, strict=True)})
        return pairs
    with np.load(path, allow_pickle=False) as stored:
        return [(stored[f"{i}a"], stored[f"{i}b"]) for i in range(len(stored.files) // 2)]


def _enough(config: Config, trials: Trials, who: np.ndarray) -> None:
    """Raise BenchError when a class of a session has fewer trials than the parts that it is cut into."""
    if config.evaluation != "within_session":
        return
    for s in np.unique(trials.session):
        count = np.bincount(trials.y[trials.session == s], minlength=len(config.classes()))
        least = int(count.argmin())
        if count[least] < config.n_folds:
            raise BenchError(
                f"{config.dataset} subject {who[0]}, session {s}: class {config.classes()[least]} has {count[least]} trials and "
                f"data.n_folds={config.n_folds} needs as many; lower it or leave the subject out of data.subjects"
            )


def _scorable(classes: list[str], y: np.ndarray, session: np.ndarray, name: str) -> None:
    """Raise BenchError when the area under the curve of two classes is asked for and the test trials have one of them."""
    for s in dict.fromkeys(session.tolist()):
        if len(classes) == 2 and len(np.unique(y[session == s])) < 2:
            only = classes[int(y[session == s][0])]
            raise BenchError(f"{name}, session {s}: all test trials are {only}; leave the subject out of data.subjects")


def _pick(
    config: Config,
    pairs: list[tuple[np.ndarray, np.ndarray]],
    trials: Trials,
    who: np.ndarray,
    subject: int,
    session: int | None,
    part: int | None,
) -> tuple[np.ndarray, np.ndarray]:
    """The pair whose test rows belong to this subject and session, counted by `part` within a session."""
    own = [
        (train, test)
        for train, test in pairs
        if (who[test] == subject).all()
        and (config.evaluation == "cross_subject" or (trials.session[test] == session).all())
    ]
    index = (part or 1) - 1
    if index >= len(own):
        found = len(np.unique(trials.session[who == subject]))
        raise BenchError(
            f"{config.dataset}: subject {subject} has {found} session(s) and session {session} is asked for; "
            "set data.n_sessions or leave the subject out of data.subjects"
        )
    return own[index]


def _validation(
    config: Config, trials: Trials, who: np.ndarray, subject: int, train: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    others = [s for s in config.subject_list() if s != subject]
    if config.evaluation == "cross_subject" and len(others) > 1 and config.val_share > 0:
        order = sorted(others, key=lambda s: (s < subject, s))  # the next subject, cyclically: every one serves once
        return train[who[train] != order[0]], train[who[train] == order[0]]
    return last_of_each_class(trials.y, train, config.val_share)


def _card(config: Config, source: str, cache: Path, subjects: list[int]) -> dict[str, Any]:
    if config.fake():
        return twin_card("MOABB's FakeDataset (random numbers)") | {
            "source": f"FakeDataset of MOABB {moabb_version()}: random numbers"
        }
    if source != "real":
        return twin_card(f"{config.dataset} (MOABB)")
    from datasets.eeg.moabb.prepare import manifest_files

    facts = config.facts()
    declared = {f.path: f.sha256 for f in config.files()}
    known = manifest_files(config, cache)
    return {
        "licence": facts["licence"],
        "source": f"{config.dataset} by MOABB {moabb_version()}",
        "citation": f"doi {facts['doi']}; {config.citation}",
        "files": declared or {k: v[1] for k, v in known.items()},
        "size": sum(f.size for f in config.files()) or sum(v[0] for v in known.values()),
        "checksums": "declared by this project and published by the provider"
        if declared
        else "recorded on first use; the provider's download is not checked against a published digest",
    }
