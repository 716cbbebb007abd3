"""How predictions on SPD data are scored and shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.schema import Bundle, Classification


class ManyClasses(Classification):
    """Classification; where there are too many classes for a confusion matrix, a bar for the recall of each instead."""

    def figures(self, bundle: Bundle, predictions: Mapping[str, Any]) -> dict[str, Any]:
        import numpy as np
        from matplotlib.figure import Figure

        found = super().figures(bundle, predictions)
        if found:
            return found
        guess, y = np.asarray(predictions["y_score"]).argmax(1), np.asarray(bundle.test.y)
        classes = np.unique(y)
        recall = np.array([(guess[y == c] == c).mean() for c in classes])
        order = np.argsort(recall)
        figure = Figure(figsize=(0.16 * len(classes) + 1.5, 3))
        axes = figure.add_subplot(xlabel="class, hardest first", ylabel="recall", ylim=(0, 1))
        axes.set_title(f"{bundle.group}: accuracy {(guess == y).mean():.3f}")
        axes.bar(range(len(classes)), recall[order], color="C0")
        axes.axhline(recall.mean(), color="0.4", linestyle=":")
        axes.set_xticks(range(len(classes)), [str(c) for c in classes[order]], rotation=90, fontsize=6)
        return {"recall": figure}
