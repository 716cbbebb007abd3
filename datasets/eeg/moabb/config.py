"""Choices of MOABB data: which set, which paradigm, which evaluation. Facts come from catalog.json; MOABB is not imported."""

from __future__ import annotations

import difflib
import functools
import hashlib
import json
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, ClassVar

from bench.schema import BenchError, DataConfig, File, option
from datasets.eeg.twin_config import TwinConfig

PARADIGM = {"LeftRightImagery": "imagery", "MotorImagery": "imagery", "SSVEP": "ssvep", "P300": "p300", "CVEP": "cvep"}
BAND = {"LeftRightImagery": (8, 32), "MotorImagery": (8, 32), "SSVEP": (7, 45), "P300": (1, 24), "CVEP": (1, 45)}  # Hz
EVALUATIONS = ("within_session", "cross_session", "cross_subject")
MORE_SESSIONS = {"BNCI2015_001": dict.fromkeys((8, 9, 10, 11), 3)}  # where subjects have more than MOABB's catalog says
EEGBCI = "https://physionet.org/files/eegmmidb/1.0.0"  # publishes checksums, so these files can be declared
EEGBCI_FOLDER = "physionet_eegbci_s001"
EEGBCI_SIZE = 2596896
EEGBCI_S001 = {  # run: sha256, of the imagery runs of subject 1; MOABB's PhysionetMI reads these six
    4: "3d161f88e1c00632585287d2ce584c2bc0f08862438eb255ea8723e00fac693d",
    6: "5369364f2c4e81ca141679d6dd2ba6ece61c7eb53d7fae31241b308876e1b6b3",
    8: "358fb5189220725141968ae285fbe9e3f36210b834ffba71d940af308e3aca68",
    10: "20de1c7746c2349d16bda5e9f1b0ac7b7ad1581102a2e30dd2ac422696f62fb1",
    12: "2b281c9b687b4c4176e83251d74743721f2d6ebd76656a972a3b9c44d9d88cd5",
    14: "2110c48e3106898e3dbca47e39b330637afd3d3b8bc2da3ba1e44f4ac1118137",
}


@functools.cache
def catalog() -> dict[str, Any]:
    """Facts by MOABB class name, written by scripts/moabb_catalog.py."""
    return json.loads((Path(__file__).parent / "catalog.json").read_text(encoding="utf-8"))["datasets"]


@functools.cache
def moabb_version() -> str:
    try:
        return version("moabb")
    except PackageNotFoundError:
        return "absent"


