"""Choices of linear motion; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import MethodConfig, option


@dataclass
class Config(MethodConfig):
    """Each particle goes on with its velocity: x + a v, a fitted by least squares on the training split or set to the horizon."""

    fitted: bool = option(True, "fit a; false: a is the time between input and target")

    plugin: ClassVar[str] = "models.linear_motion.plugin:LinearMotion"
    accepts: ClassVar[tuple[str, ...]] = ("nbody",)
    margin: ClassVar[float] = 0.0
