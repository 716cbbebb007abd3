"""Choices of the regression baselines; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import MethodConfig, option


@dataclass
class Config(MethodConfig):
    """Regression on the entries of the samples; penalty and scale by five-fold cross-validation on the training split."""

    algorithm: str = option(
        "linear",
        "linear: ridge regression; gaussian: kernel ridge with a Gaussian kernel; pca: ridge on principal components",
        choices=("linear", "gaussian", "pca"),
    )
    folds: int = option(5, "parts of the cross-validation", low=2)

    plugin: ClassVar[str] = "models.kernel_ridge.plugin:Baseline"
    accepts: ClassVar[tuple[str, ...]] = ("hypercube",)
    margin: ClassVar[float | None] = None  # a target without a linear part leaves the linear ones nothing to find
