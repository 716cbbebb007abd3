"""Minimisers as methods of the harness: traces by iteration, by linear solve and by time."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.schema import Bundle, Metric, Result, SolverMethod
from models.geometry.objectives.curvature import Metric as Norm
from models.geometry.objectives.trace import BUDGETS, LABEL, Goal, Trace, check_start
from models.gns import baselines
from models.gns.config import SECOND_ORDER, Config
from models.gns.newton import Problem, gns
from models.gns.scipy_methods import scipy_minimise


class Minimiser(SolverMethod):
    """`bundle.meta` has `objective`, `start` (d,) and `metric` (d, d) or None."""

    cfg: Config

    def skip(self, bundle: Bundle) -> str | None:
        objective, c = bundle.meta["objective"], self.cfg
        if c.algorithm in SECOND_ORDER and c.curvature not in objective.kinds:
            return f"{type(objective).__name__} has no {c.curvature} matrix; it has {', '.join(objective.kinds)}"
        if c.algorithm == "scipy" and c.scipy_method == "dogleg" and not objective.convex:
            return "scipy's dogleg needs positive definite Hessians, and this objective is not convex"
        return None

    def fit(self, bundle: Bundle, ctx: Any) -> None:
        objective, c = bundle.meta["objective"], self.cfg
        norm = Norm(bundle.meta["metric"], objective.dim)
        goal = Goal(objective.minimum, norm, c.gap_tol, c.grad_tol)
        own = norm if c.norm == "problem" else Norm(None, objective.dim)
        problem = Problem(objective, check_start(objective, bundle.meta["start"]), own, goal)
        self.trace = Trace()
        self.x = self._minimise(problem)

    def _minimise(self, problem: Problem) -> np.ndarray:
        c, trace = self.cfg, self.trace
        limit = c.max_iter or 1000
        if c.algorithm == "gns":
            return gns(
                problem,
                trace,
                limit,
                curvature=c.curvature,
                gamma=c.gamma,
                structured=c.solver == "structured",
                official_parity=c.official_parity,
            )
        if c.algorithm == "scipy":
            return scipy_minimise(problem, trace, limit, c.scipy_method)
        if c.algorithm == "cubic_newton":
            return baselines.cubic_newton(problem, trace, limit, curvature=c.curvature, first=c.first)
        if c.algorithm == "super_newton":
            return baselines.super_newton(problem, trace, limit, curvature=c.curvature, first=c.first, power=c.power)
        return getattr(baselines, c.algorithm)(problem, trace, limit, first=c.first)

    def evaluate(self, bundle: Bundle, ctx: Any) -> Result:
        trace, minimum = self.trace, bundle.meta["objective"].minimum
        trace.log(ctx, minimum)
        ctx.save_figure("trace", draw(trace, minimum, f"{self.cfg.name}, {bundle.group}"))
        reached = trace.status == "reached"
        metrics = [
            Metric("rate", 1 / max(trace.iterations, 1) if reached else 0.0, "higher", "1/iterations"),
            Metric("solve_rate", 1 / max(trace.n_solves, 1) if reached else 0.0, "higher", "1/solves"),
            Metric("reached", float(reached), "higher", "fraction"),
            Metric("iterations_run", trace.iterations, "none", "iterations"),
            Metric("solves_run", trace.n_solves, "none", "solves"),
            Metric("evaluations_run", trace.n_evaluations, "none", "evaluations"),
        ]
        if reached:
            metrics += [
                Metric("iterations", trace.iterations, "lower", "iterations"),
                Metric("solves", trace.n_solves, "lower", "solves"),
                Metric("seconds", trace.seconds[-1], "lower", "s"),
            ]
        # a run that ended before k has found nothing better by then
        metrics += [
            Metric(f"value_at_{k}", trace.value[min(k, trace.iterations)], "lower", "1") for k in self.cfg.marks
        ]
        return Result({"x": self.x, "updates": np.asarray(trace.iterations)}, metrics, params=len(self.x))


def draw(trace: Trace, minimum: float | None, title: str) -> Any:
    """The gap (or value) and the gradient norm against iterations, linear solves and seconds."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.4))
    gap = trace.gap(minimum)
    for i, budget in enumerate(b for b in BUDGETS if b != "evaluations"):
        x = np.arange(len(gap)) if budget == "iteration" else getattr(trace, budget)
        axes = figure.add_subplot(1, 3, i + 1, xlabel=LABEL[budget], yscale="log")
        axes.plot(x, gap, label="f" if minimum is None else "f - f*")
        axes.plot(x, trace.gradient_norm, label="gradient norm")
        axes.grid(alpha=0.3)
        axes.yaxis.set_major_formatter("{x:.0e}")
        if i == 0:
            axes.legend(fontsize=8)
    figure.suptitle(title)
    figure.subplots_adjust(wspace=0.35)
    return figure
