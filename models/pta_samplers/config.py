"""Choices of the baselines of pta_flow; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import option
from models.pta_flow.config import PosteriorConfig


@dataclass
class Config(PosteriorConfig):
    """Posterior and evidence without a flow."""

    algorithm: str = option(
        "mcmc",
        "mcmc: emcee, differential evolution, no evidence; nested: dynesty; laplace: normal about the mode; quadrature: midpoint rule, two "
        "parameters at most",
        choices=("mcmc", "nested", "laplace", "quadrature"),
    )
    live: int | None = option(None, "live points of nested sampling; null: by scale", low=20)
    dlogz: float = option(0.1, "evidence left over where nested sampling stops, in nat", low=1e-4)
    points: int = option(64, "cells along each axis of the quadrature", low=20)

    plugin: ClassVar[str] = "models.pta_samplers.plugin:Baseline"
    margin: ClassVar[float | None] = 0.0

    def parts(self) -> tuple[str, ...]:
        return ("pta_flow",)
