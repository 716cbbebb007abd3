"""Choices of the simulated objectives; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import BenchError, DataConfig, option

FUNCTIONS = ("log_sum_exp", "linear_residual", "rosenbrock", "rosenbrock_residual", "chebyshev")


@dataclass
class Config(DataConfig):
    """The functions of the GNS experiments, one fold per draw; A is drawn before b, uniform on [-1, 1]."""

    function: str = option("log_sum_exp", "which one", choices=FUNCTIONS)
    n: int | None = option(None, "variables (2 for the Rosenbrock residual)", low=2)
    m: int | None = option(None, "affine functions or equations; null: as many as variables", low=1)
    mu: float | None = option(None, "temperature of log-sum-exp", low=1e-6)
    p: float = option(4.0, "power of the residual norm", low=2.0)
    draws: list[int] = option(lambda: [3124], "seeds of the random numbers, one fold each")

    adapter: ClassVar[str] = "datasets.objectives.simulated.adapter:load"
    kind: ClassVar[str] = "objective"
    sources: ClassVar[tuple[str, ...]] = ("simulated",)
    licence: ClassVar[str] = "none needed: made by formula"
    labels: ClassVar[tuple[int, ...]] = ()

    def folds(self) -> list[str]:
        return [f"draw{d}" for d in self.draws]

    def check(self) -> None:
        if self.function == "rosenbrock_residual" and self.n not in (None, 2):
            raise BenchError(f"data.n={self.n}: the Rosenbrock residual has 2 variables; drop the word")
        if self.function not in ("rosenbrock", "rosenbrock_residual") and self.n is None:
            raise BenchError(f"data.n is null at this scale; give the number of variables of {self.function}")
        if self.function == "log_sum_exp" and self.mu is None:
            raise BenchError("data.mu is null at this scale; give the temperature of log-sum-exp")
