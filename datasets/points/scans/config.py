"""Choices of the scanned shapes and meshes; imports nothing heavy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from bench.schema import BenchError, File, option
from datasets.points.options import PointsConfig

_SCANS = {
    "armadillo": ("e4e2e2bab70da3e0004b0dedd57be6f2d0a983e6dc565a386cc444141591a14f", 2211060),
    "bunny": ("2fe6012a356c15d8cdbc037729e6dd0bec7ba2036e0c7920309df913802db2a2", 2182103),
    "cube": ("ceacb93965d9d82c53443879c95108093c0978ad2ffba88ccddd9428fb303000", 980639),
    "fandisk": ("e89e47d6a15dc13e3508ce6cfe9a4c354822e77b87820e576fe84ebf10f0c3b1", 1833019),
}
_MESHES = {
    "spot": ("c4a341c35df4f716b24088061c78a6ed1df033e99b9601049edcb46183ec8bcb", 106948),
    "cow": ("371ee9c50ee0037cc780e89231d0e63f6147303e8d2403f0ee34d4162cd82d6a", 58658),
    "rocker-arm": ("71735331286ef5d720894ade6a1c677dce74001b15a15bcfe11ba50f581f0c13", 207480),
    "homer": ("d3038f1f4a6565b1189bd9b45bf89bd09c4009476eaf082b1be81f1c360ae215", 129034),
    "teapot": ("4c7d9bee2b67da4855ca74fc095a2bd80af53ea7be11013bc9da650ad92d423b", 52592),
}


def _files() -> dict[str, File]:
    scans = {k: File(f"pcpnet_hough_shapes/{k}100k.npz", *v) for k, v in _SCANS.items()}
    return scans | {k: File(f"meshes/{k}.obj.gz", *v) for k, v in _MESHES.items()}


FILES = _files()
LICENCE = (
    "the source repositories have no licence file; research use only. spot is by Keenan Crane, "
    "the bunny from the Stanford 3D Scanning Repository"
)
CITATION = "guerrero2018pcpnet: Guerrero et al., PCPNet, Eurographics 2018; data: hexygen/pcpnet, alecjacobson/common-3d-test-models"


def known(shapes: Sequence[str], files: Mapping[str, File]) -> None:
    """Raise BenchError for a name that has no file."""
    unknown = [s for s in shapes if s not in files]
    if unknown:
        raise BenchError(f"data.shapes has {unknown[0]!r}; there is {', '.join(files)}")


@dataclass
class Config(PointsConfig):
    """Clouds from point scans (PCPNet line of data) and meshes (sampled by area); a fold tests on one shape and trains on the others."""

    target: str = option(
        "normals", "what is predicted: the shape's name, or the normal of each point", choices=("class", "normals")
    )
    shapes: list[str] = option(lambda: list(FILES), "which shapes, by name")
    clouds: int | None = option(None, "training clouds of each shape; the test shape gives as many", low=4)

    adapter: ClassVar[str] = "datasets.points.scans.adapter:load"
    licence: ClassVar[str] = LICENCE
    citation: ClassVar[str] = CITATION

    def check(self) -> None:
        known(self.shapes, FILES)
        if len(self.shapes) < 2:
            raise BenchError("data.shapes needs two names at least: one is tested and the others train")

    def folds(self) -> list[str]:
        return list(self.shapes) if self.target == "normals" else ["0"]

    def files(self) -> tuple[File, ...]:
        return tuple(FILES[s] for s in self.shapes)
