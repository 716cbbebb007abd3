"""Trust-region and quasi-Newton methods of scipy.optimize on the same objectives, with the same trace and the same goal."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize

from models.geometry.objectives.trace import Trace
from models.gns.newton import Problem, evaluate

WITH_PRODUCTS = ("trust-ncg", "trust-krylov", "Newton-CG")  # these take Hessian-vector products
FIRST_ORDER = ("BFGS", "L-BFGS-B")


def scipy_minimise(problem: Problem, trace: Trace, max_iter: int, method: str = "trust-exact") -> np.ndarray:
    """x (d,) of `minimize(method=...)`, in the Euclidean norm. `trace.solves` counts Hessians, or Hessian-vector products.

    Its own gradient tolerance is set to 0: the goal of the problem decides, as for every method here.
    """
    f, goal = problem.objective, problem.goal
    seen: dict[bytes, tuple[float, np.ndarray]] = {}

    def fun(x: np.ndarray) -> tuple[float, np.ndarray]:
        out = evaluate(f, x, trace)
        seen[x.tobytes()] = out
        return out

    def counted(calculate):
        def call(*arguments: np.ndarray) -> np.ndarray:
            trace.n_solves += 1
            return calculate(*arguments)

        return call

    def callback(intermediate_result) -> None:
        x = intermediate_result.x
        value, g = seen[x.tobytes()] if x.tobytes() in seen else f.value_and_gradient(x)
        seen.clear()
        trace.record(float(value), g)
        if goal.reached(float(value), g):
            raise StopIteration

    value, g = fun(problem.start)
    trace.record(value, g)
    if goal.reached(value, g):
        trace.status = "reached"
        return problem.start
    second = {}
    if method in WITH_PRODUCTS:
        second = {"hessp": counted(f.hvp)}
    elif method not in FIRST_ORDER:
        second = {"hess": counted(f.hessian)}
    tolerance = {"Newton-CG": {"xtol": 0.0}, "L-BFGS-B": {"gtol": 0.0, "ftol": 0.0}}.get(method, {"gtol": 0.0})
    with np.errstate(over="ignore", invalid="ignore"):
        out = minimize(
            fun,
            problem.start,
            method=method,
            jac=True,
            callback=callback,
            options={"maxiter": max_iter, **tolerance},
            **second,
        )
    final, g = f.value_and_gradient(out.x)
    reached = goal.reached(float(final), g)
    trace.status = "reached" if reached else "max_iter" if trace.iterations >= max_iter else "stalled"
    return np.asarray(out.x)
