"""Choices of the comparison of routes; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import MethodConfig, option

ROUTES = ("dense", "grid", "sphere", "separable", "fourier", "convolution", "auto", "e3nn")


@dataclass
class Config(MethodConfig):
    """Products of functions on the sphere by one route, in float64; nothing is learned."""

    backend: str = option(
        "auto", "the route; e3nn: the library's product over even paths, scaled to be the same", choices=ROUTES
    )
    turns: int = option(8, "random orthogonal matrices of the equivariance test, half of them of determinant -1", low=2)

    plugin: ClassVar[str] = "models.gaunt_products.plugin:Products"
    accepts: ClassVar[tuple[str, ...]] = ("sphere_functions",)
    margin: ClassVar[float] = 0.01

    def parts(self) -> tuple[str, ...]:
        return ("gaunt_tp",)
