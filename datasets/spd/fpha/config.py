"""Choices of FPHA; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import File
from datasets.spd.skeleton_config import SkeletonConfig

FILE = File(
    "fpha_cov63/fpha_cov63.npz",
    "065e99741dd6c18f5c39e8a36ad1935f034558bbef0223209697d0202209c3d2",
    8096946,
)


@dataclass
class Config(SkeletonConfig):
    """63 x 63 covariances of 21 hand joints in 1175 sequences, 45 actions; the published split is 600 / 575.

    As published: the regularisation floor of the source keeps every condition number below 1000, one test matrix is all
    zeros, and three test matrices are copies of training ones (`facts.test_in_train`).
    """

    citation: ClassVar[str] = (
        "garciahernando2018fpha: Garcia-Hernando, Yuan, Baek, Kim, First-Person Hand Action Benchmark with RGB-D Videos and "
        "3D Hand Pose Annotations, CVPR 2018; covariances from GitWR/SMDML on GitHub, commit cd3b39c7"
    )
    n: ClassVar[int] = 63
    classes: ClassVar[int] = 45
    sizes: ClassVar[tuple[int, int]] = (600, 575)

    def files(self) -> tuple[File, ...]:
        return (FILE,)
