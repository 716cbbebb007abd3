"""Choices of rotation regression; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import BenchError, MethodConfig, option

REPRESENTATIONS = (
    "6d", "5d", "quaternion", "quaternion_half", "axis_angle", "rodriguez", "rotation_vector", "euler", "euler_sin_cos", "hopf", "matrix",
)  # fmt: skip


@dataclass
class Config(MethodConfig):
    """A network whose last layer is a representation of rotations: of a matrix, of a pair of point clouds, of a skeleton's joints."""

    representation: str = option("6d", "what the last layer gives", choices=REPRESENTATIONS)
    loss: str = option("l2", "l2: mean squared entry of R_hat - R; geodesic: mean angle", choices=("l2", "geodesic"))
    svd: bool = option(
        False, "matrix only: project in training too; false: raw entries in training, projected in the test"
    )
    steps: int | None = option(None, "optimiser steps", low=1)
    batch: int | None = option(None, "null: 64; on point clouds 10 rotations of one shape", low=1)
    lr: float | None = option(None, "step size of Adam, the largest one where it varies", low=0.0)
    schedule: str | None = option(
        None,
        "one_cycle, or released: a tenth from step 10,000 on (matrices), constant (others)",
        choices=("one_cycle", "released"),
    )
    width: int | None = option(
        None, "hidden width; null: 128 (matrices), 1024 (pooled feature of clouds, poses)", low=2
    )
    official_parity: bool = option(
        False,
        "as released: Gram-Schmidt for matrix, tanh for euler_sin_cos, twice the angle for axis_angle on clouds, arccos of the trace",
    )

    plugin: ClassVar[str] = "models.rot6d.plugin:RotationRegression"
    accepts: ClassVar[tuple[str, ...]] = ("rotations", "rotated_clouds", "poses")
    margin: ClassVar[float] = 20.0  # degrees

    def check(self) -> None:
        if self.svd and self.representation != "matrix":
            raise BenchError(f"method.svd=true projects raw matrices; {self.representation} has none, set svd=false")
