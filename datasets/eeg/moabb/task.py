"""Scored as MOABB scores: ROC-AUC for two classes, accuracy otherwise; by session where one fold tests several."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bench.schema import Bundle, Classification, Metric


class MoabbScore(Classification):
    """`sessions` names the session of each test trial when a fold tests several, as in cross-subject evaluation.

    MOABB gives each of them a row, so each gets a metric of its own: `roc_auc in <session>` or `accuracy in <session>`.
    """

    def __init__(self, n_out: int, sessions: np.ndarray | None = None) -> None:
        self.main = "roc_auc" if n_out == 2 else "accuracy"
        self.sessions = sessions

    def score(self, bundle: Bundle, predictions: Mapping[str, Any]) -> list[Metric]:
        metrics = {m.name: m for m in super().score(bundle, predictions)}
        score, y = np.asarray(predictions["y_score"]), np.asarray(bundle.test.y)
        own = [Metric(self.main, self._value(score, y))]
        for name in [] if self.sessions is None else dict.fromkeys(self.sessions.tolist()):
            rows = self.sessions == name
            own.append(Metric(f"{self.main} in {name}", self._value(score[rows], y[rows])))
        return [
            *own,
            *(m for name, m in metrics.items() if name != self.main),
        ]  # the main one first, as in committed rows

    def _value(self, score: np.ndarray, y: np.ndarray) -> float:
        if self.main == "accuracy":
            return float((score.argmax(1) == y).mean())
        from sklearn.metrics import roc_auc_score  # MOABB's own scorer, for the same last digit

        return float(roc_auc_score(y, score[:, 1] - score[:, 0]))
