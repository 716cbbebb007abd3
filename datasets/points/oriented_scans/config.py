"""Choices of scans and closed meshes for oriented normals; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import BenchError, DataConfig, File, option
from datasets.points.scans.config import CITATION, LICENCE, known
from datasets.points.scans.config import FILES as SHARED

FILES = {
    **{k: SHARED[k] for k in ("armadillo", "bunny", "cube", "fandisk")},
    "151A": File(
        "pcpnet_hough_shapes/151A_100k_noise0.npz",
        "6e70738f6e796b804cb700e2badfbe03ea6eed038b78ad140d0f1d7c9975d7ce",
        1585272,
    ),
    "151A_noisy": File(
        "pcpnet_hough_shapes/151A_100k_noise0.005.npz",
        "d7984f003689aa3dfe5bd1385264d6dd4e8fecfb8457d57d8d7105af9af1fd66",
        1711776,
    ),
    **{k: SHARED[k] for k in ("spot", "cow", "homer", "rocker-arm")},
    "cheburashka": File(
        "meshes/cheburashka.obj.gz", "fe142d67bb57f09659d9d988da16438a44cb4d5163e1903075ed4982ed9e593c", 167801
    ),
    "fandisk_mesh": File(
        "meshes/fandisk.obj.gz", "1eed14cf0731c939328a7725930a22327339969384224b2093d39570c928f7d6", 122508
    ),
}
# the normals of the other scans all lie on one side of a plane: lines, not outward normals
SIGNED = ("cube", "spot", "cow", "homer", "rocker-arm", "cheburashka", "fandisk_mesh")


@dataclass
class Config(DataConfig):
    """Scans (early PCPNet data) and watertight meshes sampled by area are tested; analytic closed shapes train and validate."""

    shapes: list[str] = option(lambda: list(FILES), "which shapes are tested, by name")
    points: int | None = option(
        None, "points of a cloud, drawn from its shape without repetition where it is a scan", low=16
    )
    train: int | None = option(None, "analytic training clouds", low=6)
    val: int | None = option(None, "analytic validation clouds", low=6)
    query: int | None = option(None, "scored points of each validation and test cloud", low=1)
    noise: list[float] = option(
        lambda: [0.0, 0.005, 0.01], "of the analytic clouds, as shares of the diagonal; nothing is added to the scans"
    )

    adapter: ClassVar[str] = "datasets.points.oriented_scans.adapter:load"
    kind: ClassVar[str] = "oriented_clouds"
    licence: ClassVar[str] = LICENCE
    citation: ClassVar[str] = CITATION

    def check(self) -> None:
        known(self.shapes, FILES)
        if not set(self.shapes) & set(SIGNED):
            raise BenchError(f"data.shapes needs one shape with outward normals: {', '.join(SIGNED)}")

    def files(self) -> tuple[File, ...]:
        return tuple(FILES[s] for s in self.shapes)
