"""Baselines of the GNS experiments, each with its own adaptive constant: gradient, fast gradient, cubic and super-universal Newton."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.linalg import eigh
from scipy.optimize import brentq

from models.geometry.objectives.curvature import NotPositiveDefinite
from models.geometry.objectives.trace import Trace
from models.gns.newton import TRIALS, Problem, evaluate

FLOOR = 1e-5  # smallest adaptive constant of the gradient methods and super-universal Newton, as in the released code
CUBIC_FLOOR = 1e-14  # a larger one would bound the steps of cubic Newton where f flattens out


Found = tuple[np.ndarray, float, np.ndarray]
"""A point with its value and gradient."""
Attempt = Callable[[float], Found | None]
"""Adaptive constant -> the point it leads to, None where that is not acceptable."""


def adaptive(
    problem: Problem,
    trace: Trace,
    max_iter: int,
    prepare: Callable[[np.ndarray, float, np.ndarray], Attempt | None],
    level: float,
    *,
    growth: float = 2.0,
    floor: float = FLOOR,
    trials: int = 30,
) -> np.ndarray:
    """The iteration that all share: from (x, f, g) `prepare` makes an attempt (None: nothing is left to gain), which is made with the
    constant `level`, growing by `growth`, until it is accepted; the next iteration starts from level / growth >= `floor`."""
    f, goal, x = problem.objective, problem.goal, problem.start
    value, g = evaluate(f, x, trace)
    trace.record(value, g)
    for _ in range(max_iter):
        if goal.reached(value, g) or (attempt := prepare(x, value, g)) is None:
            trace.status = "reached"
            return x
        for _ in range(trials):
            if (found := attempt(level)) is not None:
                break
            level *= growth
        else:
            trace.status = "stalled"
            return x
        x, value, g = found
        level = max(level / growth, floor)
        trace.record(value, g)
    trace.status = "reached" if goal.reached(value, g) else "max_iter"
    return x


def gradient(problem: Problem, trace: Trace, max_iter: int, *, first: float = 1.0) -> np.ndarray:
    """T = x - B^-1 g / L, accepted when f(T) <= f + g^T (T - x) + L/2 ||T - x||^2; then L halves, otherwise it doubles (<= 30)."""
    f, metric = problem.objective, problem.metric

    def prepare(x: np.ndarray, value: float, g: np.ndarray) -> Attempt:
        direction = metric.inverse(g)
        trace.n_solves += metric.matrix is not None
        slope = float(g @ direction)

        def attempt(level: float) -> Found | None:
            point = x - direction / level
            new_value, new_g = evaluate(f, point, trace)
            return (point, new_value, new_g) if new_value <= value - slope / (2 * level) else None

        return attempt

    return adaptive(problem, trace, max_iter, prepare, first)


def fast_gradient(problem: Problem, trace: Trace, max_iter: int, *, first: float = 1.0) -> np.ndarray:
    """Nesterov's fast gradient method with a search for L, in the form of similar triangles.

    L a^2 = A + a, y = (A x + a v) / (A + a), v+ = v - a B^-1 grad f(y), x+ = (A x + a v+) / (A + a), accepted when
    f(x+) <= f(y) + grad f(y)^T (x+ - y) + L/2 ||x+ - y||^2.
    """
    f, metric = problem.objective, problem.metric
    v, weight = problem.start, 0.0

    def prepare(x: np.ndarray, value: float, g: np.ndarray) -> Attempt:
        def attempt(level: float) -> Found | None:
            nonlocal v, weight
            a = (1 + np.sqrt(1 + 4 * level * weight)) / (2 * level)
            y = (weight * x + a * v) / (weight + a)
            at_y, slope = evaluate(f, y, trace)
            direction = metric.inverse(slope)
            trace.n_solves += metric.matrix is not None
            new_v = v - a * direction
            point = (weight * x + a * new_v) / (weight + a)
            new_value, new_g = evaluate(f, point, trace)
            if new_value > at_y - float(slope @ direction) / (2 * level):
                return None
            v, weight = new_v, weight + a
            return point, new_value, new_g

        return attempt

    return adaptive(problem, trace, max_iter, prepare, first)


def cubic_newton(
    problem: Problem, trace: Trace, max_iter: int, *, curvature: str = "exact", first: float = 1.0
) -> np.ndarray:
    """h minimises m(h) = g^T h + h^T H h / 2 + M/6 ||h||^3, accepted when f(x + h) <= f(x) + m(h); then M halves, else doubles.

    One generalised eigendecomposition of (H, B) per iteration serves every M; it counts as one solve.
    """
    f, metric = problem.objective, problem.metric

    def prepare(x: np.ndarray, value: float, g: np.ndarray) -> Attempt:
        w, basis = eigh(f.second_order(x, curvature).matrix(), None if metric.matrix is None else metric.matrix)
        trace.n_solves += 1

        def attempt(level: float) -> Found | None:
            h, model = cubic_step(w, basis, g, level)
            new_value, new_g = evaluate(f, x + h, trace)
            return (x + h, new_value, new_g) if new_value <= value + model else None

        return attempt

    return adaptive(problem, trace, max_iter, prepare, first, floor=CUBIC_FLOOR, trials=TRIALS)


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
    f, metric = problem.objective, problem.metric

    def prepare(x: np.ndarray, value: float, g: np.ndarray) -> Attempt | None:
        dual = metric.dual(g)
        if dual == 0:
            return None
        model = f.second_order(x, curvature)

        def attempt(level: float) -> Found | None:
            shift = level * dual**power
            trace.n_solves += 1
            try:
                d = -model.solve(shift, metric, g)
            except NotPositiveDefinite:
                return None
            new_value, new_g = evaluate(f, x + d, trace)
            return (x + d, new_value, new_g) if -float(new_g @ d) >= metric.dual(new_g) ** 2 / (4 * shift) else None

        return attempt

    return adaptive(problem, trace, max_iter, prepare, first, growth=4.0, trials=TRIALS)
