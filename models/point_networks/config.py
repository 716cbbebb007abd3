"""Choices of the point-cloud networks; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import BenchError, TrainConfig, option


@dataclass
class Config(TrainConfig):
    """PointNet or DGCNN for classes or normals, with one of the ways to make it invariant or equivariant around it."""

    backbone: str = option("pointnet", "network on points", choices=("pointnet", "dgcnn"))
    size: str | None = option(
        None,
        "small: three point layers; paper: the widths of the frame-averaging paper",
        choices=(None, "small", "paper"),
    )
    tnets: bool = option(False, "PointNet's learned transforms, with their orthogonality loss (weight 0.001)")
    norm: bool | None = option(None, "batch normalisation")
    wrapper: str = option(
        "center",
        "center: centred, root mean square radius 1; frames: frame averaging; group: mean over random rotations; mds: MDS canonicalisation",
        choices=("center", "frames", "group", "mds"),
    )
    group: str = option("E(3)", "of frames and group average", choices=("E(3)", "SE(3)", "O(3)", "SO(3)"))
    samples: int = option(8, "random elements of wrapper=group", low=1)
    sign: str = option("moment", "sign rule of wrapper=mds", choices=("moment", "all", "random"))
    scale_rule: str = option("diameter", "scale of wrapper=mds", choices=("diameter", "rms", "none"))
    proper: bool = option(False, "wrapper=mds tells a cloud from its mirror image (sign=moment only)")
    votes: int = option(8, "random sign patterns averaged in evaluation by wrapper=mds sign=random", low=1)
    augment: bool = option(False, "turn every training cloud at random (SO(3) augmentation)")
    neighbours: int = option(16, "of DGCNN", low=1)
    batch: int | None = option(None, "clouds per optimiser step, over all devices together", low=1)
    lr: float | None = option(None, "step size of Adam", low=0.0)
    meter: int = option(8, "test clouds on which the equivariance error is measured, in float64", low=1)

    plugin: ClassVar[str] = "models.point_networks.plugin:PointNetwork"
    accepts: ClassVar[tuple[str, ...]] = ("points",)
    margin: ClassVar[float] = 0.0

    def parts(self) -> tuple[str, ...]:
        return ("tinvnn",) if self.wrapper == "mds" else ()

    def check(self) -> None:
        if self.tnets and self.backbone != "pointnet":
            raise BenchError("method.tnets=true needs method.backbone=pointnet; DGCNN has no such transforms")
        if self.proper and (self.wrapper, self.sign) != ("mds", "moment"):
            raise BenchError("method.proper=true needs method.wrapper=mds method.sign=moment")
