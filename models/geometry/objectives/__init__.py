"""Objectives to minimise: value, gradient, Hessian and its approximations, in NumPy float64.

Names are resolved on first use, so that importing this package costs nothing.
"""

from __future__ import annotations

from importlib import import_module

_WHERE = {
    "Curvature": "curvature",
    "Metric": "curvature",
    "Objective": "base",
    "LogSumExp": "log_sum_exp",
    "PowerResidual": "residuals",
    "LinearResidual": "residuals",
    "RosenbrockResidual": "residuals",
    "ChebyshevResidual": "residuals",
    "Rosenbrock": "rosenbrock",
    "Logistic": "classification",
    "Softmax": "classification",
    "Goal": "trace",
    "Trace": "trace",
}

__all__ = list(_WHERE)


def __getattr__(name: str):
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(_WHERE))
