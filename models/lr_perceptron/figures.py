"""Loss, gradient norm and training error against updates, with the bound of the theory."""

from __future__ import annotations

from typing import Any

import numpy as np

from models.lr_perceptron.algorithms import Run


def draw(run: Run, bound: float | None, title: str) -> Any:
    """A matplotlib Figure: curves over updates on the left, loss against error on the right."""
    from matplotlib.figure import Figure

    t, error = np.arange(len(run.loss)), 1 - np.asarray(run.accuracy)
    figure = Figure(figsize=(9, 3.6))
    axes = figure.add_subplot(1, 2, 1, xlabel="updates", yscale="log", xscale="symlog")
    axes.plot(t, run.loss, label="loss f")
    axes.plot(t, run.gradient_norm, label="gradient norm")
    axes.plot(t, np.where(error > 0, error, np.nan), label="training error")
    if run.separated:
        axes.axvline(run.updates, color="0.4", linestyle=":", label=f"separated at {run.updates}")
    if bound is not None:
        axes.axvline(bound, color="C3", linestyle="--", label=f"bound {bound:.4g}")
    axes.legend(fontsize=7)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_major_formatter("{x:.0e}")
    axes = figure.add_subplot(1, 2, 2, xlabel="training error", ylabel="loss f", yscale="log")
    axes.yaxis.set_major_formatter("{x:.0e}")
    axes.yaxis.set_minor_formatter("")
    points = axes.scatter(error, run.loss, c=t, s=8, cmap="viridis")
    figure.colorbar(points, ax=axes, label="updates")
    figure.suptitle(title)
    figure.subplots_adjust(wspace=0.35)
    return figure
