"""How predicted local scores of models are judged: by the models they pick, and by their correlation with the true scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bench.schema import Bundle, Metric


def correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's r of two vectors; 0 where one of them is constant, which ranks nothing.

    Raises
    ------
    ValueError : fewer than two values.
    """
    if len(a) < 2:
        raise ValueError(f"a correlation of {len(a)} decoy is undefined; give each target at least 2 decoys")
    a, b = a - a.mean(), b - b.mean()
    size = np.linalg.norm(a) * np.linalg.norm(b)
    return float(a @ b / size) if size > 1e-12 * len(a) else 0.0


def ranks(a: np.ndarray) -> np.ndarray:
    """Ranks, mean ranks among ties: Pearson's r of these is Spearman's rho."""
    from scipy.stats import rankdata

    return np.asarray(rankdata(a), dtype=float)


def per_target(y: np.ndarray, guess: np.ndarray, target: np.ndarray) -> dict[str, np.ndarray]:
    """Global scores y of models and predicted ones (M,), and the target (M,) of each -> one number for each target.

    pearson, spearman; top1_loss: the best score of the target minus that of the model of highest prediction; z_score: the score of
    that model in standard deviations above the mean of the target's models (0 where all are equally good).
    """
    out: dict[str, list[float]] = {k: [] for k in ("pearson", "spearman", "top1_loss", "z_score")}
    for t in np.unique(target):
        a, b = y[target == t], guess[target == t]
        picked, spread = a[b.argmax()], a.std()
        out["pearson"].append(correlation(a, b))
        out["spearman"].append(correlation(ranks(a), ranks(b)))
        out["top1_loss"].append(a.max() - picked)
        out["z_score"].append((picked - a.mean()) / spread if spread > 0 else 0.0)
    return {k: np.array(v) for k, v in out.items()}


class DecoyRanking:
    """Predictions are `y` (N,), a score for each residue of the test models, higher for better ones.

    The global score of a model is the mean of its local ones. Per-target numbers are averaged over targets; `_global` ones pool all
    models, `_local` all residues: they rank methods differently.
    """

    main = "spearman"

    def _global(self, bundle: Bundle, predictions: Mapping[str, Any]) -> tuple[np.ndarray, ...]:
        test = bundle.test
        y, guess = np.asarray(test.y, dtype=np.float64), np.asarray(predictions["y"], dtype=np.float64)
        if guess.shape != y.shape:
            raise ValueError(f"y has shape {guess.shape}; the residues of the test split need {y.shape}")
        start = np.cumsum(test.sizes) - test.sizes
        mean = [np.add.reduceat(v, start) / test.sizes for v in (y, guess)]
        return y, guess, *mean

    def score(self, bundle: Bundle, predictions: Mapping[str, Any]) -> list[Metric]:
        y, guess, model, guessed = self._global(bundle, predictions)
        each = per_target(model, guessed, bundle.test.target)
        return [
            Metric("spearman", float(each["spearman"].mean()), "higher", "rho"),
            Metric("pearson", float(each["pearson"].mean()), "higher", "r"),
            Metric("top1_loss", float(each["top1_loss"].mean()), "lower", "score"),
            Metric("z_score", float(each["z_score"].mean()), "higher", "sd"),
            Metric("mse", float(((guessed - model) ** 2).mean()), "lower", "score^2"),
            Metric("spearman_global", correlation(ranks(model), ranks(guessed)), "higher", "rho"),
            Metric("pearson_global", correlation(model, guessed), "higher", "r"),
            Metric("mse_local", float(((guess - y) ** 2).mean()), "lower", "score^2"),
            Metric("pearson_local", correlation(y, guess), "higher", "r"),
        ]

    def trivial(self, bundle: Bundle) -> dict[str, Any]:
        """The mean local score of the training split, for every residue: no model is better than another."""
        return {"y": np.full(len(bundle.test.y), float(np.mean(bundle.train.y)))}

    def figures(self, bundle: Bundle, predictions: Mapping[str, Any]) -> dict[str, Any]:
        """Predicted against true scores of the models, a colour for each target; and the residues of the best and the worst model of the
        first target."""
        from matplotlib.figure import Figure

        test = bundle.test
        y, guess, model, guessed = self._global(bundle, predictions)
        each = per_target(model, guessed, test.target)
        figure = Figure(figsize=(10, 3.6), layout="constrained")
        left, right = figure.subplots(1, 2, width_ratios=(1, 1.6))
        left.scatter(model, guessed, c=test.target, cmap="tab20", s=14)
        low, high = min(model.min(), guessed.min()), max(model.max(), guessed.max())
        left.plot([low, high], [low, high], color="0.6", lw=0.8, zorder=0)
        left.set(xlabel="true score of the model", ylabel="predicted")
        left.set_title(
            f"per target: rho {each['spearman'].mean():.2f}, top-1 loss {each['top1_loss'].mean():.3f}", fontsize=9
        )
        mine = np.flatnonzero(test.target == 0)
        start = np.cumsum(test.sizes) - test.sizes
        for k, colour in ((mine[model[mine].argmax()], "tab:blue"), (mine[model[mine].argmin()], "tab:red")):
            part = slice(start[k], start[k] + test.sizes[k])
            right.plot(y[part], color=colour, lw=2, alpha=0.4, label=f"true, mean {model[k]:.2f}")
            right.plot(guess[part], color=colour, lw=1, label=f"predicted, mean {guessed[k]:.2f}")
        right.set(xlabel="residue", ylabel="local score")
        right.set_title(f"best and worst model of {test.names[0]}", fontsize=9)
        right.legend(fontsize=7)
        return {"models": figure}
