"""What a minimiser did, step by step: values against iterations, linear solves, evaluations and seconds."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from models.geometry.objectives.base import Objective
from models.geometry.objectives.curvature import Metric

BUDGETS = ("iteration", "solves", "evaluations", "seconds")
LABEL = {
    "iteration": "iterations",
    "solves": "linear solves",
    "evaluations": "evaluations of f and g",
    "seconds": "seconds",
}


@dataclass
class Goal:
    """When a run is over: f - f* < `gap` where f* is known, or ||g||_* < `gradient` in the norm of the problem; 0 switches one off.

    The same rule for every method, whatever norm it moves in.
    """

    minimum: float | None
    metric: Metric
    gap: float = 0.0
    gradient: float = 0.0

    def reached(self, value: float, g: np.ndarray) -> bool:
        if self.gap > 0 and self.minimum is not None and value - self.minimum < self.gap:
            return True
        return self.gradient > 0 and self.metric.dual(g) < self.gradient


@dataclass
class Trace:
    """One entry per iterate x_0, x_1, ...; `solves` and `evaluations` are cumulative, `seconds` since the start.

    `status`: "reached", "max_iter", "stalled" (no trial decreases f as the rule asks) or "running".
    """

    value: list[float] = field(default_factory=list)
    gradient_norm: list[float] = field(default_factory=list)
    solves: list[int] = field(default_factory=list)
    evaluations: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    status: str = "running"
    n_solves: int = 0
    n_evaluations: int = 0
    start: float = field(default_factory=time.perf_counter)

    def record(self, value: float, g: np.ndarray) -> None:
        self.value.append(float(value))
        self.gradient_norm.append(float(np.sqrt(g @ g)))
        self.solves.append(self.n_solves)
        self.evaluations.append(self.n_evaluations)
        self.seconds.append(time.perf_counter() - self.start)

    @property
    def iterations(self) -> int:
        return len(self.value) - 1

    def gap(self, minimum: float | None) -> np.ndarray:
        """f_k - f*, or f_k where f* is not known; not below the smallest positive number, so that it can be drawn."""
        gap = np.asarray(self.value) - (minimum or 0.0)
        return np.maximum(gap, np.finfo(np.float64).tiny)

    def log(self, ctx: Any, minimum: float | None) -> None:
        """All series as curves of the cell, one point per iterate."""
        gap = self.gap(minimum)
        for k in range(len(self.value)):
            ctx.log(
                k,
                gap=gap[k],
                gradient_norm=self.gradient_norm[k],
                solves=self.solves[k],
                evaluations=self.evaluations[k],
                seconds=self.seconds[k],
            )


def check_start(objective: Objective, start: np.ndarray) -> np.ndarray:
    """x_0 as float64 (d,). Raises ValueError for another shape, NaN or infinity, or where f is not finite."""
    x = np.array(start, dtype=np.float64)
    if x.shape != (objective.dim,):
        raise ValueError(f"start has shape {x.shape}; the objective needs ({objective.dim},)")
    if not np.isfinite(x).all():
        raise ValueError("start has entries that are NaN or infinite; give a finite point")
    if not np.isfinite(objective.value(x)):
        raise ValueError("the objective is not finite at start; give a point closer to its minimum")
    return x


def band(x: Sequence[np.ndarray], y: Sequence[np.ndarray], points: int = 400) -> tuple[np.ndarray, ...]:
    """(grid, median, lower and upper quartile) of step curves y_i(x_i) on a common budget grid.

    A run that has ended keeps its last value: nothing better was found with a larger budget.
    """
    end = max(float(xi[-1]) for xi in x)
    grid = np.unique(np.concatenate([np.asarray(xi, float) for xi in x]))
    if len(grid) > points:
        grid = np.linspace(0.0, end, points)
    at = [yi[np.maximum(np.searchsorted(xi, grid, side="right") - 1, 0)] for xi, yi in zip(x, y, strict=True)]
    low, mid, high = np.quantile(np.stack(at), [0.25, 0.5, 0.75], axis=0)
    return grid, mid, low, high


def draw_bands(
    lines: dict[str, list[tuple[np.ndarray, np.ndarray]]],
    x_label: str,
    y_label: str,
    title: str = "",
    scale: str = "log",
) -> Any:
    """A matplotlib Figure: for each name the median and the quartile band over its runs (x, y); `scale` of the y axis, log or linear."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.5, 4.2))
    axes = figure.add_subplot(xlabel=x_label, ylabel=y_label, yscale=scale, title=title)
    for name, runs in lines.items():
        grid, mid, low, high = band([r[0] for r in runs], [r[1] for r in runs])
        (line,) = axes.plot(grid, mid, drawstyle="steps-post", label=f"{name} ({len(runs)})" if len(runs) > 1 else name)
        if len(runs) > 1:
            axes.fill_between(grid, low, high, step="post", alpha=0.2, color=line.get_color(), linewidth=0)
    axes.legend(fontsize=8)
    axes.grid(alpha=0.3)
    return figure
