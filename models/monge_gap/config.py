"""Choices of the regularised transport map; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import MethodConfig, option


@dataclass
class Config(MethodConfig):
    """An MLP fitted to the target by the Sinkhorn divergence, plus the Monge gap times its strength."""

    strength: float = option(1.0, "lambda, weight of the Monge gap over the mean cost; 0: none", low=0.0)
    residual: bool = option(False, "T(x) = x + MLP(x) instead of MLP(x)")
    hidden: list[int] | None = option(None, "widths of the hidden layers; null: by scale")
    reference: str = option(
        "source",
        "rho, where the gap is measured: source samples, or box, uniform on their bounding box",
        choices=("source", "box"),
    )
    form: str = option("kl", "convention of the entropic cost; no gradient depends on it", choices=("kl", "ent"))
    fit_epsilon: float = option(
        0.05, "regularisation of the divergence, over the mean cost within the target", low=1e-6
    )
    gap_epsilon: float = option(0.01, "regularisation of the gap, over the mean cost from source to target", low=1e-6)
    tol: float = option(1e-2, "on the marginals of every plan in training", low=1e-9)
    iterations: int = option(100, "of Sinkhorn's algorithm at most", low=1)
    steps: int | None = option(None, "optimiser steps; null: by scale", low=1)
    batch: int | None = option(None, "samples of each measure in a step; null: by scale", low=2)
    lr: float | None = option(None, "first step size of Adam, cosine to 0; null: by scale", low=0.0)

    plugin: ClassVar[str] = "models.monge_gap.plugin:MongeGap"
    accepts: ClassVar[tuple[str, ...]] = ("transport",)
    margin: ClassVar[float | None] = None  # a map without the gap may well lie behind the shift
