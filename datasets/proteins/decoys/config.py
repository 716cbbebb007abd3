"""Choices of the simulated decoys; imports nothing heavy."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from bench.schema import option
from datasets.proteins.options import Proteins


@dataclass
class Config(Proteins):
    """Decoys of native backbones by noise on phi and psi; natives are procedural, or the PDB files of a folder. A fold is a draw of
    natives and decoys, split by native."""

    natives: str = option("", "folder of native *.pdb files, absolute or below $BENCH_DATA; empty: procedural chains")
    train: int | None = option(None, "training natives", low=1)
    val: int | None = option(None, "validation natives", low=1)
    test: int | None = option(None, "test natives", low=1)
    decoys: int | None = option(None, "decoys of each native", low=2)
    residues: int | None = option(None, "residues of a procedural chain", low=8)
    level: float = option(40.0, "degrees: the noise of a decoy is uniform between 0 and this", low=0.1, high=180.0)
    share: float = option(0.5, "share of the residues whose torsion angles are perturbed", low=0.01, high=1.0)
    spread: float = option(
        0.0, "degrees: standard deviation of phi and psi of procedural helices and strands about their centres", low=0.0
    )
    splits: int | None = option(None, "folds", low=1)

    adapter: ClassVar[str] = "datasets.proteins.decoys.adapter:load"
    kind: ClassVar[str] = "protein_models"
    sources: ClassVar[tuple[str, ...]] = ("simulated",)
    licence: ClassVar[str] = "none needed: made by formula; PDB files, where given, are CC0"

    def folds(self) -> list[str]:
        return [str(i) for i in range(self.splits or 1)]

    def folder(self) -> Path:
        """The folder of the natives; a relative path is taken below $BENCH_DATA."""
        return Path(os.environ.get("BENCH_DATA") or ".").expanduser().absolute() / Path(self.natives).expanduser()
