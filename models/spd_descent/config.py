"""Choices of the descent experiment; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import MethodConfig, option


@dataclass
class Config(MethodConfig):
    """Gradient descent towards SPD targets with the best constant step, under one Riemannian metric."""

    metric: str = option("bw", "bw: Bures-Wasserstein; aim: affine-invariant", choices=("bw", "aim"))
    steps: list[float] = option(
        lambda: [0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.8, 1.2], "step sizes; the best one counts, for every metric"
    )
    tol: float = option(1e-3, "relative error that ends a run", low=0.0)
    cap: int = option(4000, "iterations after which a run counts as not converged", low=1)

    plugin: ClassVar[str] = "models.spd_descent.plugin:SpdDescent"
    accepts: ClassVar[tuple[str, ...]] = ("spd_objective",)
    margin: ClassVar[None] = None  # iterations have no trivial predictor
