"""Linear motion as a method of the harness."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from bench.schema import Bundle, Metric, Result, SolverMethod
from models.geometry.equivariance import EuclideanAction, equivariance_errors
from models.linear_motion.config import Config


class LinearMotion(SolverMethod):
    cfg: Config

    def fit(self, bundle: Bundle, ctx: Any) -> None:
        x, y = np.asarray(bundle.train.x, dtype=np.float64), np.asarray(bundle.train.y, dtype=np.float64)
        v, step = x[..., 3:6], y - x[..., :3]
        self.a = float((v * step).sum() / (v * v).sum()) if self.cfg.fitted else float(bundle.meta["horizon"])

    def evaluate(self, bundle: Bundle, ctx: Any) -> Result:
        x = np.asarray(bundle.test.x, dtype=np.float64)
        some = torch.as_tensor(x[:16])
        errors = equivariance_errors(
            lambda p, v: p + self.a * v,
            EuclideanAction("E(3)", "position"),
            some[..., :3],
            some[..., 3:6],
            draws=4,
            steps=5,
        )
        metrics = [*errors.metrics(), Metric("a", self.a, "none", "1")]
        return Result(
            predictions={"y": x[..., :3] + self.a * x[..., 3:6]}, metrics=metrics, params=int(self.cfg.fitted)
        )
