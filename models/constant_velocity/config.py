"""Choices of constant velocity; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import MethodConfig, option


@dataclass
class Config(MethodConfig):
    """Position k steps ahead is k times the mean displacement of the last steps. Nothing is learned."""

    steps: int = option(1, "last steps that the velocity is averaged over", low=1)

    plugin: ClassVar[str] = "models.constant_velocity.plugin:ConstantVelocity"
    accepts: ClassVar[tuple[str, ...]] = ("trajectories",)
    margin: ClassVar[float] = 0.1  # metres
