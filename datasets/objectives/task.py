"""How the point that a minimiser returns is scored: the same code for every method."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bench.schema import Bundle, Metric


class Minimum:
    """Predictions are `x` (d,), the returned point, and `updates` (), how many iterations it took.

    Main metric `gap` = f(x) - f* where f* is known, otherwise `value` = f(x). The trivial predictor stays at the start.
    """

    def __init__(self, known: bool) -> None:
        self.main = "gap" if known else "value"

    def score(self, bundle: Bundle, predictions: Mapping[str, Any]) -> list[Metric]:
        f, x = bundle.meta["objective"], np.asarray(predictions["x"], dtype=np.float64)
        if x.shape != (f.dim,):
            raise ValueError(f"x has shape {x.shape}; the objective needs ({f.dim},)")
        value, g = f.value_and_gradient(x)
        metrics = [
            Metric("value", float(value), "lower", "1"),
            Metric("gradient_norm", float(np.linalg.norm(g)), "lower", "1"),
        ]
        if f.minimum is not None:
            metrics.insert(0, Metric("gap", float(value) - f.minimum, "lower", "1"))
        if hasattr(f, "scores"):
            metrics.append(Metric("train_accuracy", accuracy(f, x, bundle.train)))
            if bundle.test is not None:
                metrics.append(Metric("accuracy", accuracy(f, x, bundle.test)))
        return metrics

    def trivial(self, bundle: Bundle) -> dict[str, Any]:
        return {"x": bundle.meta["start"], "updates": np.asarray(0)}


class Separation(Minimum):
    """For separable data: main metric `separation_rate` = 1 / updates where every margin y_i a_i^T x is positive, otherwise 0.

    A method that did not separate has no number of updates, and 0 is the limit of the rate of one that never does.
    """

    def __init__(self) -> None:
        self.main = "separation_rate"

    def score(self, bundle: Bundle, predictions: Mapping[str, Any]) -> list[Metric]:
        f, x = bundle.meta["objective"], np.asarray(predictions["x"], dtype=np.float64)
        metrics = super().score(bundle, predictions)
        separates, updates = bool((f.z @ x > 0).all()), int(predictions["updates"])
        rate = 1 / updates if separates and updates > 0 else 0.0
        return [Metric("separation_rate", rate, "higher", "1/iterations"), *metrics]


def accuracy(f: Any, x: np.ndarray, split: Any) -> float:
    """Share of samples whose own class has the strictly largest score: a tie, such as x = 0, is an error."""
    score, y = f.scores(x, split.x), np.asarray(split.y)
    at = (y > 0).astype(int) if score.shape[1] == 2 and y.min() < 0 else y.astype(int)
    own = np.take_along_axis(score, at[:, None], 1)[:, 0]
    others = score.copy()
    others[np.arange(len(y)), at] = -np.inf
    return float((own > others.max(1)).mean())
