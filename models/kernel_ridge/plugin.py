"""The regression baselines as methods of the harness."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.schema import Bundle, Metric, Result, SolverMethod
from models.kernel_ridge.config import Config

PENALTIES = np.logspace(-3, 3, 13)
SCALES = np.logspace(-3, 1, 9)  # gamma of the Gaussian kernel, times the number of coordinates


class Baseline(SolverMethod):
    cfg: Config

    def skip(self, bundle: Bundle) -> str | None:
        if len(bundle.train) < self.cfg.folds:
            return f"{len(bundle.train)} labelled samples cannot be cut into {self.cfg.folds} parts; set method.folds lower"
        return None

    def fit(self, bundle: Bundle, ctx: Any) -> None:
        from sklearn.decomposition import PCA
        from sklearn.kernel_ridge import KernelRidge
        from sklearn.linear_model import Ridge
        from sklearn.model_selection import GridSearchCV, KFold
        from sklearn.pipeline import make_pipeline

        x, y = np.asarray(bundle.train.x), np.asarray(bundle.train.y)
        d = x.shape[1]
        estimator: Any
        if self.cfg.algorithm == "linear":
            estimator, grid = Ridge(), {"alpha": PENALTIES}
        elif self.cfg.algorithm == "gaussian":
            estimator, grid = KernelRidge(kernel="rbf"), {"alpha": PENALTIES, "gamma": SCALES / d}
        else:
            estimator = make_pipeline(PCA(), Ridge())
            grid = {"pca__n_components": sorted({1, d // 4, d // 2, 3 * d // 4, d} - {0}), "ridge__alpha": PENALTIES}
        shift = y.mean()  # the kernel ridge of scikit-learn has no intercept
        parts = KFold(self.cfg.folds, shuffle=True, random_state=ctx.seed("parts") % 2**32)
        self.search = GridSearchCV(estimator, grid, cv=parts, scoring="neg_mean_squared_error").fit(x, y - shift)
        self.shift = shift

    def evaluate(self, bundle: Bundle, ctx: Any) -> Result:
        error = -float(self.search.best_score_)
        return Result(
            {"y": self.search.predict(np.asarray(bundle.test.x)) + self.shift},
            n_trials=len(self.search.cv_results_["params"]),
            validation=Metric("cross_validation", error, "lower", "1"),
        )
