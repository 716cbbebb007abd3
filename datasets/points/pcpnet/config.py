"""Choices of PCPNet-style folders; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from bench.schema import DataConfig, option

CATEGORIES = ("no_noise", "low_noise", "med_noise", "high_noise", "vardensity_striped", "vardensity_gradient")


@dataclass
class Config(DataConfig):
    """A folder with list/<list>.txt of shape names and <shape>.xyz, .normals, .pidx, as PCPNet and FamousShape are published."""

    folder: str = option("PCPNet", "folder under the data root")
    train_list: str = option("trainingset_whitenoise", "list of the training shapes")
    val_list: str = option("validationset_whitenoise", "list of the validation shapes")
    test_lists: list[str] = option(
        lambda: [f"testset_{c}" for c in CATEGORIES], "lists of the test shapes, one for each category"
    )
    query: int | None = option(None, "scored points of each shape where it has no .pidx file", low=1)
    twin: int = option(1300, "points of a cloud of the stand-in", low=16)

    adapter: ClassVar[str] = "datasets.points.pcpnet.adapter:load"
    kind: ClassVar[str] = "oriented_clouds"
    stand_in: ClassVar[tuple[str, ...]] = ("twin",)
    licence: ClassVar[str] = "PCPNet: research use; the shapes belong to their authors"
    citation: ClassVar[str] = (
        "guerrero2018pcpnet: Guerrero et al., PCPNet: Learning Local Shape Properties, Eurographics 2018"
    )

    def present(self, root: Path, cache: Path) -> bool:
        return (Path(root) / self.folder / "list" / f"{self.train_list}.txt").is_file()

    def where(self, root: Path, cache: Path) -> str:
        return str(Path(root) / self.folder / "list" / f"{self.train_list}.txt")
