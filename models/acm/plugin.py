"""Augmented covariances as a method of the harness: choose (order, lag), fit, predict."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.schema import BenchError, Bundle, Metric, Result, SolverMethod
from models.acm import delays
from models.acm.config import Config
from models.acm.grid import Classifier, MinimumDistance, Search, TangentSVM, pairs, search, stratified, unnested
from models.acm.lagged import LaggedCovariances


class ACM(SolverMethod):
    cfg: Config

    def fit(self, bundle: Bundle, ctx: Any) -> None:
        try:
            self._fit(bundle, ctx)
        except ValueError as error:
            raise BenchError(f"{self.cfg.name} on {bundle.group}: {error}") from error

    def evaluate(self, bundle: Bundle, ctx: Any) -> Result:
        try:
            own = self.decide(self._covariances(np.asarray(bundle.test.x), self.order)(self.order, self.lag))
        except ValueError as error:
            raise BenchError(f"{self.cfg.name} on {bundle.group}, test trials: {error}") from error
        score = np.full((len(own), bundle.n_out), own.min() - 1.0)  # a class that was not trained is never predicted
        score[:, self.classes] = own
        return Result(
            predictions={"y_score": score},
            metrics=[Metric("order", self.order, "none", "1"), Metric("lag", self.lag, "none", "samples")],
            n_trials=max(self.found.trials, 1),
            transductive=self.cfg.selection == "unnested",
            validation=Metric("selection_score", self.score),
        )

    # -------------------------------------------------------------------------------------- steps

    def _fit(self, bundle: Bundle, ctx: Any) -> None:
        cfg = self.cfg
        x, y = np.asarray(bundle.train.x), np.asarray(bundle.train.y)
        n_train = len(x)
        if cfg.selection == "unnested":  # the preprint's protocol reads the test labels, and its rows say so
            x = np.concatenate([x, np.asarray(bundle.test.x)])
            y = np.concatenate([y, np.asarray(bundle.test.y)])
            splits = unnested(n_train, y, cfg.inner_seed)
        else:
            splits = stratified(y, cfg.inner_folds, cfg.inner_seed)
        grid = self._grid(x[:n_train], ctx)
        self.classes = np.unique(y[:n_train])
        classifier: Classifier = MinimumDistance() if cfg.classifier == "mdm" else TangentSVM(cfg.c, cfg.kernels)
        covariances = self._covariances(x, max(p for p, _ in grid))
        self.found = self._search(covariances, y, splits, grid, classifier, ctx)
        self.order, self.lag, candidate, self.score = self.found.best()
        self.decide = classifier.fitted(covariances(self.order, self.lag)[:n_train], y[:n_train], candidate)
        ctx.log(0, selection_score=self.score, order=self.order, lag=self.lag)
        if len(self.found.scores) > 1:
            ctx.save_figure("grid", _figure(self.found, f"{cfg.name}, {bundle.group}, selection={cfg.selection}"))

    def _search(
        self,
        covariances: LaggedCovariances,
        y: np.ndarray,
        splits: list[tuple[np.ndarray, np.ndarray]],
        grid: list[tuple[int, int]],
        classifier: Classifier,
        ctx: Any,
    ) -> Search:
        """The grid search, resumed from the pairs that an earlier run of this cell has scored."""
        state = ctx.checkpoint.load() if len(grid) > 1 else None
        done = {(p, lag): scores for p, lag, scores in (state or {}).get("scores", [])}
        seen = {lag for _, lag in done}

        def tick(found: Search) -> None:
            lag = next(reversed(found.scores))[1]
            if lag not in seen or ctx.late():  # once per lag: its orders are cheap together
                seen.add(lag)
                ctx.checkpoint.save({"scores": [[*pair, scores] for pair, scores in found.scores.items()]})
                ctx.check_deadline()

        leave_out = self.cfg.deficient == "leave_out"
        return search(
            covariances, y, splits, grid, classifier, leave_out, done, tick if len(grid) > 1 else lambda found: None
        )

    def _covariances(self, x: np.ndarray, max_order: int) -> LaggedCovariances:
        return LaggedCovariances(x, max_order, self.cfg.estimator, self.cfg.deficient)

    def _grid(self, x: np.ndarray, ctx: Any) -> list[tuple[int, int]]:
        """The pairs (order, lag) to score: one, unless a grid is searched. The labels play no part."""
        cfg = self.cfg
        orders, lags = cfg.orders or [cfg.order], cfg.lags or [cfg.lag]
        if cfg.selection == "fixed":
            return [(cfg.order, cfg.lag)]
        if cfg.selection in ("nested", "unnested"):
            return pairs(orders, lags)
        signals = x.reshape(-1, x.shape[-1])
        rows = ctx.rng("signals").permutation(len(signals))[: cfg.series]
        order, lag = choose(
            signals[np.sort(rows)], cfg.selection, max(orders), max(lags), cfg.fnn_threshold, cfg.saturation
        )
        return [(order, lag)]


def choose(
    signals: np.ndarray, rule: str, max_order: int, max_lag: int, threshold: float, saturation: float
) -> tuple[int, int]:
    """(order, lag) of signals (s, T) by `rule`: ami_fnn, or mdop (number of cycles, mean of the delays rounded)."""
    if rule == "ami_fnn":
        lag = delays.first_minimum(delays.mutual_information(signals, max_lag + 1)[: max_lag + 2])
        lag = min(lag, max_lag)
        return delays.saturated(delays.cao_e1(signals, lag, max_order), saturation), lag
    taken, _ = delays.mdop(signals, max_lag, max_order, threshold)
    return len(taken), max(1, round(float(np.mean(taken))))


def _figure(found: Search, title: str) -> Any:
    """The best score of each (order, lag) as a map."""
    from matplotlib.figure import Figure

    orders, lags = (sorted({pair[i] for pair in found.scores}) for i in (0, 1))
    table = np.full((len(orders), len(lags)), np.nan)
    for (p, lag), scores in found.scores.items():
        at = slice(None) if p == 1 else lags.index(lag)  # order 1 has no lag
        table[orders.index(p), at] = max(scores)
    figure = Figure(figsize=(1.5 + 0.5 * len(lags), 1.5 + 0.4 * len(orders)))
    axes = figure.add_subplot(xlabel="lag (samples)", ylabel="order")
    axes.set_title(title, fontsize=8)
    image = axes.imshow(table, cmap="viridis", origin="lower")
    axes.set_xticks(range(len(lags)), lags)
    axes.set_yticks(range(len(orders)), orders)
    figure.colorbar(image, label="score in selection")
    return figure
