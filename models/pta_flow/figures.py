"""Corner plots: every parameter's histogram, and every pair's scatter, of several sets of samples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

COLOURS = ("0.45", "tab:blue", "tab:orange", "tab:green")
SHOWN = 1500  # points of a scatter


def corner(names: Sequence[str], samples: Mapping[str, np.ndarray], truth: Sequence[float] | None = None) -> Any:
    """A matplotlib figure of samples (n, d) by label; `truth` (d,) marks injected values."""
    from matplotlib.figure import Figure

    d = len(names)
    figure = Figure(figsize=(1.9 * d + 0.8, 1.9 * d + 0.5), layout="constrained")
    axes = figure.subplots(d, d, squeeze=False)
    for i in range(d):
        for j in range(d):
            panel = axes[i, j]
            if j > i:
                panel.axis("off")
                continue
            for colour, (label, x) in zip(COLOURS, samples.items(), strict=False):
                if i == j:
                    panel.hist(x[:, i], 40, density=True, histtype="step", color=colour, label=label)
                else:
                    panel.plot(*x[:SHOWN, [j, i]].T, ".", markersize=2, alpha=0.4, color=colour, markeredgewidth=0)
            if truth is not None:
                panel.axvline(truth[j], color="k", linewidth=0.7)
                if i != j:
                    panel.axhline(truth[i], color="k", linewidth=0.7)
            if i == d - 1:
                panel.set_xlabel(names[j], fontsize=8)
            if j == 0 and i > 0:
                panel.set_ylabel(names[i], fontsize=8)
            panel.tick_params(labelsize=6)
    axes[0, 0].legend(fontsize=6)
    return figure
