"""Regression as a task: predictions of any shape, scored by mean squared and mean absolute error."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.schema import Bundle, Metric


@dataclass(frozen=True)
class RegressionTask:
    """Predictions are `y` of the shape of the test targets (n, ...); errors are means over all entries.

    `unit` is the unit of the targets; `trivial` predicts the mean target of the training split, or input columns
    `persist` (start, stop) of the last axis of x where the last observed value is the natural guess.
    """

    unit: str = "1"
    persist: tuple[int, int] | None = None
    main: str = "mse"

    def score(self, bundle: Bundle, predictions: Mapping[str, Any]) -> list[Metric]:
        import numpy as np

        y, guess = np.asarray(bundle.test.y, dtype=np.float64), np.asarray(predictions["y"], dtype=np.float64)
        if guess.shape != y.shape:
            raise ValueError(f"y has shape {guess.shape}; the test split needs {y.shape}")
        square = "1" if self.unit == "1" else f"{self.unit}^2"
        return [
            Metric("mse", float(np.mean((guess - y) ** 2)), "lower", square),
            Metric("mae", float(np.mean(np.abs(guess - y))), "lower", self.unit),
        ]

    def trivial(self, bundle: Bundle) -> dict[str, Any]:
        import numpy as np

        if self.persist is not None:
            return {"y": np.asarray(bundle.test.x)[..., slice(*self.persist)]}
        mean = np.asarray(bundle.train.y, dtype=np.float64).mean(0)
        return {"y": np.broadcast_to(mean, np.asarray(bundle.test.y).shape)}

    def figures(self, bundle: Bundle, predictions: Mapping[str, Any]) -> dict[str, Any]:
        """Predicted against true values, at most 5,000 of them."""
        import numpy as np
        from matplotlib.figure import Figure

        y, guess = np.ravel(bundle.test.y), np.ravel(predictions["y"])
        step = max(1, len(y) // 5000)
        figure = Figure(figsize=(4, 4))
        axes = figure.add_subplot(xlabel="true", ylabel="predicted", title=bundle.group)
        axes.plot(y[::step], guess[::step], ".", markersize=2)
        ends = [float(y.min()), float(y.max())]
        axes.plot(ends, ends, color="0.5", linewidth=1)
        return {"predicted": figure}
