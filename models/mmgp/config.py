"""Choices of the mesh-morphing Gaussian process; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import BenchError, MethodConfig, option


@dataclass
class Config(MethodConfig):
    """Fields on meshes of different shapes: morphed to a common domain, reduced to modes, regressed by Gaussian processes."""

    morphing: str = option(
        "tutte",
        "tutte: barycentric map to the disk; rbf: splines of the boundary onto a training mesh; none: a grid around all, "
        "with the distance to the boundary as description of the shape",
        choices=("tutte", "rbf", "none"),
    )
    modes: int | None = option(None, "of each field", low=1)
    shape_modes: int | None = option(None, "of the shape", low=1)
    regressor: str = option("gp", "of the coefficients: gp, or their mean (a control)", choices=("gp", "mean"))
    shared: bool = option(False, "one kernel and noise for all coefficients of a field, as the official code has it")
    landmarks: bool = option(
        True, "the data's landmarks, where it has some, hold the boundary; false: it starts at the node of smallest x"
    )
    extend: bool = option(True, "morphing=none: grid points outside a shape take the value nearest in it; false: zero")
    grid: int = option(33, "points in each direction, for morphing=none", low=5)
    restarts: int | None = option(None, "of the search for hyper-parameters, besides the first start", low=0)
    steps: int | None = option(None, "of each search, at most", low=1)
    folds: int | None = option(
        None, "parts held out in turn to calibrate the widths of intervals; 0: not calibrated", low=0
    )
    official_parity: bool = option(False, "as the official code: shared=true, folds=0, no landmarks")

    plugin: ClassVar[str] = "models.mmgp.plugin:MMGP"
    accepts: ClassVar[tuple[str, ...]] = ("mesh_fields",)
    margin: ClassVar[float] = 0.05

    def check(self) -> None:
        if self.folds == 1:
            raise BenchError("method.folds=1 leaves nothing to fit; use 0 or at least 2")
        if self.morphing == "rbf" and not self.landmarks:
            raise BenchError("method.morphing=rbf needs landmarks to match boundaries; set method.landmarks=true")
