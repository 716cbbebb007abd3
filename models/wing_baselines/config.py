"""Choices of the baselines for surface pressure; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import MethodConfig, option
from models.wing_cp.config import CHART_HELP, FEATURES, FEATURES_HELP


@dataclass
class Config(MethodConfig):
    """Gradient-boosted trees on points, or Gaussian processes on principal components of whole fields; choices by validation error."""

    algorithm: str = option(
        "trees",
        "trees: histogram gradient boosting on each point; pod: Gaussian processes from principal components of the coordinates and "
        "the conditions to those of the pressure (structured grids)",
        choices=("trees", "pod"),
    )
    features: str = option("coordinates", FEATURES_HELP + "; of algorithm=trees", choices=tuple(FEATURES))
    chart: str = option("auto", CHART_HELP, choices=("auto", "grid", "tangent"))
    neighbours: int = option(24, "points of a local fit with chart=tangent", low=6)
    pool: int = option(0, "as of the networks", low=0)
    rounds: int | None = option(None, "most trees; the best number by validation error is kept", low=1)

    plugin: ClassVar[str] = "models.wing_baselines.plugin:Baseline"
    accepts: ClassVar[tuple[str, ...]] = ("surface_cp",)
    margin: ClassVar[float] = 0.0

    def parts(self) -> tuple[str, ...]:
        return ("wing_cp",)
