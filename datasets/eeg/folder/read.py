"""One recording to arrays, by MNE: events from a BIDS table, annotations or epochs; kept in the cache after the first time."""

from __future__ import annotations

import csv
import hashlib
import itertools
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from bench.schema import BenchError
from datasets import files
from datasets.eeg.bundle import flat_channels
from datasets.eeg.folder.config import ENDINGS, Config, Recording
from datasets.eeg.moabb.prepare import keep


def read(config: Config, recording: Recording, cache: Path) -> dict[str, Any]:
    """Arrays of a file: `x` (n, n_channels, n_times) float64 uV, `y` labels, `events` all names in it, `sfreq`, `ch_names`.

    Raises BenchError naming the file for what cannot be read, a channel that is missing, or an events table without its column.
    """
    path = config.folder() / recording.path
    table = _table(path)
    recipe = {
        "files": [[str(p), p.stat().st_size, p.stat().st_mtime_ns] for p in (path, table) if p],
        "choices": [config.classes, config.column, config.tmin, config.tmax, config.fmin, config.fmax],
        "signal": [config.resample, config.reference, config.channels],
        "layout": 1,
    }
    name = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:16]
    kept = Path(cache) / "eeg_folder" / f"{name}.npz"
    if kept.is_file():
        with np.load(kept, allow_pickle=False) as stored:
            return dict(stored)
    arrays = _extract(config, path, table)
    keep(kept, arrays)
    return arrays


def _table(path: Path) -> Path | None:
    """The *_events.tsv beside a recording."""
    stem = path.name
    for ending in sorted(ENDINGS, key=len, reverse=True):
        if stem.lower().endswith(ending):
            stem = stem[: -len(ending)]
            break
    for name in (f"{stem.rpartition('_')[0]}_events.tsv", f"{stem}_events.tsv"):
        if (path.parent / name).is_file():
            return path.parent / name
    return None


