"""Regression of tensors: mean squared error over all entries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bench.schema import Bundle, Metric


class TensorTask:
    """Predictions are `y` (n, n_out)."""

    main = "mse"

    def score(self, bundle: Bundle, predictions: Mapping[str, Any]) -> list[Metric]:
        guess, y = np.asarray(predictions["y"], dtype=float), np.asarray(bundle.test.y, dtype=float)
        if guess.shape != y.shape:
            raise ValueError(f"y has shape {guess.shape}; the test split needs {y.shape}")
        mse = float(((guess - y) ** 2).mean())
        share = mse / float(((y - np.asarray(bundle.train.y).mean(0)) ** 2).mean())
        return [Metric("mse", mse, "lower", "1"), Metric("unexplained", share, "lower", "fraction")]

    def trivial(self, bundle: Bundle) -> dict[str, Any]:
        """The mean target of the training split."""
        return {"y": np.broadcast_to(np.asarray(bundle.train.y).mean(0), np.asarray(bundle.test.y).shape)}
