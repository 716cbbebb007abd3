"""Choices of the simulated SPD clusters; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass

from bench.schema import option


@dataclass
class TwinConfig:
    """Class centres around a base point of stated condition number; distances are affine-invariant, so free of it."""

    n: int | None = option(None, "matrix size; null: that of the data it stands in for", low=2)
    classes: int | None = option(None, "classes; null: those of the data it stands in for", low=2)
    per_class: int = option(13, "training (with validation) matrices of each class, and as many for the test", low=4)
    kappa: float = option(1e3, "condition number of the base point", low=1.0, high=1e12)
    separation: float = option(1.0, "affine-invariant distance of a class centre from the base point", low=0.0)
    spread: float = option(2.0, "root mean square affine-invariant distance of a matrix from its centre", low=0.0)
    seed: int = option(0, "of everything random in it")
