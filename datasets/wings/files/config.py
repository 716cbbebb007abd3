"""Choices of own surface solutions; imports nothing heavy."""

from __future__ import annotations

import csv
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from bench.schema import BenchError, DataConfig, option

CONDITIONS = ("alpha", "mach", "reynolds")


@dataclass
class Config(DataConfig):
    """Pressure on own surfaces. A folder holds cases.csv, one line for each solution, and the files that it names.

    cases.csv has the columns file and alpha, and may have mach, reynolds, values (CSV of an STL or OBJ file) and group (the wing:
    solutions of one group are never split; default: the file). Fold i tests every `parts`-th group from i on and validates on the
    next ones. Without a path, generated wings with scattered points stand in.
    """

    path: str = option("", "the folder of cases.csv, absolute or below $BENCH_DATA")
    field: str = option("cp", "name of the pressure coefficient in the files")
    layout: str = option(
        "points",
        "points: `points` of each surface, drawn by area; grid: ordered Tecplot zones of one shape, kept whole",
        choices=("points", "grid"),
    )
    points: int | None = option(None, "points of a surface with layout=points", low=32)
    parts: int = option(5, "folds", low=3)
    crease: float = option(
        40.0, "angle, degrees, beyond which faces belong to different smooth pieces", low=1.0, high=179.0
    )
    least: int = option(
        32, "with layout=points: smooth pieces that would get fewer points are left out, and the run says so", low=1
    )
    starts: list[int] = option(
        list, "with layout=grid: rows at which a new smooth piece begins; nothing is differenced across"
    )
    closed: bool = option(False, "demand closed surfaces with outward normals")
    seed: int = option(0, "of the drawn points", low=0)

    adapter: ClassVar[str] = "datasets.wings.files.adapter:load"
    kind: ClassVar[str] = "surface_cp"
    licence: ClassVar[str] = "yours"

    def available(self) -> tuple[str, ...]:
        return ("real", "synthetic") if self.path else ("synthetic",)

    def folder(self) -> Path:
        """The folder; a relative path is taken below $BENCH_DATA."""
        return Path(os.environ.get("BENCH_DATA") or ".").expanduser().absolute() / Path(self.path).expanduser()

    def present(self, root: Path, cache: Path) -> bool:
        return (self.folder() / "cases.csv").is_file()

    def where(self, root: Path, cache: Path) -> str:
        return str(self.folder())

    def declared(self) -> str:
        table = self.folder() / "cases.csv"
        if not self.path or not table.is_file():
            return ""
        digest = hashlib.sha256(table.read_bytes())
        for name in sorted({v for c in self.cases() for v in (c["file"], c["values"]) if v}):
            file = self.folder() / name
            # contents enter the data's fingerprint; size and name are enough to tell cells apart
            digest.update(f"{name}:{file.stat().st_size if file.is_file() else -1}".encode())
        return digest.hexdigest()[:16]

    def folds(self) -> list[str]:
        return [str(i) for i in range(self.parts)]

    def cases(self) -> list[dict[str, str]]:
        """The lines of cases.csv, with group and values filled in. BenchError where a column or a number is missing."""
        path = self.folder() / "cases.csv"
        with path.open(newline="") as handle:
            lines = list(csv.DictReader(handle, skipinitialspace=True))
        for number, line in enumerate(lines, 2):
            for column in ("file", "alpha"):
                if not line.get(column):
                    raise BenchError(f"{path}: line {number} has no {column}; give file and alpha for each solution")
            for column in CONDITIONS:
                try:
                    float(line.get(column) or 0)
                except ValueError:
                    raise BenchError(f"{path}: line {number} has {column}={line[column]!r}; give a number") from None
            line["group"] = line.get("group") or line["file"]
            line["values"] = line.get("values") or ""
        if len({c["group"] for c in lines}) < self.parts:
            raise BenchError(
                f"{path} has {len({c['group'] for c in lines})} groups and data.parts={self.parts}; lower data.parts"
            )
        return lines
