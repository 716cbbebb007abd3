"""Choices of the SPD targets; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import DataConfig, option


@dataclass
class Config(DataConfig):
    """Targets Q diag(logspace(0, -log10 kappa, n)) Q^T with random orthogonal Q; one fold per condition number."""

    n: int = option(10, "matrix size", low=2)
    kappas: list[int] = option(lambda: [10, 100, 1000, 10000], "condition numbers, one fold each")
    targets: int = option(3, "matrices Q per condition number", low=1)

    adapter: ClassVar[str] = "datasets.spd_targets.adapter:load"
    kind: ClassVar[str] = "spd_objective"
    sources: ClassVar[tuple[str, ...]] = ("simulated",)
    licence: ClassVar[str] = "none needed: made by formula"

    def folds(self) -> list[str]:
        return [f"kappa{k}" for k in self.kappas]
