"""Choices of UAV-Human; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import File, option
from datasets.spd.skeleton_config import SkeletonConfig

FILE = File(
    "uav_human_cov51_40c/uav_human_cov51_40c.npz",
    "02f01a75fd7eae723eb7ca0e183c9c028ca855c943eb6cc31d013c2b5304db12",
    22647902,
)


@dataclass
class Config(SkeletonConfig):
    """51 x 51 covariances of 17 joints in 5108 sequences of the first 41 of 155 actions; the authors' folders: 4089 / 1019.

    The file's labels run from -1 (folder 0 of the source) to 39, which makes 41 classes; here 0 to 40.
    """

    resplits: int = option(0, "folds beside the published split: random halves with the classes in proportion", low=0)

    citation: ClassVar[str] = (
        "li2021uavhuman: Li, Liu, Zhang, Ni, Wang, Li, UAV-Human: A Large Benchmark for Human Behavior Understanding with "
        "Unmanned Aerial Vehicles, CVPR 2021; covariances from GitWR/U-SPDNet on GitHub, commit 8ff51041"
    )
    n: ClassVar[int] = 51
    classes: ClassVar[int] = 41
    sizes: ClassVar[tuple[int, int]] = (4089, 1019)
    shift: ClassVar[int] = 1

    def files(self) -> tuple[File, ...]:
        return (FILE,)
