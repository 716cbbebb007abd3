"""Choices of the augmented covariance method; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import BenchError, MethodConfig, option


@dataclass
class Config(MethodConfig):
    """Covariances of delay-embedded trials with tangent space + SVM or MDM; (order, lag) chosen inside the training trials."""

    classifier: str = option(
        "ts_svm",
        "ts_svm: tangent space at the affine-invariant mean, support vector machine; mdm: minimum distance to the mean",
        choices=("ts_svm", "mdm"),
    )
    selection: str = option(
        "nested",
        "how (order, lag) are chosen: nested grid, fixed, mdop or ami_fnn on the training signals, or unnested: the preprint's "
        "grid search that sees the test labels, an optimistic protocol kept for comparison",
        choices=("nested", "fixed", "mdop", "ami_fnn", "unnested"),
    )
    order: int = option(4, "embedding dimension p of selection=fixed", low=1)
    lag: int = option(4, "delay tau in samples of selection=fixed", low=1)
    orders: list[int] | None = option(None, "grid of p; mdop and ami_fnn stay below its largest value")
    lags: list[int] | None = option(None, "grid of tau in samples; mdop and ami_fnn stay below its largest value")
    c: list[float] = option(lambda: [0.5, 1.0, 1.5], "values of the SVM's C; the best on the inner folds is used")
    kernels: list[str] = option(lambda: ["linear", "rbf"], "kernels of the SVM; the best on the inner folds is used")
    inner_folds: int = option(3, "stratified parts of the training trials for the grid search", low=2)
    inner_seed: int = option(42, "seed of their shuffling", low=0)
    estimator: str = option(
        "cov", "covariance of one trial: sample (mean removed, / (T - 1)) or shrunk", choices=("cov", "lwf", "oas")
    )
    deficient: str = option(
        "error",
        "when a trial is too short for channels x order: stop, shrink that (order, lag), or leave it out of the grid",
        choices=("error", "lwf", "oas", "leave_out"),
    )
    series: int = option(64, "single-channel signals drawn for mdop and ami_fnn", low=1)
    fnn_threshold: float = option(0.05, "mdop stops at this share of false neighbours", low=0.0, high=1.0)
    saturation: float = option(0.1, "ami_fnn takes the first order with Cao's E1 above 1 minus this", low=0.0, high=1.0)

    plugin: ClassVar[str] = "models.acm.plugin:ACM"
    accepts: ClassVar[tuple[str, ...]] = ("eeg_trials",)
    margin: ClassVar[float] = 0.1

    def parts(self) -> tuple[str, ...]:
        return ("riemann",)

    def check(self) -> None:
        for name in ("orders", "lags", "c", "kernels"):
            values = getattr(self, name)
            if values is not None and (not values or len(set(values)) < len(values)):
                raise BenchError(f"method.{name}={values} must hold one or more different values")
        for name in ("orders", "lags"):
            if any(v < 1 for v in getattr(self, name) or []):
                raise BenchError(
                    f"method.{name}={getattr(self, name)}: orders and lags count from 1; drop what is below"
                )
        if any(v <= 0 for v in self.c):
            raise BenchError(f"method.c={self.c}: C of the SVM must be positive")
        if unknown := sorted(set(self.kernels) - {"linear", "rbf"}):
            raise BenchError(f"method.kernels has {', '.join(unknown)}; choose among linear, rbf")
