"""Choices of the networks with exchangeable products; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import BenchError, TrainConfig, option

TABLE = 40  # highest degree of any table, models.geometry.spherical.MAX_DEGREE


@dataclass
class Config(TrainConfig):
    """Equivariant message passing whose tensor product is Gaunt's or Clebsch-Gordan's, on particles and on molecules."""

    product: str = option(
        "gaunt",
        "gaunt; cg_even: Clebsch-Gordan over the same paths, each with a weight; cg: all paths (rotations only)",
        choices=("gaunt", "cg_even", "cg"),
    )
    backend: str = option(
        "auto",
        "how Gaunt products are computed; the same numbers up to rounding",
        choices=("auto", "dense", "grid", "sphere", "separable", "fourier", "convolution"),
    )
    degree: int | None = option(None, "highest degree of features and of the harmonics of edges", low=1)
    width: int | None = option(None, "channels of each degree", low=1)
    layers: int | None = option(None, "rounds of messages", low=1)
    order: int | None = option(None, "factors of the products that a node takes of its collected messages", low=1)
    cutoff: float = option(5.0, "molecules: distance up to which atoms send messages (angstrom)", low=0.5)
    batch: int | None = option(None, "samples per optimiser step, over all devices together", low=1)
    lr: float | None = option(None, "step size of Adam; decays along a cosine where decay is on", low=0.0)
    decay: bool = option(True, "molecules: cosine decay of the step size to 1 %")
    weight_decay: float | None = option(None, "of Adam", low=0.0)
    ema: float | None = option(
        None, "decay of a moving average of the weights, which is then what is tested; null: none", low=0.0, high=0.9999
    )
    energy_weight: float = option(1.0, "molecules: of the squared energy error per atom (eV)", low=0.0)
    force_weight: float | None = option(
        None, "molecules: of the squared error of force components (eV/angstrom)", low=0.0
    )
    meter: int = option(16, "particles: test samples on which the equivariance error is measured, in float64", low=1)

    plugin: ClassVar[str] = "models.gaunt_tp.plugin:ProductNetwork"
    accepts: ClassVar[tuple[str, ...]] = ("nbody", "molecules")
    margin: ClassVar[float] = 0.0

    def check(self) -> None:
        if self.degree and 3 * self.degree > TABLE:
            raise BenchError(
                f"method.degree={self.degree} is above what the tables of coefficients hold; take at most {TABLE // 3}"
            )
