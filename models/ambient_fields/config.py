"""Choices of the channel-wise interpolations; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import MethodConfig, option


@dataclass
class Config(MethodConfig):
    """Each ambient component of the vectors is a scalar function of the point, regressed by itself."""

    algorithm: str = option(
        "rbf",
        "rbf: Gaussian process with a Gaussian kernel (scikit-learn); spline: thin-plate spline (scipy), smoothing by cross-validation",
        choices=("rbf", "spline"),
    )
    input: str = option(
        "modes",
        "rbf: modes of the graph's scalar Laplacian, or positions; a spline takes positions",
        choices=("modes", "positions"),
    )
    modes: int | None = option(None, "lowest modes of the scalar Laplacian", low=1)
    neighbours: int = option(10, "of the graph", low=2)
    tangent: bool = option(False, "keep the tangent part of the prediction, in frames of the cloud")

    plugin: ClassVar[str] = "models.ambient_fields.plugin:AmbientField"
    accepts: ClassVar[tuple[str, ...]] = ("vector_field",)
    margin: ClassVar[float] = 0.1
