"""Choices of the generated wings; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import BenchError, DataConfig, File, option

UIUC = File(
    "uiuc_airfoils/uiuc_airfoils.npz", "7ed2a20ff91b69421eb7bcc1e97568b054f95e712b3a224a1ff49fb519e77fd5", 631836
)
PARTS = ("train", "val", "test")


@dataclass
class Config(DataConfig):
    """Random half wings with their pressure coefficient by a panel method; a fold is an independent draw of wings, split by wing."""

    train: int | None = option(None, "training wings of a fold", low=2)
    val: int | None = option(None, "validation wings of a fold", low=1)
    test: int | None = option(None, "test wings of a fold", low=1)
    splits: int | None = option(None, "folds, each with wings of its own", low=1)
    incidences: int | None = option(None, "incidences of each wing", low=1)
    section: str = option(
        "naca",
        "naca: four digits; cst: class-shape transformation, three weights a side; uiuc: coordinates of 1,617 real sections, from a file",
        choices=("naca", "cst", "uiuc"),
    )
    chordwise: int | None = option(None, "panels around the section", low=8)
    spanwise: int | None = option(None, "panels from root to tip", low=4)
    alpha: list[float] = option(lambda: [-2.0, 10.0], "range of the incidence, degrees")
    mach: list[float] = option(lambda: [0.0, 0.0], "range of the Mach number (Prandtl and Glauert), below 0.7")
    grid: str = option(
        "cosine",
        "cosine: the same panel spacing on every wing; random: a smooth random one, so that the grid says less about the place",
        choices=("cosine", "random"),
    )
    layout: str = option(
        "grid",
        "grid: panel centres as a structured grid; points: scattered points of the surface, Cp by splines between panel centres",
        choices=("grid", "points"),
    )
    points: int | None = option(None, "points of a wing with layout=points", low=64)
    seed: int = option(0, "of the wings", low=0)

    adapter: ClassVar[str] = "datasets.wings.adapter:load"
    kind: ClassVar[str] = "surface_cp"
    sources: ClassVar[tuple[str, ...]] = ("simulated",)
    licence: ClassVar[str] = (
        "none needed: made by a panel method; sections of section=uiuc: UIUC data base, research use"
    )
    citation: ClassVar[str] = (
        "selig_uiuc: Selig, UIUC Airfoil Coordinates Database (section=uiuc); ranges of the wings are this project's"
    )

    def check(self) -> None:
        for name, low, high in (("alpha", -90.0, 90.0), ("mach", 0.0, 0.69)):
            given = getattr(self, name)
            if len(given) != 2 or not low <= given[0] <= given[1] <= high:
                raise BenchError(f"data.{name}={list(given)}: give [lowest, highest] between {low:g} and {high:g}")
        if self.chordwise and self.chordwise % 2:
            raise BenchError(
                f"data.chordwise={self.chordwise} is odd: as many panels lie on the upper as on the lower side"
            )

    def folds(self) -> list[str]:
        return [str(i) for i in range(self.splits or 1)]

    def files(self) -> tuple[File, ...]:
        return (UIUC,) if self.section == "uiuc" else ()
