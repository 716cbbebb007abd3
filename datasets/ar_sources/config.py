"""Choices of the resonator trials; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import BenchError, DataConfig, option


@dataclass
class Config(DataConfig):
    """Simulated subjects S01, S02, ... (each with its own mixing matrix and noise) times the parts of a stratified split."""

    subjects: int = option(8, "simulated subjects, the units of paired statistics", low=1, high=99)
    trials: int = option(60, "trials of each class and subject", low=2)
    n_folds: int = option(5, "stratified parts of a subject's trials; each is the test set once", low=2)
    split_seed: int = option(42, "seed of their shuffling", low=0)
    sfreq: float = option(250.0, "samples per second (Hz)", low=1)
    samples: int = option(500, "samples of a trial", low=10)
    burn_in: int = option(300, "samples before a trial, thrown away", low=0)
    radius: float = option(
        0.93, "pole radius of the resonators: the nearer to 1, the narrower the rhythm", low=0.0, high=0.999
    )
    common: list[float] = option(lambda: [10.0, 12.0, 21.0], "frequencies of the sources that both classes share (Hz)")
    telling: list[float] = option(
        lambda: [24.0, 20.0], "frequency of the last source in each class (Hz); one class per entry"
    )
    noise: float = option(0.5, "standard deviation of the sensor noise; a source has 1 before mixing", low=0.0)
    spread: float = option(10.0, "condition number of the mixing matrix", low=1.0)
    permute: bool = option(False, "permute the samples of each trial in time: covariance kept, dynamics destroyed")

    adapter: ClassVar[str] = "datasets.ar_sources.adapter:load"
    kind: ClassVar[str] = "eeg_trials"
    sources: ClassVar[tuple[str, ...]] = ("simulated",)
    licence: ClassVar[str] = "none needed: made by formula"

    def folds(self) -> list[str]:
        return [f"S{s:02d}k{k}" for s in range(1, self.subjects + 1) for k in range(1, self.n_folds + 1)]

    def check(self) -> None:
        if not self.common or len(self.telling) < 2 or len(set(self.telling)) < len(self.telling):
            raise BenchError("data.common needs one or more frequencies and data.telling two or more different ones")
        if not all(0 < f < self.sfreq / 2 for f in [*self.common, *self.telling]):
            raise BenchError(
                f"data.common and data.telling must lie between 0 and {self.sfreq / 2:g} Hz, half of data.sfreq"
            )
        if self.trials < self.n_folds:
            raise BenchError(
                f"data.trials={self.trials} of a class cannot fill data.n_folds={self.n_folds} parts; raise it"
            )
