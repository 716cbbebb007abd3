"""Choices of the notched plates; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import DataConfig, option


@dataclass
class Config(DataConfig):
    """Squares with a random notch on either side, clamped below and pulled up: displacement and stress. A fold is a draw of all plates."""

    train: int | None = option(None, "training plates", low=8)
    test: int | None = option(None, "test plates", low=1)
    h: float | None = option(None, "distance of nodes", low=0.02, high=0.4)
    mesher: str = option(
        "delaunay", "delaunay: our own; gmsh: the library, where it is installed", choices=("delaunay", "gmsh")
    )
    pull: list[float] = option(lambda: [0.05, 0.25], "bounds of the load P")
    mu: list[float] = option(lambda: [0.8, 1.2], "bounds of the shear modulus")
    lam: list[float] = option(lambda: [0.6, 1.4], "bounds of Lame's first parameter")
    draws: int = option(8, "number of folds", low=1)
    seed: int = option(0, "of the first draw", low=0)

    adapter: ClassVar[str] = "datasets.plates.adapter:load"
    kind: ClassVar[str] = "mesh_fields"
    sources: ClassVar[tuple[str, ...]] = ("simulated",)
    licence: ClassVar[str] = "none needed: made by code"

    def folds(self) -> list[str]:
        return [f"draw{i}" for i in range(self.draws)]
