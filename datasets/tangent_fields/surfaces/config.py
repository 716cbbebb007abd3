"""Choices of the fields on surfaces; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import BenchError, DataConfig, File, option

BUNNY = File(
    "meshes/rvgp_bunny_fine.obj.gz", "d6c41338a5718d5459858e9243f581647e9b3e44ef77b9f3e59ed4c9840b3a27", 347462
)


@dataclass
class Config(DataConfig):
    """A unit tangent field on a surface, known at some points. The field is drawn in every case; real means that the mesh is a scan.

    A fold draws field and split anew.
    """

    surface: str = option(
        "blob",
        "bunny (scan), or by formula: sphere, torus (radii 2 and 1), blob (a sphere with bumps, in place of the bunny)",
        choices=("bunny", "sphere", "torus", "blob"),
    )
    spacing: float | None = option(
        None, "gap between points over the largest distance; thins out the surface", low=0.005, high=0.3
    )
    field: str = option(
        "diffused",
        "diffused: random vectors after heat flow of the connection Laplacian; ambient: tangent part of smooth random "
        "waves in space, which knows no graph",
        choices=("diffused", "ambient"),
    )
    time: float = option(100.0, "of the heat flow", low=0.0)
    neighbours: int = option(10, "of the graph on which the field is diffused", low=3)
    share: float = option(0.5, "of the points whose vectors are known", low=0.02, high=0.98)
    replacement: bool = option(False, "draw the known points with replacement: fewer are distinct")
    hide: str = option(
        "random", "random points, or a disc around a zero of the field (inpainting)", choices=("random", "disc")
    )
    radius: float = option(0.12, "of the disc, over the largest distance", low=0.01, high=0.5)
    position_noise: float = option(
        0.0, "standard deviation of noise on the test points' coordinates, over the largest distance", low=0.0, high=0.2
    )
    draws: int = option(8, "number of folds", low=1)

    adapter: ClassVar[str] = "datasets.tangent_fields.surfaces.adapter:load"
    kind: ClassVar[str] = "vector_field"
    sources: ClassVar[tuple[str, ...]] = ("real", "simulated", "synthetic")
    licence: ClassVar[str] = (
        "the bunny is from the Stanford 3D Scanning Repository, its source repository (agosztolai/RVGP) has no licence file; "
        "research use only"
    )
    citation: ClassVar[str] = "peach2024rvgp: Peach et al., ICLR 2024; the Stanford bunny: Turk and Levoy 1994"

    def available(self) -> tuple[str, ...]:
        return ("real", "synthetic") if self.surface == "bunny" else ("simulated",)

    def files(self) -> tuple[File, ...]:
        return (BUNNY,) if self.surface == "bunny" else ()

    def folds(self) -> list[str]:
        return [f"draw{i}" for i in range(self.draws)]

    def check(self) -> None:
        if self.hide == "disc" and self.position_noise:
            raise BenchError("data.position_noise moves the points of a disc; use it with data.hide=random")
