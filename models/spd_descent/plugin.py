"""The descent experiment as a method of the harness."""

from __future__ import annotations

from typing import Any

import torch

from bench.schema import Bundle, Metric, Result, SolverMethod
from models.spd_descent.config import Config
from models.spd_descent.descent import descent, metric_condition, trajectory


class SpdDescent(SolverMethod):
    cfg: Config

    def fit(self, bundle: Bundle, ctx: Any) -> None:
        goal = torch.as_tensor(bundle.train.x)
        self.condition = metric_condition(goal[0])[self.cfg.metric]
        self.found = descent(self.cfg.metric, goal, self.cfg.steps, self.cfg.tol, self.cfg.cap)

    def evaluate(self, bundle: Bundle, ctx: Any) -> Result:
        self._draw(torch.as_tensor(bundle.train.x), bundle.group, ctx)
        metrics = [
            Metric("iterations", self.found.iterations, "lower", "iterations"),
            Metric("converged", float(self.found.converged), "higher", "fraction"),
            Metric("metric_condition", self.condition, "lower", "1"),
            Metric("step", self.found.step, "none", "1"),
        ]
        return Result(metrics=metrics, n_trials=len(self.cfg.steps))

    def _draw(self, goal: torch.Tensor, group: str, ctx: Any) -> None:
        """The error against iterations at the best step, logged as a curve (mean over targets) and drawn."""
        from matplotlib.figure import Figure

        errors = trajectory(self.cfg.metric, goal, self.found.step, min(int(self.found.iterations) + 1, 1000))
        every = max(1, len(errors) // 200)
        for k in range(0, len(errors), every):
            ctx.log(k, relative_error=float(errors[k].mean()))
        figure = Figure(figsize=(5, 3.5))
        axes = figure.add_subplot(xlabel="iteration", ylabel="relative error", yscale="log")
        axes.set_title(f"{self.cfg.metric}, {group}, step {self.found.step:g}")
        axes.plot(errors.numpy())
        axes.axhline(self.cfg.tol, color="0.5", linestyle=":")
        ctx.save_figure("descent", figure)
