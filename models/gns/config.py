"""Choices of the deterministic minimisers; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import BenchError, MethodConfig, option

ALGORITHMS = ("gns", "gradient", "fast_gradient", "cubic_newton", "super_newton", "scipy")
SCIPY = ("trust-exact", "trust-ncg", "trust-krylov", "dogleg", "Newton-CG", "BFGS", "L-BFGS-B")
SECOND_ORDER = ("gns", "cubic_newton", "super_newton")


@dataclass
class Config(MethodConfig):
    """Minimise an objective: Newton's method with gradient-normalised smoothness (GNS), or one of its baselines."""

    algorithm: str = option("gns", "the minimiser", choices=ALGORITHMS)
    curvature: str = option(
        "exact",
        "second-order model H: exact Hessian, Gauss-Newton, Fisher, or zero (normalised gradient)",
        choices=("exact", "gauss_newton", "fisher", "zero"),
    )
    norm: str = option("problem", "matrix B of the norm: the problem's own, or I", choices=("problem", "identity"))
    solver: str = option(
        "structured",
        "structured: banded Cholesky and Sherman-Morrison where H allows; dense: one Cholesky of H + lambda B",
        choices=("structured", "dense"),
    )
    scipy_method: str = option("trust-exact", "method of scipy.optimize.minimize", choices=SCIPY)
    max_iter: int | None = option(None, "iterations at most", low=1)
    gap_tol: float = option(1e-8, "stop at f - f* below this, where f* is known; 0: never", low=0.0)
    grad_tol: float = option(0.0, "stop at a dual gradient norm below this; 0: never", low=0.0)
    gamma: float = option(1.0, "first bound gamma on the step length (gns)", low=1e-12)
    first: float = option(1.0, "first constant of the other methods: L, M or H", low=1e-12)
    power: float = option(1.0, "alpha in lambda = H ||g||^alpha (super_newton)", low=0.0, high=2.0)
    marks: list[int] = option(list, "iterations k whose value f(x_k) becomes a metric value_at_k")
    official_parity: bool = option(
        False, "as the released code: the last trial is taken even when none was accepted, also after a failed Cholesky"
    )

    plugin: ClassVar[str] = "models.gns.plugin:Minimiser"
    accepts: ClassVar[tuple[str, ...]] = ("objective",)
    margin: ClassVar[float] = 0.0

    def check(self) -> None:
        if any(k < 1 for k in self.marks):
            raise BenchError(f"method.marks={self.marks}: iterations count from 1")
        if self.curvature != "exact" and self.algorithm not in SECOND_ORDER:
            raise BenchError(f"method.curvature={self.curvature}: {self.algorithm} has no choice of H; drop the word")