def _extract(config: Config, path: Path, table: Path | None) -> dict[str, Any]:
    import mne

    with mne.utils.use_log_level("ERROR"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # names of files, filters of short signals
        try:
            whole = _epoched(path)
            signal = mne.read_epochs(path) if whole else mne.io.read_raw(path, preload=True)
        except Exception as error:  # whatever a damaged file makes MNE raise
            raise BenchError(f"{path} cannot be read ({type(error).__name__}: {error}); mend or remove it") from error
        signal = _signal(config, signal, path)
        epochs, labels, events = (_of_epochs if whole else _of_raw)(config, signal, path, table)
        if len(labels) and config.resample:
            epochs.resample(config.resample)
        x = epochs.get_data(copy=False) if len(labels) else np.empty((0, len(signal.ch_names), 0))
        return {
            "x": np.ascontiguousarray(x, dtype=np.float64) * 1e6,
            "y": np.array([config.classes.index(v) for v in labels], dtype=np.int64),
            "events": np.array(sorted(set(events)), dtype=str),
            "sfreq": np.array(float(epochs.info["sfreq"] if len(labels) else config.resample or signal.info["sfreq"])),
            "ch_names": np.array(signal.ch_names),
            "sha256": np.array(files.sha256(path)),
        }


def _epoched(path: Path) -> bool:
    return path.name.removesuffix(".gz").removesuffix(".fif").endswith(("-epo", "_epo"))


def _signal(config: Config, signal: Any, path: Path) -> Any:
    """The chosen channels, reference and band. The reference comes first: its channels need not be among the kept ones."""
    if signal.times[-1] - signal.times[0] < config.tmax - config.tmin:
        raise BenchError(
            f"{path} covers {signal.times[-1] - signal.times[0]:g} s and data.tmin to data.tmax need "
            f"{config.tmax - config.tmin:g} s"
        )
    if config.reference:
        eeg = signal.copy().pick("eeg")
        data = eeg.get_data().reshape(-1, len(eeg.ch_names), len(eeg.times))
        if flat := flat_channels(data, eeg.ch_names):  # a common reference would hide them
            raise BenchError(f"{path}: channel {', '.join(flat)} is constant; name the other channels in data.channels")
        average = config.reference == ["average"]
        _has(config.reference if not average else [], signal, path, "reference")
        signal.set_eeg_reference("average" if average else list(config.reference))
    if config.channels:
        _has(config.channels, signal, path, "channels")
        signal.pick(list(config.channels))  # in the order that is asked for
    else:
        if "eeg" not in signal.get_channel_types():
            raise BenchError(f"{path} has no EEG channel; name the channels in data.channels")
        signal.pick("eeg")
    half = signal.info["sfreq"] / 2
    if config.fmax is not None and config.fmax >= half:
        raise BenchError(f"data.fmax={config.fmax:g} must lie below {half:g} Hz, half the sampling rate of {path}")
    if config.fmin is not None or config.fmax is not None:
        if not np.isfinite(signal.get_data()).all():
            raise BenchError(
                f"{path}: the signal has NaN or infinite samples; mend the recording or leave the subject out"
            )
        signal.filter(config.fmin, config.fmax)
    return signal


def _has(names: list[str], signal: Any, path: Path, field: str) -> None:
    absent = [n for n in names if n not in signal.ch_names]
    if absent:
        raise BenchError(
            f"data.{field}: {path} has no channel {', '.join(absent)}; it has {', '.join(signal.ch_names)}"
        )


def _of_epochs(config: Config, epochs: Any, path: Path, table: Path | None) -> tuple[Any, list[str], list[str]]:
    """Epochs of the asked classes, cut to the window; names from the metadata column, else from the event names."""
    if epochs.metadata is not None and config.column in epochs.metadata:
        events = epochs.metadata[config.column].astype(str).tolist()
    else:
        names = {code: name for name, code in epochs.event_id.items()}
        events = [names[c] for c in epochs.events[:, 2]]
    first, last = epochs.times[0], epochs.times[-1]
    tolerance = 0.5 / epochs.info["sfreq"]
    if config.tmin < first - tolerance or config.tmax > last + tolerance:
        raise BenchError(f"{path}: its epochs go from {first:g} to {last:g} s; set data.tmin and data.tmax within")
    rows = [i for i, e in enumerate(events) if e in config.classes]
    epochs = epochs[rows].crop(max(config.tmin, first), min(config.tmax, last))
    return epochs, [events[i] for i in rows], events


def _of_raw(config: Config, raw: Any, path: Path, table: Path | None) -> tuple[Any, list[str], list[str]]:
    """Epochs around the events of the asked classes. Those that reach beyond the recording, or into a bad span, are left out."""
    import mne

    rate, code = raw.info["sfreq"], {name: i for i, name in enumerate(config.classes)}
    if table:
        onset, events = _rows(table, config.column)
        found = [
            [round(t * rate) + raw.first_samp, 0, code[e]] for t, e in zip(onset, events, strict=True) if e in code
        ]
    else:
        events = [str(d) for d in raw.annotations.description]
        asked = {name: i for name, i in code.items() if name in events}
        found = mne.events_from_annotations(raw, asked, regexp=None)[0].tolist() if asked else []
    if not found:
        return raw, [], events
    samples = sorted(s for s, _, _ in found)
    if twice := [a for a, b in itertools.pairwise(samples) if a == b]:
        raise BenchError(f"{table or path}: two events of data.classes lie at {(twice[0] - raw.first_samp) / rate:g} s")
    epochs = mne.Epochs(
        raw,
        np.array(sorted(found)),
        tmin=config.tmin,
        tmax=config.tmax,
        baseline=None,
        preload=True,
        on_missing="ignore",
    )
    return epochs, [config.classes[c] for c in epochs.events[:, 2]], events


def _rows(table: Path, column: str) -> tuple[list[float], list[str]]:
    """(onset in s, name) of every event of a BIDS table."""
    with open(table, encoding="utf-8-sig", newline="") as handle:
        rows = list(csv.DictReader(handle, delimiter="\t"))
    have = list(rows[0]) if rows else []
    for name in ("onset", column):
        if rows and name not in have:
            raise BenchError(f"{table} has no column {name}; it has {', '.join(map(str, have))}: set data.column")
    try:
        return [float(r["onset"]) for r in rows], [str(r[column]) for r in rows]
    except (TypeError, ValueError):
        raise BenchError(f"{table}: an onset is no number of seconds; mend that line") from None
