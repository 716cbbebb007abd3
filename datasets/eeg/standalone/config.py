"""Choices of the EEG simulator as a data set of its own: every size is free, one subject is one fold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import BenchError, DataConfig, option
from datasets.eeg.twin_config import TwinConfig

CHANNELS = (
    "Fz",
    "FC3",
    "FC1",
    "FCz",
    "FC2",
    "FC4",
    "C5",
    "C3",
    "C1",
    "Cz",
    "C2",
    "C4",
    "C6",
    "CP3",
    "CP1",
    "CPz",
    "CP2",
    "CP4",
    "P1",
    "Pz",
    "P2",
    "POz",
    "PO7",
    "PO3",
    "PO4",
    "PO8",
    "O1",
    "Oz",
    "O2",
)
CLASSES = {
    "mi": ("left_hand", "right_hand", "feet", "tongue"),
    "ssvep": ("12", "10", "8.57", "7.5", "6.66"),
    "erp": ("NonTarget", "Target"),
}


@dataclass
class Config(DataConfig):
    """The last session is the test, the one before it validation, the others train."""

    paradigm: str = option(
        "mi", "motor imagery, steady-state visual, or event-related potentials", choices=("mi", "ssvep", "erp")
    )
    subjects: int = option(8, "subjects, one fold each", low=1, high=999)
    sessions: int = option(4, "sessions of a subject", low=3, high=99)
    per_class: int = option(24, "trials of each class in a session", low=1)
    channels: list[str] = option(list, "names in the 10-05 system; empty: 22 (mi) or 8 to 9 that suit the paradigm")
    classes: list[str] = option(list, "class names, for ssvep frequencies in Hz; empty: those usual for the paradigm")
    sfreq: float = option(125.0, "samples per second (Hz)", low=16, high=5000)
    duration: float = option(2.0, "length of a trial (s)", low=0.1, high=60)
    twin: TwinConfig = option(TwinConfig, "what is simulated")

    adapter: ClassVar[str] = "datasets.eeg.standalone.adapter:load"
    kind: ClassVar[str] = "eeg_trials"
    sources: ClassVar[tuple[str, ...]] = ("synthetic",)
    licence: ClassVar[str] = "made by this project's code"

    def folds(self) -> list[str]:
        return [f"S{i:02d}" for i in range(1, self.subjects + 1)]

    def names(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """(channels, classes) after the empty ones are filled in."""
        usual = {
            "mi": CHANNELS[:22],
            "ssvep": CHANNELS[21:],
            "erp": ("Fz", "FCz", "Cz", "CPz", "Pz", "POz", "Oz", "PO7", "PO8"),
        }
        return tuple(self.channels) or usual[self.paradigm], tuple(self.classes) or CLASSES[self.paradigm]

    def signal(self, origin: str) -> str:
        return f"simulated without a filter, {self.duration:g} s, {self.sfreq:g} Hz, reference at infinity"

    def check(self) -> None:
        self.twin.check()
        channels, classes = self.names()
        if len(set(channels)) < len(channels) or len(channels) < 2:
            raise BenchError("data.channels needs two or more different names")
        if len(set(classes)) < len(classes) or len(classes) < 2:
            raise BenchError("data.classes needs two or more different names")
        if self.paradigm == "ssvep":
            for name in classes:
                if not name.replace(".", "", 1).isdigit() or not 0 < float(name) < self.sfreq / 2:
                    raise BenchError(
                        f"data.classes: {name!r} is no frequency between 0 and {self.sfreq / 2:g} Hz; ssvep needs such"
                    )
