"""Choices of the pyriemann baselines; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import MethodConfig, option


@dataclass
class Config(MethodConfig):
    """Covariances of trials (filter-bank-extended for SSVEP), or SPD matrices as they are, and a Riemannian classifier (pyriemann)."""

    classifier: str = option(
        "mdm",
        "mdm: minimum distance to the Riemannian mean; fgmdm: the same after geodesic filtering; ts_lr, ts_svm, ts_en: tangent "
        "space and logistic regression, support vector machine, elastic net; csp_lda, csp_svm: common spatial patterns",
        choices=("mdm", "ts_lr", "fgmdm", "ts_svm", "ts_en", "csp_lda", "csp_svm"),
    )
    filter_bank: str = option(
        "auto", "auto: on where the classes are flicker frequencies", choices=("auto", "on", "off")
    )
    half_widths: list[float] | None = option(
        None, "half widths of the bands in Hz; the best on training sessions is used"
    )
    harmonics: list[int] | None = option(
        None, "numbers of harmonics per frequency; the best on training sessions is used"
    )
    estimator: str = option(
        "lwf",
        "pyriemann covariance estimator; shrinkage keeps short trials definite; cov: mean removed, / (T - 1)",
        choices=("scm", "lwf", "oas", "sch", "cov"),
    )
    c: float = option(1.0, "inverse regularisation of the logistic regression", low=1e-6)
    inner_folds: int = option(3, "stratified parts of the training trials for the grids of csp, ts_svm, ts_en", low=2)

    plugin: ClassVar[str] = "models.riemann.plugin:Riemann"
    accepts: ClassVar[tuple[str, ...]] = ("eeg_trials", "spd_trials")
    margin: ClassVar[float] = 0.1
