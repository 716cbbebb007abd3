"""The descent experiment as a method of the harness."""

from __future__ import annotations

from typing import Any

import torch

from bench.schema import Bundle, Metric, Result, SolverMethod
from models.spd_descent.config import Config
from models.spd_descent.descent import descent, metric_condition


class SpdDescent(SolverMethod):
    cfg: Config

    def fit(self, bundle: Bundle, ctx: Any) -> None:
        goal = torch.as_tensor(bundle.train.x)
        self.condition = metric_condition(goal[0])[self.cfg.metric]
        self.found = descent(self.cfg.metric, goal, self.cfg.steps, self.cfg.tol, self.cfg.cap)

    def evaluate(self, bundle: Bundle, ctx: Any) -> Result:
        metrics = [
            Metric("iterations", self.found.iterations, "lower", "iterations"),
            Metric("converged", float(self.found.converged), "higher", "fraction"),
            Metric("metric_condition", self.condition, "lower", "1"),
            Metric("step", self.found.step, "none", "1"),
        ]
        return Result(metrics=metrics, n_trials=len(self.cfg.steps))
