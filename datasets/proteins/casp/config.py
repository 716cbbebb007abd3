"""Choices of the CASP data; only names of files are read here."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from bench.schema import BenchError, MissingData, option
from datasets.proteins.options import Proteins
from datasets.proteins.pdb import RULES

ENDINGS = (".pdb", ".pdb.gz")


@dataclass
class Config(Proteins):
    """Server models of CASP. Below `path` lie <edition>/targets/<target>.pdb and <edition>/models/<target>/<any name>, as the
    archives of the prediction centre unpack; a fold tests one edition, and the training editions are the same for all."""

    path: str = option("", "folder of the editions, absolute or below $BENCH_DATA; empty: a stand-in made by code")
    train: list[str] = option(lambda: ["CASP8", "CASP9", "CASP10", "CASP11"], "editions that train")
    test: list[str] = option(lambda: ["CASP12", "CASP13"], "editions that are tested, each a fold")
    val_share: float = option(0.1, "share of the training targets that validate, the last by name", low=0.0, high=0.5)
    per_target: int | None = option(None, "models of each target, the first by name; null: all", low=2)
    incomplete: str = option(
        "error", "a residue without N, CA or C: an error, or drop it from the native and all models", choices=RULES
    )
    twin_targets: int | None = option(None, "targets of each split of the stand-in", low=1)
    twin_residues: int | None = option(None, "residues of each target of the stand-in", low=8)

    stand_in: ClassVar[tuple[str, ...]] = ("twin_targets", "twin_residues")
    adapter: ClassVar[str] = "datasets.proteins.casp.adapter:load"
    kind: ClassVar[str] = "protein_models"
    licence: ClassVar[str] = (
        "CASP: predictions and targets of predictioncenter.org, free for research; nothing is downloaded here"
    )
    citation: ClassVar[str] = (
        "moult2018casp12: Moult et al., Critical assessment of methods of protein structure prediction (CASP) - Round XII, Proteins 2018"
    )

    def check(self) -> None:
        if not self.train or not self.test:
            raise BenchError("data.train and data.test each need one or more editions, e.g. data.test=[CASP12]")
        both = set(self.train) & set(self.test)
        if both:
            raise BenchError(f"{min(both)} is in data.train and in data.test; its targets can serve one of them")

    def folds(self) -> list[str]:
        return list(self.test)

    def folder(self) -> Path:
        """The folder of the editions; a relative path is taken below $BENCH_DATA."""
        return Path(os.environ.get("BENCH_DATA") or ".").expanduser().absolute() / Path(self.path).expanduser()

    def targets(self, edition: str) -> dict[str, tuple[Path, list[Path]]]:
        """Name of each target of an edition -> its native structure and its models, in order of names."""
        home = self.folder() / edition
        out = {}
        for native in sorted(p for e in ENDINGS for p in (home / "targets").glob(f"*{e}")):
            name = native.name.partition(".")[0]
            models = sorted(p for p in (home / "models" / name).glob("*") if p.is_file() and not p.name.startswith("."))
            if models:
                out[name] = (native, models[: self.per_target])
        return out

    def available(self) -> tuple[str, ...]:
        """Nothing stands in for a folder that is named: a wrong path is a mistake, not a simulation."""
        return ("real",) if self.path else ("synthetic",)

    def present(self, root: Path, cache: Path) -> bool:
        if not self.path:
            return False
        empty = [e for e in (*self.train, *self.test) if not self.targets(e)]
        if empty:
            raise MissingData(
                f"data.path: {self.folder() / empty[0]} has no targets/<target>.pdb with models in models/<target>/; "
                "mend the path, or choose other editions with data.train and data.test"
            )
        return True

    def where(self, root: Path, cache: Path) -> str:
        return str(self.folder()) if self.path else "data.path, which is not given"

    def declared(self) -> str:
        """Names and sizes of the files: other models in the same folder are other cells."""
        files = [p for e in (*self.train, *self.test) for n, m in self.targets(e).values() for p in (n, *m)]
        sizes = [f"{p.relative_to(self.folder())} {p.stat().st_size}" for p in files]
        return hashlib.sha256("\n".join(sizes).encode()).hexdigest()[:16]
