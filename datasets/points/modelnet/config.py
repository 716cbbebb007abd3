"""Choices of class folders of meshes; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from bench.schema import option
from datasets.points.options import PointsConfig


@dataclass
class Config(PointsConfig):
    """Meshes in <folder>/<class>/{train,test}/*.off, as ModelNet10 and ModelNet40 are published, sampled by area."""

    folder: str = option("ModelNet40", "folder under the data root")
    limit: int | None = option(None, "meshes per class and split; null: all of them", low=2)
    val_share: float = option(0.1, "share of each class's training meshes that validates", low=0.01, high=0.5)

    adapter: ClassVar[str] = "datasets.points.modelnet.adapter:load"
    licence: ClassVar[str] = "ModelNet: academic use only; the models belong to their authors"
    citation: ClassVar[str] = (
        "wu2015modelnet: Wu et al., 3D ShapeNets: A Deep Representation for Volumetric Shapes, CVPR 2015"
    )

    def present(self, root: Path, cache: Path) -> bool:
        return any((Path(root) / self.folder).glob("*/train"))

    def where(self, root: Path, cache: Path) -> str:
        return str(Path(root) / self.folder / "<class>" / "train" / "*.off")
