"""Baselines of the GNS experiments, each with its own adaptive constant: gradient, fast gradient, cubic and super-universal Newton."""

from __future__ import annotations

import numpy as np
from scipy.linalg import eigh
from scipy.optimize import brentq

from models.geometry.objectives.curvature import NotPositiveDefinite
from models.geometry.objectives.trace import Trace
from models.gns.newton import TRIALS, Problem, evaluate

FLOOR = (
    1e-5  # smallest adaptive constant of the gradient methods and of super-universal Newton, as in the released code
)
CUBIC_FLOOR = 1e-14  # a larger one would bound the steps of cubic Newton where f flattens out


def gradient(problem: Problem, trace: Trace, max_iter: int, *, first: float = 1.0) -> np.ndarray:
    """T = x - B^-1 g / L, accepted when f(T) <= f + g^T (T - x) + L/2 ||T - x||^2; then L halves, otherwise it doubles (<= 30)."""
    f, metric, goal, level = problem.objective, problem.metric, problem.goal, first
    x = problem.start
    value, g = evaluate(f, x, trace)
    trace.record(value, g)
    for _ in range(max_iter):
        if goal.reached(value, g):
            trace.status = "reached"
            return x
        direction = metric.inverse(g)
        trace.n_solves += metric.matrix is not None
        slope = float(g @ direction)
        for _ in range(30):
            new_value, new_g = evaluate(f, x - direction / level, trace)
            if new_value <= value - slope / (2 * level):
                break
            level *= 2
        else:
            trace.status = "stalled"
            return x
        x, value, g = x - direction / level, new_value, new_g
        level = max(level / 2, FLOOR)
        trace.record(value, g)
    trace.status = "reached" if goal.reached(value, g) else "max_iter"
    return x


def fast_gradient(problem: Problem, trace: Trace, max_iter: int, *, first: float = 1.0) -> np.ndarray:
    """Nesterov's fast gradient method with a search for L, in the form of similar triangles.

    L a^2 = A + a, y = (A x + a v) / (A + a), v+ = v - a B^-1 grad f(y), x+ = (A x + a v+) / (A + a), accepted when
    f(x+) <= f(y) + grad f(y)^T (x+ - y) + L/2 ||x+ - y||^2.
    """
    f, metric, goal, level = problem.objective, problem.metric, problem.goal, first
    x = v = problem.start
    weight = 0.0
    value, g = evaluate(f, x, trace)
    trace.record(value, g)
    for _ in range(max_iter):
        if goal.reached(value, g):
            trace.status = "reached"
            return x
        for _ in range(30):
            a = (1 + np.sqrt(1 + 4 * level * weight)) / (2 * level)
            y = (weight * x + a * v) / (weight + a)
            at_y, slope = evaluate(f, y, trace)
            direction = metric.inverse(slope)
            trace.n_solves += metric.matrix is not None
            new_v = v - a * direction
            new_x = (weight * x + a * new_v) / (weight + a)
            new_value, new_g = evaluate(f, new_x, trace)
            if new_value <= at_y - float(slope @ direction) / (2 * level):
                break
            level *= 2
        else:
            trace.status = "stalled"
            return x
        x, v, value, g, weight = new_x, new_v, new_value, new_g, weight + a
        level = max(level / 2, FLOOR)
        trace.record(value, g)
    trace.status = "reached" if goal.reached(value, g) else "max_iter"
    return x


def cubic_newton(
    problem: Problem, trace: Trace, max_iter: int, *, curvature: str = "exact", first: float = 1.0
) -> np.ndarray:
    """h minimises m(h) = g^T h + h^T H h / 2 + M/6 ||h||^3, accepted when f(x + h) <= f(x) + m(h); then M halves, else doubles.

    One generalised eigendecomposition of (H, B) per iteration serves every M; it counts as one solve.
    """
    f, metric, goal, level = problem.objective, problem.metric, problem.goal, first
    x = problem.start
    value, g = evaluate(f, x, trace)
    trace.record(value, g)
    for _ in range(max_iter):
        if goal.reached(value, g):
            trace.status = "reached"
            return x
        w, basis = eigh(f.second_order(x, curvature).matrix(), None if metric.matrix is None else metric.matrix)
        trace.n_solves += 1
        for _ in range(TRIALS):
            h, model = cubic_step(w, basis, g, level)
            new_value, new_g = evaluate(f, x + h, trace)
            if new_value <= value + model:
                break
            level *= 2
        else:
            trace.status = "stalled"
            return x
        x, value, g = x + h, new_value, new_g
        level = max(level / 2, CUBIC_FLOOR)
        trace.record(value, g)
    trace.status = "reached" if goal.reached(value, g) else "max_iter"
    return x


def cubic_step(w: np.ndarray, basis: np.ndarray, g: np.ndarray, level: float) -> tuple[np.ndarray, float]:
    """(h, m(h)) of the cubic model with M = `level`, from H V = B V diag(w), V^T B V = I, w ascending.

    h = -V (w + M r / 2)^-1 V^T g with r = ||h||_B, the root of a decreasing function of r above -2 min(w) / M.
    """
    c = basis.T @ g
    lowest = max(0.0, -2 * float(w[0]) / level)

    def excess(r: float) -> float:
        return float(np.linalg.norm(c / (w + level * r / 2))) - r

    low = lowest * (1 + 1e-12) + 1e-300
    high = lowest + np.sqrt(2 * np.linalg.norm(c) / level) + 1e-300
    # in the hard case g has no part along the lowest eigenvector, and the root lies at the boundary itself
    r = brentq(excess, low, high, xtol=1e-300, rtol=1e-14) if excess(low) > 0 > excess(high) else high
    y = -c / (w + level * r / 2)
    return basis @ y, float(c @ y + (w * y) @ y / 2 + level / 6 * np.linalg.norm(y) ** 3)


def super_newton(
    problem: Problem, trace: Trace, max_iter: int, *, curvature: str = "exact", first: float = 1.0, power: float = 1.0
) -> np.ndarray:
    """Super-universal Newton: lambda = H ||g||_*^alpha, accepted when -g'^T d >= ||g'||_*^2 / (4 lambda); H / 4, otherwise 4 H."""
    f, metric, goal, level = problem.objective, problem.metric, problem.goal, first
    x = problem.start
    value, g = evaluate(f, x, trace)
    trace.record(value, g)
    for _ in range(max_iter):
        dual = metric.dual(g)
        if goal.reached(value, g) or dual == 0:
            trace.status = "reached"
            return x
        model = f.second_order(x, curvature)
        for _ in range(TRIALS):
            shift = level * dual**power
            trace.n_solves += 1
            try:
                d = -model.solve(shift, metric, g)
            except NotPositiveDefinite:
                level *= 4
                continue
            new_value, new_g = evaluate(f, x + d, trace)
            if -float(new_g @ d) >= metric.dual(new_g) ** 2 / (4 * shift):
                break
            level *= 4
        else:
            trace.status = "stalled"
            return x
        x, value, g = x + d, new_value, new_g
        level = max(level / 4, FLOOR)
        trace.record(value, g)
    trace.status = "reached" if goal.reached(value, g) else "max_iter"
    return x
