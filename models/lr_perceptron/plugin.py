"""Full-batch linear classifiers as methods of the harness: time to separation, its bound, and how far the loss misleads."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.schema import Bundle, Metric, Result, SolverMethod
from models.lr_perceptron.algorithms import STEPLESS, run
from models.lr_perceptron.config import Config
from models.lr_perceptron.figures import draw
from models.lr_perceptron.theory import Margin, bound, margin

_margins: dict[str, Margin] = {}  # by fingerprint: the methods of one fold share it


class LinearClassifier(SolverMethod):
    """`bundle.meta["objective"]` is a Logistic without ridge; its rows z_i = y_i a_i are the data."""

    cfg: Config

    def skip(self, bundle: Bundle) -> str | None:
        if bundle.meta["objective"].ridge > 0:
            return "data.ridge > 0: these methods are about separation and have no ridge"
        if self.cfg.bounds and _margin(bundle).mu == 0:
            return "the data are not linearly separable (some convex combination of y_i a_i is 0), so no method ends"
        return None

    def fit(self, bundle: Bundle, ctx: Any) -> None:
        self.run = run(bundle.meta["objective"].z, self.cfg.algorithm, self.cfg.gamma, self.cfg.max_iter or 20000)

    def evaluate(self, bundle: Bundle, ctx: Any) -> Result:
        c, out = self.cfg, self.run
        for t, (loss, slope, accuracy) in enumerate(zip(out.loss, out.gradient_norm, out.accuracy, strict=True)):
            ctx.log(t, loss=loss, gradient_norm=slope, error=1 - accuracy)
        metrics = [
            Metric("max_loss", max(out.loss), "lower", "nat"),
            Metric("misleading_steps", misleading(out.loss, out.accuracy), "none", "fraction"),
            Metric("updates_run", len(out.loss) - 1, "none", "iterations"),
        ]
        if out.separated:
            metrics.insert(0, Metric("iterations", out.updates, "lower", "iterations"))
        limit = None
        if c.bounds:
            found = _margin(bundle)
            limit = bound(c.algorithm, len(bundle.train), found.mu, found.radius, c.gamma)
            metrics.append(Metric("margin", found.mu, "none", "1"))
        if limit is not None:
            # a run cut off below its bound says nothing against it
            beyond = max(0.0, (out.updates if out.separated else len(out.loss) - 1) - limit)
            metrics += [
                Metric("bound", limit, "none", "iterations"),
                Metric("beyond_bound", beyond, "lower", "iterations"),
            ]
        size = "" if c.algorithm in STEPLESS else f", gamma = {c.gamma:g}"
        ctx.save_figure("separation", draw(out, limit, f"{c.algorithm}{size}, {bundle.group}"))
        return Result({"x": out.theta, "updates": np.asarray(out.updates)}, metrics, params=len(out.theta))


def _margin(bundle: Bundle) -> Margin:
    if bundle.fingerprint not in _margins:
        _margins[bundle.fingerprint] = margin(bundle.meta["objective"].z)
    return _margins[bundle.fingerprint]


def misleading(loss: list[float], accuracy: list[float]) -> float:
    """Share of steps on which loss and accuracy both rise or both fall: the loss then points the wrong way."""
    change = np.diff(loss) * np.diff(accuracy)
    return float((change > 0).mean()) if len(change) else 0.0
