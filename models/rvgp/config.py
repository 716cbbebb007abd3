"""Choices of the vector-field Gaussian process; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import MethodConfig, option


@dataclass
class Config(MethodConfig):
    """Gaussian process of tangent fields on the lowest modes of the connection Laplacian of all points (transductive in positions)."""

    neighbours: int = option(10, "of the graph; tangent frames take half as many again", low=2)
    modes: int | None = option(None, "lowest modes of the connection Laplacian that carry the kernel", low=1)
    kernel: str = option("matern", "shape of the spectrum", choices=("matern", "se"))
    explained: float = option(0.8, "share of variance that sets the dimension of the surface", low=0.1, high=1.0)
    dim: int | None = option(None, "dimension of the surface; null: estimated", low=1)
    laplacian: str = option("none", "normalisation: none, or random walk (rw)", choices=("none", "rw"))
    bridge: bool = option(False, "join pieces of the graph by their shortest edges instead of refusing")
    nu: float = option(1.5, "smoothness; start of the search", low=0.05, high=20.0)
    kappa: float = option(5.0, "length scale; start of the search", low=0.01, high=400.0)
    sigma_f: float = option(1.0, "variance of the kernel; start of the search", low=1e-8)
    noise: float = option(1.0, "variance of the noise over the mean square of the data; start of the search", low=1e-6)
    optimise: bool = option(True, "maximise the marginal likelihood; false: keep the starts")
    steps: int = option(1000, "of the search, at most", low=1)
    official_parity: bool = option(
        False, "as the official code: a fifth of the known points is held out and never trained on"
    )

    plugin: ClassVar[str] = "models.rvgp.plugin:RVGP"
    accepts: ClassVar[tuple[str, ...]] = ("vector_field",)
    margin: ClassVar[float] = 0.2
