"""Choices of folders of meshes; imports nothing heavy."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from bench.schema import BenchError, DataConfig, option


@dataclass
class Config(DataConfig):
    """Meshes with nodal fields, in the layout of their publishers, below the data root; notched plates stand in where they are absent."""

    path: str = option("tensile2d", "folder below the data root")
    layout: str = option(
        "plaid",
        "plaid: CGNS files and scalars.csv; airfrans: VTU files and manifest.json",
        choices=("plaid", "airfrans"),
    )
    train: str = option("train_500", "name of the training split in the publisher's list")
    test: str = option("test", "name of the test split")
    limit: int | None = option(None, "samples of each split, at most; null: all", low=2)
    fields: list[str] = option(lambda: ["U1", "U2"], "nodal fields to predict; airfrans: U_x, U_y, p, nut")
    inputs: list[str] = option(
        lambda: ["P", "p1", "p2", "p3", "p4", "p5"], "scalars that are given; airfrans has its own two"
    )
    outputs: list[str] = option(
        lambda: ["max_von_mises", "max_U2_top", "max_sig22_top"], "scalars to predict; airfrans has none"
    )

    adapter: ClassVar[str] = "datasets.mesh_folder.adapter:load"
    kind: ClassVar[str] = "mesh_fields"
    sources: ClassVar[tuple[str, ...]] = ("real", "synthetic")
    licence: ClassVar[str] = "Tensile2d, Rotor37: CC-BY-SA 4.0; AirfRANS: ODbL 1.0; as their pages say"
    citation: ClassVar[str] = (
        "casenave2023mmgp: Casenave et al., NeurIPS 2023; bonnet2022airfrans: Bonnet et al., NeurIPS 2022"
    )

    def listing(self) -> tuple[str, ...]:
        """Files of which one must be there: the publisher's list of splits."""
        if self.layout == "airfrans":
            return ("manifest.json",)
        return ("problem_definition/split.json", "problem_definition/split.csv")

    def present(self, root: Path, cache: Path) -> bool:
        return any((root / self.path / name).is_file() for name in self.listing())

    def where(self, root: Path, cache: Path) -> str:
        return f"{root / self.path} ({' or '.join(self.listing())})"

    def declared(self) -> str:
        """The folder's name and layout; the samples themselves are in the fingerprint of a row."""
        return hashlib.sha256(f"{self.path} {self.layout}".encode()).hexdigest()[:16]

    def check(self) -> None:
        if not self.fields:
            raise BenchError("data.fields is empty; name at least one nodal field")
