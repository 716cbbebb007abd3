"""How predicted rotations and predicted joint positions are scored and shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bench.schema import Bundle, Metric


def _spread(error: np.ndarray, unit: str) -> list[Metric]:
    """Mean, maximum, standard deviation and 99th percentile: the claim of the paper is about the maximum."""
    values = {
        "mean_error": error.mean(),
        "max_error": error.max(),
        "std_error": error.std(),
        "p99_error": np.quantile(error, 0.99),
    }
    return [Metric(name, float(v), "lower", unit) for name, v in values.items()]


def _histogram(error: np.ndarray, unit: str, title: str) -> dict[str, Any]:
    """Share of test samples above each error, both axes logarithmic: the tail is what matters."""
    from matplotlib.figure import Figure

    ordered = np.sort(error)[::-1]
    keep = np.unique(np.geomspace(1, len(ordered), 400).astype(int)) - 1
    figure = Figure(figsize=(4.5, 3.2))
    axes = figure.add_subplot(xlabel=f"error ({unit})", ylabel="share of samples above", xscale="log", yscale="log")
    axes.plot(np.maximum(ordered[keep], 1e-6), (keep + 1) / len(ordered))
    axes.set_title(f"{title}: maximum {ordered[0]:.3g} {unit}")
    axes.grid(alpha=0.3)
    return {"errors": figure}


def angles(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Geodesic distance in degrees of rotations a, b (n, 3, 3): 2 arcsin(|a - b|_F / (2 sqrt 2))."""
    chord = np.linalg.norm(a.astype(np.float64) - b, axis=(1, 2)) / np.sqrt(8.0)
    return np.degrees(2.0 * np.arcsin(np.minimum(chord, 1.0)))


class RotationTask:
    """Predictions are `rotation` (n, 3, 3); the error is the angle between it and the truth."""

    main = "mean_error"

    def _error(self, bundle: Bundle, predictions: Mapping[str, Any]) -> np.ndarray:
        guess, y = np.asarray(predictions["rotation"]), np.asarray(bundle.test.y)
        if guess.shape != y.shape:
            raise ValueError(f"rotation has shape {guess.shape}; the test split needs {y.shape}")
        return angles(guess, y)

    def score(self, bundle: Bundle, predictions: Mapping[str, Any]) -> list[Metric]:
        return _spread(self._error(bundle, predictions), "degree")

    def figures(self, bundle: Bundle, predictions: Mapping[str, Any]) -> dict[str, Any]:
        return _histogram(self._error(bundle, predictions), "degree", bundle.group)

    def trivial(self, bundle: Bundle) -> dict[str, Any]:
        """The identity: no rotation is more likely than another under the sampling."""
        return {"rotation": np.broadcast_to(np.eye(3), np.asarray(bundle.test.y).shape)}


class PoseTask:
    """Predictions are `positions` (n, joints, 3) in cm; the error is the distance of each joint from the truth."""

    main = "mean_error"

    def _error(self, bundle: Bundle, predictions: Mapping[str, Any]) -> np.ndarray:
        guess, y = np.asarray(predictions["positions"]), np.asarray(bundle.test.y)
        if guess.shape != y.shape:
            raise ValueError(f"positions has shape {guess.shape}; the test split needs {y.shape}")
        return np.linalg.norm(guess - y, axis=-1).reshape(-1)

    def score(self, bundle: Bundle, predictions: Mapping[str, Any]) -> list[Metric]:
        return _spread(self._error(bundle, predictions), "cm")

    def figures(self, bundle: Bundle, predictions: Mapping[str, Any]) -> dict[str, Any]:
        return _histogram(self._error(bundle, predictions), "cm", bundle.group)

    def trivial(self, bundle: Bundle) -> dict[str, Any]:
        """The skeleton at rest, at the root's position."""
        y = np.asarray(bundle.test.y)
        return {"positions": y[:, :1] + np.asarray(bundle.meta["rest"]) - np.asarray(bundle.meta["rest"])[:1]}
