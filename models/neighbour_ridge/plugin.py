"""Ridge regression on neighbour counts as a method of the harness."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.linear_model import Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from bench.schema import Bundle, Metric, Result, SolverMethod
from models.neighbour_ridge.config import Config


class NeighbourRidge(SolverMethod):
    cfg: Config

    def fit(self, bundle: Bundle, ctx: Any) -> None:
        tried = [self._model(bundle, penalty) for penalty in self.cfg.penalties]
        errors = [float(np.mean((m.predict(bundle.val.features) - bundle.val.y) ** 2)) for m in tried]
        self.error = min(errors)
        self.model = tried[errors.index(self.error)]

    @staticmethod
    def _model(bundle: Bundle, penalty: float) -> Pipeline:
        train = bundle.train
        return make_pipeline(StandardScaler(), Ridge(alpha=penalty)).fit(train.features.astype(np.float64), train.y)

    def evaluate(self, bundle: Bundle, ctx: Any) -> Result:
        return Result(
            predictions={"y": self.model.predict(bundle.test.features.astype(np.float64))},
            params=bundle.test.features.shape[1] + 1,
            n_trials=len(self.cfg.penalties),
            validation=Metric("val_loss", self.error, "lower", "score^2"),
        )
