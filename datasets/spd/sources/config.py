"""Choices of the simulated covariances of copied channels; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import BenchError, DataConfig, option


@dataclass
class Config(DataConfig):
    """Classes differ in the variances of 13 sources; 16 channels of which 3 are copies up to noise, so all are ill-conditioned."""

    drift: bool = option(
        False, "every session mixes the sources anew; the test session is one that training did not see"
    )
    channels: int = option(16, "size of the covariances", low=2)
    copies: int = option(3, "channels that repeat another one", low=0)
    noise: float = option(1e-4, "standard deviation of the noise on a copy, relative to the channel", low=0.0)
    classes: int = option(4, "classes", low=2)
    sessions: int = option(3, "training sessions", low=1)
    per_class: int = option(20, "training matrices of each class in a session", low=1)
    test_per_class: int = option(40, "test matrices of each class", low=1)
    samples: int = option(100, "samples behind each covariance", low=2)
    contrast: float = option(0.12, "standard deviation over classes of the logarithm of a source's variance", low=0.0)
    drift_size: float = option(0.5, "size of a session's change of the mixing, relative to the mixing", low=0.0)
    draws: int = option(8, "independent draws, one fold each", low=1)

    adapter: ClassVar[str] = "datasets.spd.sources.adapter:load"
    kind: ClassVar[str] = "spd_trials"
    sources: ClassVar[tuple[str, ...]] = ("simulated",)
    licence: ClassVar[str] = "none needed: made by formula"

    def folds(self) -> list[str]:
        return [f"draw{i}" for i in range(self.draws)]

    def check(self) -> None:
        if self.copies >= self.channels:
            raise BenchError(
                f"data.copies={self.copies} leaves no source in {self.channels} channels; take fewer copies"
            )
