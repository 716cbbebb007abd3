"""Choices of the simulated pulsar-timing arrays; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import BenchError, DataConfig, option

SOURCES = (
    "smbhb", "power_law", "igw", "dual_w_r", "dual_stable", "dual_dynamic", "fopt", "domain_wall", "sigw", "strings",
)  # fmt: skip


@dataclass
class Config(DataConfig):
    """Timing residuals of an array with a common process of a known source. A fold is a draw: sky, epochs, noise and signal."""

    pulsars: int = option(5, "number, at random places of the sky", low=1)
    toas: int = option(120, "observations of each pulsar, at random epochs", low=8)
    years: float = option(15.0, "span of the observations", low=0.5)
    sigma_us: float = option(0.3, "white noise of every observation, in microseconds", low=1e-6)
    frequencies: int = option(6, "k / T, k = 1, 2, ..., of the injected and of the fitted processes", low=1)
    spectrum: str = option("power_law", "injected, one of the sources of method.signal", choices=SOURCES)
    parameters: list[float] = option(lambda: [-14.0, 13 / 3], "of the injected spectrum")
    correlation: str = option("hd", "of the injected process", choices=("hd", "uncorrelated", "monopole", "dipole"))
    red: list[list[float]] = option(
        lambda: [[-13.6, 3.0], [-14.0, 4.0]],
        "log10 A and gamma of the first pulsars' own noise; the others have -16.5 and 3",
    )
    draws: int = option(10, "number of folds", low=1)
    seed: int = option(0, "of all draws", low=0)

    adapter: ClassVar[str] = "datasets.pulsars.adapter:load"
    kind: ClassVar[str] = "pulsar_array"
    sources: ClassVar[tuple[str, ...]] = ("simulated",)
    licence: ClassVar[str] = "none needed: made by code"

    def folds(self) -> list[str]:
        return [f"draw{i}" for i in range(self.draws)]

    def check(self) -> None:
        if len(self.parameters) != 2:
            raise BenchError(
                f"data.parameters={self.parameters} needs two numbers, those of data.spectrum={self.spectrum}"
            )
        if any(len(pair) != 2 for pair in self.red):
            raise BenchError(f"data.red={self.red} needs pairs of log10 A and gamma")
        if 2 * self.frequencies > self.toas:
            raise BenchError(
                f"data.frequencies={self.frequencies} makes {2 * self.frequencies} coefficients of {self.toas} observations; lower it or "
                "raise data.toas"
            )
