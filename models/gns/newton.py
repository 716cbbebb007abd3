"""Newton's method with gradient-normalised smoothness (Semenov, Jaggi, Doikov, ICLR 2026, Algorithm 1), in NumPy float64."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from models.geometry.objectives.base import Objective
from models.geometry.objectives.curvature import Metric, NotPositiveDefinite
from models.geometry.objectives.trace import Goal, Trace

TRIALS = 40  # trials of one adaptive search
GUARD = 1e-8  # lambda = ||g||_* / (gamma + GUARD), as in the released code


@dataclass
class Problem:
    """An objective, a first point (d,), the norm a method moves in, and when it may stop."""

    objective: Objective
    start: np.ndarray
    metric: Metric
    goal: Goal


def gns(
    problem: Problem,
    trace: Trace,
    max_iter: int,
    *,
    curvature: str = "exact",
    gamma: float = 1.0,
    structured: bool = True,
    official_parity: bool = False,
    watch: Callable[[np.ndarray, float, float], None] | None = None,
) -> np.ndarray:
    """x_{k+1} = x_k - (H_k + lambda_k B)^-1 g_k, lambda_k = ||g_k||_* / gamma_k; returns the last point (d,).

    A trial is accepted when f(x_k) - f(x_{k+1}) >= ||g_{k+1}||_*^2 / (8 lambda_k); then gamma doubles, otherwise it is halved. It
    is kept across iterations. For H >= 0 every step has length at most gamma_k.

    Where H + lambda B is not positive definite (an indefinite Hessian) the trial counts as rejected, so lambda grows until it
    is. Where no trial of a search is accepted the run ends as "stalled". With `official_parity` the last trial is taken
    instead, and a failed factorisation ends the search with the trial before it, as the released code does; where there is no
    trial before it, gamma is halved here. `watch(step, gamma_k, lambda_k)` sees every step that is taken.
    """
    f, metric, goal = problem.objective, problem.metric, problem.goal
    x = problem.start
    value, g = evaluate(f, x, trace)
    dual = metric.dual(g)
    trace.record(value, g)
    for _ in range(max_iter):
        if goal.reached(value, g) or dual == 0.0:
            trace.status = "reached"
            return x
        h = f.second_order(x, curvature)
        step: np.ndarray | None = None
        accepted = False
        for _ in range(TRIALS):
            shift = dual / (gamma + GUARD)
            trace.n_solves += 1
            try:
                step = -h.solve(shift, metric, g, structured)
            except NotPositiveDefinite:
                if official_parity and step is not None:
                    break
                gamma /= 2
                continue
            new_value, new_g = evaluate(f, x + step, trace)
            new_dual = metric.dual(new_g)
            # written so that a value that is not a number is rejected
            accepted = bool(value - new_value >= new_dual**2 / (8 * shift))
            if accepted:
                break
            gamma /= 2
        if not accepted and not (official_parity and step is not None and np.isfinite(new_value)):
            trace.status = "stalled"
            return x
        if watch is not None:
            watch(step, gamma, shift)
        if accepted:
            gamma = max(2 * gamma, 1e-9)
        x, value, g, dual = x + step, new_value, new_g, new_dual
        trace.record(value, g)
    trace.status = "reached" if goal.reached(value, g) else "max_iter"
    return x


def evaluate(f: Objective, x: np.ndarray, trace: Trace) -> tuple[float, np.ndarray]:
    trace.n_evaluations += 1
    with np.errstate(over="ignore", invalid="ignore"):
        value, g = f.value_and_gradient(x)
    return float(value), g
