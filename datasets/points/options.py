"""Choices that all point-cloud data share; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import DataConfig, option

POSES = ("upright", "rotated", "moved")


@dataclass
class PointsConfig(DataConfig):
    """Clouds of equal size, centred and of root mean square radius 1; the test split holds each cloud upright and posed."""

    target: str = option(
        "class", "what is predicted: the class of the cloud, or the normal of each point", choices=("class", "normals")
    )
    points: int | None = option(None, "points of a cloud", low=3)
    train_pose: str = option("upright", "pose of the training and validation clouds", choices=POSES)
    test_pose: str = option(
        "rotated", "second pose of the test clouds; moved: rotated, scaled by 3 and translated", choices=POSES
    )

    kind: ClassVar[str] = "points"