@dataclass
class Config(DataConfig):
    """One fold is: within_session a subject, session and one of `n_folds` parts; cross_session a subject and its test session;
    cross_subject a test subject. The subject is the unit of statistics in all three."""

    dataset: str = option("BNCI2014_001", "class name of the data set in MOABB")
    paradigm: str = option(
        "LeftRightImagery", "MOABB paradigm: which events, which default band", choices=tuple(PARADIGM)
    )
    evaluation: str = option(
        "cross_session", "what the test trials do not share with the training", choices=EVALUATIONS
    )
    subjects: list[int] = option(list, "subject numbers; empty: all of them")
    events: list[str] = option(list, "classes, in the order of their labels; empty: those of the paradigm")
    channels: list[str] = option(list, "channel names; empty: every EEG channel")
    filter: str = option(
        "paradigm",
        "band-pass: MOABB's default of the paradigm, none, or band (fmin to fmax)",
        choices=("paradigm", "none", "band"),
    )
    fmin: float | None = option(None, "lower edge of the band (Hz), with filter=band", low=0)
    fmax: float | None = option(None, "upper edge of the band (Hz), with filter=band", low=0)
    tmin: float = option(0.0, "start of the epoch after the start of the task interval of the data set (s)")
    tmax: float | None = option(None, "end of the epoch after the same point (s); null: end of the task interval")
    resample: float | None = option(None, "sampling rate after resampling (Hz); null: as recorded", low=1)
    crop: list[int] = option(list, "[first, stop) samples kept of the epoch; empty: all")
    n_folds: int = option(5, "parts of a session, for within_session", low=2)
    split_seed: int = option(42, "seed of MOABB's shuffling, for within_session", low=0)
    n_sessions: int | None = option(None, "sessions of each subject; null: what MOABB says", low=1)
    test_session: int | None = option(
        None, "for cross_session, test on this session only (1 is the first); null: each in turn", low=1
    )
    val_share: float = option(
        0.125, "last share of each class of the training trials held out for validation", low=0, high=0.5
    )
    twin: TwinConfig = option(TwinConfig, "the simulator that stands in")

    stand_in: ClassVar[tuple[str, ...]] = ("twin",)
    adapter: ClassVar[str] = "datasets.eeg.moabb.adapter:load"
    kind: ClassVar[str] = "eeg_trials"
    licence: ClassVar[str] = "set by the provider of each data set; see catalog.json and the card"
    citation: ClassVar[str] = (
        "aristimunha2025moabb: Aristimunha et al., Mother of all BCI Benchmarks, doi 10.5281/zenodo.10034223; "
        "cite the data set as well (doi in the card)"
    )

    # -------------------------------------------------------------------------------------- facts

    def facts(self) -> dict[str, Any]:
        if self.dataset not in catalog():
            close = difflib.get_close_matches(self.dataset, catalog(), n=2, cutoff=0.5)
            hint = (
                f"did you mean {' or '.join(close)}?"
                if close
                else f"MOABB has {len(catalog())}, see datasets/eeg/moabb/catalog.json"
            )
            raise BenchError(f"data.dataset={self.dataset} is unknown; {hint}")
        return catalog()[self.dataset]

    def fake(self) -> bool:
        """MOABB's FakeDataset is random numbers: it is never real data, whatever is asked."""
        return bool(self.facts().get("fake"))

    def all_subjects(self) -> list[int]:
        known = self.facts()["subjects"]
        return list(range(1, known + 1)) if isinstance(known, int) else known

    def subject_list(self) -> list[int]:
        return list(self.subjects) or self.all_subjects()

    def sessions(self, subject: int | None = None) -> int:
        """Sessions of a subject; without one, what all subjects have."""
        usual = self.facts()["sessions"]
        return self.n_sessions or MORE_SESSIONS.get(self.dataset, {}).get(subject, usual)

    def classes(self) -> list[str]:
        if self.events:
            return list(self.events)
        fixed = {
            "LeftRightImagery": ["left_hand", "right_hand"],
            "P300": ["NonTarget", "Target"],
        }  # the positive class last
        return fixed.get(self.paradigm) or self.facts()["events"]

    def folds(self) -> list[str]:
        width = max(2, len(str(max(self.all_subjects()))))
        names = {s: f"S{s:0{width}d}" for s in self.subject_list()}
        if self.evaluation == "cross_subject" or (self.evaluation == "cross_session" and self.test_session):
            return list(names.values())
        by_session = [f"{name}s{k}" for s, name in names.items() for k in range(1, self.sessions(s) + 1)]
        if self.evaluation == "cross_session":
            return by_session
        return [f"{name}k{k}" for name in by_session for k in range(1, self.n_folds + 1)]

    def check(self) -> None:
        facts = self.facts()
        self.twin.check()
        if PARADIGM[self.paradigm] != facts["paradigm"]:
            fits = [p for p, kind in PARADIGM.items() if kind == facts["paradigm"]]
            raise BenchError(
                f"data.paradigm={self.paradigm} does not fit {self.dataset}, which is {facts['paradigm']}; "
                f"{'use ' + ' or '.join(fits) if fits else 'this harness has no paradigm for it'}"
            )
        unknown = sorted(set(self.subjects) - set(self.all_subjects()))
        if unknown or len(set(self.subjects)) < len(self.subjects):
            raise BenchError(
                f"data.subjects={self.subjects}: {self.dataset} has the subjects {_span(self.all_subjects())}, each once"
            )
        missing = [e for e in self.classes() if e not in facts["events"]]
        if missing:
            raise BenchError(
                f"data.events: {self.dataset} has no {', '.join(missing)}; it has {', '.join(facts['events'])}"
            )
        if self.events and self.paradigm in ("LeftRightImagery", "P300"):
            raise BenchError(
                f"data.events: the events of {self.paradigm} are fixed; leave it empty or take MotorImagery"
            )
        if (self.filter == "band") != (self.fmin is not None or self.fmax is not None):
            raise BenchError(
                "data.fmin and data.fmax go with data.filter=band: set that and at least one of them, or none of the three"
            )
        if self.tmax is not None and self.tmax <= self.tmin:
            raise BenchError(f"data.tmax={self.tmax} must lie after data.tmin={self.tmin}")
        if self.crop and (len(self.crop) != 2 or not 0 <= self.crop[0] < self.crop[1]):
            raise BenchError(f"data.crop={self.crop} must be [first, stop) with 0 <= first < stop")
        if self.evaluation == "cross_session":
            if self.sessions() < 2:
                raise BenchError(
                    f"data.evaluation=cross_session: {self.dataset} has one session of each subject; "
                    "use within_session or cross_subject"
                )
            if self.test_session and self.test_session > self.sessions():
                raise BenchError(
                    f"data.test_session={self.test_session}: {self.dataset} has {self.sessions()} sessions"
                )
        if self.evaluation == "cross_subject" and len(self.subject_list()) < 2:
            raise BenchError("data.evaluation=cross_subject needs two or more subjects in data.subjects")

    def titles(self) -> tuple[str, ...]:
        return self.facts()["code"], self.dataset

    def signal(self, origin: str) -> str:
        facts = self.facts()
        first, last = facts["interval"]
        window = f"{first + self.tmin:g} to {last if self.tmax is None else first + self.tmax:g} s after the event"
        if self.crop:
            window += f" (samples {self.crop[0]} to {self.crop[1] - 1} of it)"
        rate = f"resampled to {self.resample:g} Hz" if self.resample else f"{facts['sfreq'] or 250:g} Hz as recorded"
        if origin == "synthetic_twin" and not self.fake():
            return f"simulated without a filter, {window}, {self.resample or facts['sfreq'] or 250:g} Hz, reference at infinity"
        low, high = BAND[self.paradigm] if self.filter == "paradigm" else (self.fmin, self.fmax)
        edges = f"{'0' if low is None else f'{low:g}'} to {'Nyquist' if high is None else f'{high:g} Hz'}"
        return f"band {'as recorded' if self.filter == 'none' else edges}, {window}, {rate}, reference as recorded"

    # -------------------------------------------------------------------------------------- files

    def available(self) -> tuple[str, ...]:
        """No stand-in for code-modulated potentials; nothing real in MOABB's random set."""
        if self.fake():
            return ("synthetic",)
        return ("real",) if self.paradigm == "CVEP" else self.sources

    def files(self) -> tuple[File, ...]:
        """Declared files: only where the provider's files can be checked against a committed digest."""
        if self.dataset != "PhysionetMI" or self.subject_list() != [1]:
            return ()
        return tuple(
            File(f"{EEGBCI_FOLDER}/S001R{run:02d}.edf", digest, EEGBCI_SIZE, f"{EEGBCI}/S001/S001R{run:02d}.edf")
            for run, digest in EEGBCI_S001.items()
        )

    def recipe(self) -> dict[str, Any]:
        """Everything that decides the prepared arrays of a subject."""
        return {
            "dataset": self.dataset,
            "paradigm": self.paradigm,
            "classes": self.classes(),
            "channels": list(self.channels),
            "filter": [self.filter, self.fmin, self.fmax],
            "t": [self.tmin, self.tmax],
            "resample": self.resample,
            "crop": list(self.crop),
            "moabb": moabb_version(),
            "layout": 1,
        } | ({"seed": self.twin.seed} if self.fake() else {})

    def prepared(self, cache: Path, subject: int) -> Path:
        """Where the arrays of a subject are kept after the first preprocessing."""
        text = json.dumps(self.recipe(), sort_keys=True, separators=(",", ":"))
        return self.home(cache) / hashlib.sha256(text.encode()).hexdigest()[:16] / f"S{subject:03d}.npz"

    def home(self, cache: Path) -> Path:
        return Path(cache) / "moabb" / self.dataset

    def raw(self, cache: Path) -> Path:
        """Where MOABB keeps what it downloads, with the manifest of digests; one folder for each data set."""
        return self.home(cache) / "raw"

    def present(self, root: Path, cache: Path) -> bool:
        if self.fake():
            return False
        if self.files() and all((root / f.path).is_file() for f in self.files()):
            return True
        fetched = self.fetched(cache)
        return all(s in fetched or self.prepared(cache, s).is_file() for s in self.subject_list())

    def fetched(self, cache: Path) -> list[int]:
        """Subjects whose raw files were downloaded and are still there."""
        path = self.raw(cache) / "manifest.json"
        if not path.is_file():
            return []
        manifest = json.loads(path.read_text())
        return manifest["subjects"] if all((path.parent / name).is_file() for name in manifest["files"]) else []

    def where(self, root: Path, cache: Path) -> str:
        return " or ".join([str(root / EEGBCI_FOLDER)] * bool(self.files()) + [str(self.home(cache))])


def _span(numbers: list[int]) -> str:
    return (
        f"{numbers[0]} to {numbers[-1]}"
        if numbers == list(range(numbers[0], numbers[-1] + 1))
        else ", ".join(map(str, numbers))
    )
