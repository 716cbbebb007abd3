"""Choices of single-cell data; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from bench.schema import BenchError, DataConfig, File, option

PBMC = File(
    "scrna_pbmc68k_reduced/pbmc68k_reduced.npz",
    "a171b4bc516b970d8414ed0e53a887048ed6bc04885fc95babf4337723bbec5a",
    920603,
)
SUFFIXES = (".h5ad", ".csv", ".npz")


@dataclass
class Config(DataConfig):
    """Cells x genes of a file, with a type, a time, or both for each cell. A fold is a draw of cells without repetition.

    An embedding is scored by k-means against the types, and by the interpolation of withheld times between their neighbours.
    """

    path: str = option(
        "", "own .h5ad, .csv or .npz file, absolute or below $BENCH_DATA; empty: the published PBMC (or a stand-in)"
    )
    matrix: str = option("X", "npz: array of cells x genes; h5ad: X or a layer")
    label: str = option("", "column (h5ad obs, csv) or array (npz) with the type of each cell")
    time: str = option("", "column or array with the time of each cell: a number")
    scaling: str = option(
        "none", "log: counts of a cell to a sum of 10,000, then log(1 + x); none: as they are", choices=("none", "log")
    )
    pca: int | None = option(50, "principal components that stand for the genes; null: the genes", low=2)
    share: float = option(0.8, "of all cells that are in a draw", low=0.05, high=1.0)
    draws: int = option(8, "number of folds", low=1)
    twin_cells: int = option(300, "stand-in: cells", low=40)
    twin_genes: int = option(120, "stand-in: genes", low=4)

    stand_in: ClassVar[tuple[str, ...]] = ("twin_cells", "twin_genes")
    adapter: ClassVar[str] = "datasets.cells.adapter:load"
    kind: ClassVar[str] = "manifold"
    licence: ClassVar[str] = "PBMC: BSD-3-Clause (scverse/scanpy); own files: yours"
    citation: ClassVar[str] = (
        "zheng2017massively: Zheng et al., Massively parallel digital transcriptional profiling of single cells, "
        "Nature Communications 2017; reduced set: scverse/scanpy on GitHub"
    )

    def folds(self) -> list[str]:
        return [f"draw{i}" for i in range(self.draws)]

    def check(self) -> None:
        if self.path and Path(self.path).suffix.lower() not in SUFFIXES:
            raise BenchError(f"data.path={self.path} is no {', '.join(SUFFIXES)} file; convert it to one of them")
        if not self.label and not self.time:
            raise BenchError(
                "data.label and data.time are both empty, so nothing is scored; name a column for one of them"
            )

    def files(self) -> tuple[File, ...]:
        return () if self.path else (PBMC,)

    def present(self, root: Path, cache: Path) -> bool:
        return (Path(root) / (self.path or PBMC.path)).is_file()

    def where(self, root: Path, cache: Path) -> str:
        return str(Path(root) / (self.path or PBMC.path))

    def available(self) -> tuple[str, ...]:
        # the published file has no times
        return ("synthetic",) if self.time and not self.path else self.sources
