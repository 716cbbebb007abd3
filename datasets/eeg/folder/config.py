"""Choices of own recordings: which files, which events, which window, and what is tested. Only names of files are read here."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from bench.schema import BenchError, DataConfig, MissingData, option
from datasets.eeg.twin_config import TwinConfig

ENDINGS = (".fif", ".fif.gz", ".edf", ".bdf", ".vhdr", ".set")
PATTERN = r"sub-(?P<subject>[^_/.]+)(?:.*?ses-(?P<session>[^_/.]+))?(?:.*?run-(?P<run>[^_/.]+))?"
UNITS = ("session", "run", "subject")


@dataclass(frozen=True, order=True)
class Recording:
    """One file: subject, session and run as its name tells them (1 where it does not), path relative to the folder."""

    subject: str
    session: str
    run: str
    path: str


@dataclass
class Config(DataConfig):
    """Own EEG. One fold is what is tested: a session of a subject, a run of a session, or a subject.

    Files are *_eeg.{fif,edf,bdf,vhdr,set} of a BIDS tree, or *_raw.fif, *_eeg.fif, *_epo.fif anywhere below the folder. Events
    of continuous files come from the *_events.tsv beside them, else from their annotations; those of epochs from their
    metadata, else from their event names.
    """

    path: str = option("", "the folder that sub-* folders or files lie in, absolute or below $BENCH_DATA")
    pattern: str = option(
        PATTERN, "regular expression with the groups subject, session, run, searched in a file's path"
    )
    classes: list[str] = option(list, "events to tell apart, in the order of their labels")
    column: str = option("trial_type", "column of *_events.tsv (or of the metadata of epochs) that names the event")
    tmin: float = option(0.0, "start of an epoch after its event (s)")
    tmax: float = option(2.0, "end of an epoch after its event (s), the sample there included")
    fmin: float | None = option(None, "lower edge of the band-pass (Hz); null: as recorded", low=0)
    fmax: float | None = option(None, "upper edge of the band-pass (Hz); null: as recorded", low=0)
    resample: float | None = option(None, "sampling rate after resampling (Hz); null: as recorded", low=1)
    reference: list[str] = option(list, "[average], or channels whose mean is subtracted; empty: as recorded")
    channels: list[str] = option(list, "channel names; empty: every EEG channel")
    subjects: list[str] = option(list, "subjects as their files name them, e.g. [01,02]; empty: all of them")
    leave_out: str = option(
        "session", "what is tested, each in turn: a session or run of a subject, or a subject", choices=UNITS
    )
    validate_on: str = option(
        "share",
        "share: the last val_share of each class; session, run or subject: the one after the tested one, whole",
        choices=("share", *UNITS),
    )
    val_share: float = option(0.125, "last share of each class held out, with validate_on=share", low=0, high=0.5)
    twin: TwinConfig = option(TwinConfig, "the simulator that stands in with data.source=synthetic")

    stand_in: ClassVar[tuple[str, ...]] = ("twin",)
    adapter: ClassVar[str] = "datasets.eeg.folder.adapter:load"
    kind: ClassVar[str] = "eeg_trials"
    licence: ClassVar[str] = "yours: nothing is known of these recordings but what their files say"

    # -------------------------------------------------------------------------------------- files

    def folder(self) -> Path:
        """The folder of the recordings; a relative path is taken below $BENCH_DATA."""
        return Path(os.environ.get("BENCH_DATA") or ".").expanduser().absolute() / Path(self.path).expanduser()

    def recordings(self) -> list[Recording]:
        """Every recording below the folder, by subject, session, run; BenchError for a name that the pattern does not fit."""
        folder, found = self.folder(), []
        for path in sorted(folder.rglob("*")) if self.path and folder.is_dir() else []:
            name = path.relative_to(folder).as_posix()
            if not _is_recording(path) or any(
                part.startswith(".") or part == "derivatives" for part in Path(name).parts
            ):
                continue
            match = re.search(self.pattern, name)
            if match is None:
                raise BenchError(
                    f"data.pattern does not fit {name} in {folder}: rename it like sub-01_ses-1_run-1_raw.fif, or give a "
                    "pattern with (?P<subject>...), (?P<session>...) and (?P<run>...)"
                )
            parts = match.groupdict()
            subject, session, run = (parts.get(unit) or "1" for unit in ("subject", "session", "run"))
            if not self.subjects or subject in self.subjects:
                found.append(Recording(subject, session, run, name))
        return sorted(found)

    def unit(self, recording: Recording, level: str) -> str:
        """Name of the session, run or subject that a recording belongs to, as folds are called."""
        name = f"sub-{recording.subject}"
        if level != "subject":
            name += f"_ses-{recording.session}"
        return f"{name}_run-{recording.run}" if level == "run" else name

    def folds(self) -> list[str]:
        """A subject that lacks a session of the others keeps its fold, whose row then says so."""
        found = self.recordings() or SIMULATED
        names = dict.fromkeys(self.unit(r, self.leave_out) for r in found)
        if self.leave_out == "session":
            sessions = dict.fromkeys(sorted(r.session for r in found))
            names = dict.fromkeys(f"sub-{s}_ses-{k}" for s in dict.fromkeys(r.subject for r in found) for k in sessions)
        return list(names)

    def available(self) -> tuple[str, ...]:
        """Nothing stands in for a folder that is named: a wrong path is a mistake, not a simulation."""
        return ("real",) if self.path else ("synthetic",)

    def present(self, root: Path, cache: Path) -> bool:
        if self.path and not self.recordings():
            what = "holds no file named *_eeg, *_raw or *_epo" if self.folder().is_dir() else "is no folder"
            who = f" of subjects {', '.join(self.subjects)}" if self.subjects else ""
            raise MissingData(
                f"data.path: {self.folder()} {what}{who} ({', '.join(ENDINGS)}); mend the path or the names"
            )
        return bool(self.path)

    def where(self, root: Path, cache: Path) -> str:
        return str(self.folder()) if self.path else "data.path, which is not given"

    def declared(self) -> str:
        """Names and sizes of the files: other recordings in the same folder are other cells."""
        sizes = [f"{r.path} {(self.folder() / r.path).stat().st_size}" for r in self.recordings()]
        return hashlib.sha256("\n".join(sizes).encode()).hexdigest()[:16]

    # -------------------------------------------------------------------------------------- words

    def signal(self, origin: str) -> str:
        window = f"{self.tmin:g} to {self.tmax:g} s after the event"
        if origin != "real":
            return f"simulated without a filter, {window}, {self.resample or 128:g} Hz, reference at infinity"
        low, high = (None if f is None else f"{f:g}" for f in (self.fmin, self.fmax))
        band = f"{low or 0} to {f'{high} Hz' if high else 'Nyquist'}" if low or high else "as recorded"
        rate = f"resampled to {self.resample:g} Hz" if self.resample else "rate as recorded"
        return f"band {band}, {window}, {rate}, reference {', '.join(self.reference) or 'as recorded'}"

    def check(self) -> None:
        self.twin.check()
        try:
            groups = set(re.compile(self.pattern).groupindex)
        except re.error as error:
            raise BenchError(f"data.pattern is no regular expression: {error}") from None
        if "subject" not in groups or groups - {"subject", "session", "run"}:
            raise BenchError("data.pattern needs the group (?P<subject>...), and may have session and run, no others")
        if self.path and (len(self.classes) < 2 or len(set(self.classes)) < len(self.classes)):
            raise BenchError(
                f"data.classes={self.classes}: name two or more different events, as the column {self.column} has them"
            )
        if self.tmax <= self.tmin:
            raise BenchError(f"data.tmax={self.tmax} must lie after data.tmin={self.tmin}")
        if self.fmin is not None and self.fmax is not None and self.fmax <= self.fmin:
            raise BenchError(f"data.fmax={self.fmax} must lie above data.fmin={self.fmin}")
        if self.leave_out == "subject" and self.validate_on in ("session", "run"):
            raise BenchError(
                "data.validate_on with leave_out=subject is share or subject: what is held out lies in others"
            )
        if self.leave_out != "subject" and self.validate_on == "subject":
            raise BenchError(f"data.validate_on=subject goes with leave_out=subject, not with {self.leave_out}")


SIMULATED = [Recording(f"{s:02d}", str(k), "1", "") for s in (1, 2) for k in (1, 2, 3)]


def _is_recording(path: Path) -> bool:
    """By name alone: BIDS says *_eeg.<ending>; MNE writes *_raw.fif and *_epo.fif, parts of one recording split-02 and on."""
    ending = next((e for e in sorted(ENDINGS, key=len, reverse=True) if path.name.lower().endswith(e)), None)
    if ending is None or not path.is_file() or re.search(r"split-0*([2-9]|\d\d+)", path.name):
        return False
    stem = path.name[: -len(ending)]
    kinds = ("eeg", "raw", "epo") if ending.startswith(".fif") else ("eeg",)
    return any(stem.endswith(f"{mark}{kind}") for kind in kinds for mark in "_-")
