"""How forecasts are scored and shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bench.schema import Bundle, Metric


class ForecastTask:
    """Predictions are `y` (n, 3 future), positions from the present one in metres. ADE: mean distance over all steps; FDE: of the last."""

    main = "ade"

    def _distance(self, bundle: Bundle, predictions: Mapping[str, Any]) -> np.ndarray:
        guess, y = np.asarray(predictions["y"], dtype=float), np.asarray(bundle.test.y, dtype=float)
        if guess.shape != y.shape:
            raise ValueError(f"y has shape {guess.shape}; the test split needs {y.shape}")
        return np.linalg.norm((guess - y).reshape(len(y), -1, 3), axis=-1)

    def score(self, bundle: Bundle, predictions: Mapping[str, Any]) -> list[Metric]:
        d = self._distance(bundle, predictions)
        return [
            Metric("ade", float(d.mean()), "lower", "m"),
            Metric("fde", float(d[:, -1].mean()), "lower", "m"),
            Metric("ade_p95", float(np.quantile(d.mean(1), 0.95)), "lower", "m"),
        ]

    def trivial(self, bundle: Bundle) -> dict[str, Any]:
        """Nobody moves."""
        return {"y": np.zeros(np.asarray(bundle.test.y).shape)}

    def figures(self, bundle: Bundle, predictions: Mapping[str, Any]) -> dict[str, Any]:
        """Twelve test windows from the quietest to the one that moves most: past grey, truth black, forecast red; the present at 0."""
        from matplotlib.figure import Figure

        x, y, guess = (np.asarray(a) for a in (bundle.test.x, bundle.test.y, predictions["y"]))
        order = np.argsort(np.linalg.norm(y[:, -3:], axis=1), kind="stable")
        figure = Figure(figsize=(8, 6))
        for k, i in enumerate(order[np.linspace(0, len(order) - 1, 12).astype(int)]):
            axes = figure.add_subplot(3, 4, k + 1)
            for path, colour in ((x[i], "0.6"), (y[i], "k"), (guess[i], "r")):
                p = path.reshape(-1, 3)
                axes.plot(p[:, 0], p[:, 1], ".-", color=colour, markersize=3, linewidth=1)
            axes.set_aspect("equal", "datalim")
            axes.tick_params(labelsize=6)
        figure.suptitle(f"{bundle.group}: past grey, truth black, forecast red (m)", fontsize=9)
        figure.tight_layout()
        return {"forecasts": figure}
