"""Accuracy upright and transformed, and by the strength of the transform."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bench.schema import Bundle, Classification, Metric

BINS = 6


class WarpedClassification(Classification):
    """`test.group` is 0 for upright and 1 for transformed images; the transformed ones rank.

    `bundle.meta["strength"]` (n,): size of the transform of each test image, NaN where the files do not say.
    """

    main = "accuracy_transformed"

    def score(self, bundle: Bundle, predictions: Mapping[str, Any]) -> list[Metric]:
        base = {m.name: m for m in super().score(bundle, predictions)}  # checks the shape
        hit = np.asarray(predictions["y_score"]).argmax(1) == np.asarray(bundle.test.y)
        group, strength = np.asarray(bundle.test.group), bundle.meta["strength"]
        upright, moved = (float(hit[group == g].mean()) for g in (0, 1))
        rows = [
            Metric("accuracy_transformed", moved),
            Metric("accuracy_upright", upright),
            Metric("accuracy_gap", upright - moved, "lower"),
        ]
        if np.isfinite(strength[group == 1]).all():
            strong = (group == 1) & (strength >= np.quantile(strength[group == 1], 2 / 3))
            rows.append(Metric("accuracy_strong", float(hit[strong].mean())))  # the third moved most
        return [*rows, base["nll"]]

    def figures(self, bundle: Bundle, predictions: Mapping[str, Any]) -> dict[str, Any]:
        figures = {"digits": self._digits(bundle, predictions)}
        if np.isfinite(bundle.meta["strength"]).all():
            figures["strength"] = self._strength(bundle, predictions)
        return figures

    def _strength(self, bundle: Bundle, predictions: Mapping[str, Any]) -> Any:
        """Accuracy, with its binomial standard error, against the strength of the transform; the square is upright."""
        from matplotlib.figure import Figure

        hit = np.asarray(predictions["y_score"]).argmax(1) == np.asarray(bundle.test.y)
        moved, strength = np.asarray(bundle.test.group) == 1, bundle.meta["strength"]
        order = np.array_split(np.flatnonzero(moved)[np.argsort(strength[moved], kind="stable")], BINS)
        x = [strength[i].mean() for i in order if len(i)]
        p = np.array([hit[i].mean() for i in order if len(i)])
        error = np.sqrt(p * (1 - p) / np.array([len(i) for i in order if len(i)]))
        figure = Figure(figsize=(5, 3.4))
        axes = figure.add_subplot(
            xlabel="strength of the transform",
            ylabel="accuracy",
            ylim=(0, 1.02),
            title=f"{bundle.group}, trained upright",
        )
        axes.errorbar(x, p, error, marker="o", capsize=3, label="transformed")
        axes.plot([0], [hit[~moved].mean()], "s", label="upright")
        axes.legend(loc="lower left")
        figure.tight_layout()
        return figure

    def _digits(self, bundle: Bundle, predictions: Mapping[str, Any]) -> Any:
        """The first upright test digits above transformed ones, with their predictions; wrong ones in red."""
        from matplotlib.figure import Figure

        guess, y, group = (
            np.asarray(a) for a in (np.asarray(predictions["y_score"]).argmax(1), bundle.test.y, bundle.test.group)
        )
        rows = [np.flatnonzero(group == g)[:10] for g in (0, 1)]
        figure = Figure(figsize=(8, 2.1))
        for k, part in enumerate(rows):
            for j, i in enumerate(part):
                axes = figure.add_subplot(2, 10, 10 * k + j + 1)
                axes.imshow(np.asarray(bundle.test.x[i]).mean(0), cmap="gray")
                axes.set_title(str(guess[i]), color="black" if guess[i] == y[i] else "red", fontsize=9, pad=2)
                axes.set_axis_off()
        figure.tight_layout(pad=0.3)
        return figure
