"""Grid search over (order, lag) and the classifier's own choices, with everything shared that the candidates have in common.

Per (order, lag): one assembly of covariances, for all folds. Per fold: one mean of the training part (of each class, for MDM);
its logarithms are the tangent vectors; one Gram matrix per kernel serves every C. Candidates are visited in the order of
scikit-learn's ParameterGrid over (lag, order, C, kernel), so ties fall as there. Order 1 has no lag: it is tried once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Protocol

import numpy as np

from models.acm.karcher import Mean, inverse, karcher_mean, start_point
from models.acm.lagged import LaggedCovariances, deficient
from models.riemann.classifiers import scores

Splits = Sequence[tuple[np.ndarray, np.ndarray]]


class Classifier(Protocol):
    """What a grid search needs: the `candidates` of the classifier itself, and their scores on one (order, lag)."""

    candidates: list[dict[str, Any]]

    def scores(self, cov: np.ndarray, y: np.ndarray, splits: Splits) -> np.ndarray:
        """(n_splits, n_candidates): ROC-AUC for two classes, accuracy otherwise."""
        ...

    def fitted(self, cov: np.ndarray, y: np.ndarray, candidate: dict[str, Any]) -> Callable[[np.ndarray], np.ndarray]:
        """Trained on all of cov (n, m, m); the returned function gives scores (n, n_classes) whose argmax is the prediction."""
        ...


def pairs(orders: Sequence[int], lags: Sequence[int]) -> list[tuple[int, int]]:
    """(order, lag) of a grid, lag by lag; order 1 only once, with the first lag."""
    return [(p, lag) for lag in lags for p in orders if p > 1 or lag == lags[0]]


def stratified(y: np.ndarray, folds: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Shuffled stratified parts, as MOABB's inner cross-validation makes them. Raises ValueError when a class is too small."""
    from sklearn.model_selection import StratifiedKFold

    least = int(np.unique(y, return_counts=True)[1].min())
    if least < folds:
        raise ValueError(
            f"the smallest class has {least} training trials, too few for {folds} inner folds; lower method.inner_folds"
        )
    return list(StratifiedKFold(folds, shuffle=True, random_state=seed).split(np.zeros(len(y)), y))


def unnested(n_train: int, y: np.ndarray, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Splits of the preprint's protocol: the test rows (n_train and later) are one part of the cross-validation that selects."""
    every, test = np.arange(len(y)), np.arange(n_train, len(y))
    parts = [test, *(b for _, b in stratified(y[:n_train], max(round(len(y) / len(test)) - 1, 2), seed))]
    return [(np.setdiff1d(every, part), part) for part in parts]


@dataclass
class Search:
    """`scores` (order, lag) -> mean score of each candidate over the splits; pairs left out are absent."""

    candidates: list[dict[str, Any]]
    scores: dict[tuple[int, int], list[float]] = field(default_factory=dict)

    @property
    def trials(self) -> int:
        return sum(map(len, self.scores.values()))

    def best(self) -> tuple[int, int, dict[str, Any], float]:
        """(order, lag, candidate, score): the highest score, the first of equal ones."""
        if not self.scores:
            raise ValueError(
                "every (order, lag) of the grid was left out as rank-deficient; lower method.orders or method.lags"
            )
        value, _, (order, lag), i = max(
            (s, -place, pair, i)
            for place, (pair, i, s) in enumerate(
                (pair, i, s) for pair, own in self.scores.items() for i, s in enumerate(own)
            )
        )
        return order, lag, self.candidates[i], value


def search(
    covariances: LaggedCovariances,
    y: np.ndarray,
    splits: Splits,
    grid: Sequence[tuple[int, int]],
    classifier: Classifier,
    leave_out: bool = False,
    done: dict[tuple[int, int], list[float]] | None = None,
    tick: Callable[[Search], None] = lambda found: None,
) -> Search:
    """Score every (order, lag) of `grid` and every candidate of the classifier.

    `done` holds pairs scored before; `tick` is called after each new pair. With `leave_out` rank-deficient pairs are skipped.
    """
    found = Search(classifier.candidates, dict(done or {}))
    _, d, t = covariances.x.shape
    for order, lag in grid:
        if (order, lag) in found.scores or (
            leave_out and covariances.estimator == "cov" and deficient(d, t, order, lag)
        ):
            continue
        scores = classifier.scores(covariances(order, lag), y, splits)
        found.scores[order, lag] = np.average(scores, axis=0).tolist()
        tick(found)
    return found


def _score(y: np.ndarray, decision: np.ndarray, predicted: np.ndarray) -> float:
    """ROC-AUC of a one-column decision, accuracy of the predictions otherwise: MOABB's scores."""
    from sklearn.metrics import accuracy_score, roc_auc_score

    return float(roc_auc_score(y, decision) if decision.ndim == 1 else accuracy_score(y, predicted))


# ------------------------------------------------------------------------------------------ tangent space + SVM


class TangentSVM:
    """Tangent vectors at the affine-invariant mean of the training part, and a support vector machine (scikit-learn's SVC)."""

    def __init__(self, c: Sequence[float], kernels: Sequence[str]) -> None:
        self.candidates = [{"c": c, "kernel": kernel} for c, kernel in product(c, kernels)]

    def scores(self, cov: np.ndarray, y: np.ndarray, splits: Splits) -> np.ndarray:
        from sklearn.svm import SVC

        inverses = inverse(cov)
        out = np.empty((len(splits), len(self.candidates)))
        for i, (train, test) in enumerate(splits):
            mean = _mean(cov, inverses, train)
            grams = Grams(vectors(mean.logs), vectors(mean.log(cov[test])))
            for j, candidate in enumerate(self.candidates):
                fit, new = grams.of(candidate["kernel"])
                model = SVC(C=candidate["c"], kernel="precomputed").fit(fit, y[train])
                decision = model.decision_function(new)
                out[i, j] = _score(y[test], decision, model.predict(new) if decision.ndim > 1 else decision)
        return out

    def fitted(self, cov: np.ndarray, y: np.ndarray, candidate: dict[str, Any]) -> Callable[[np.ndarray], np.ndarray]:
        from sklearn.svm import SVC

        mean = _mean(cov, inverse(cov), np.arange(len(cov)))
        model = SVC(C=candidate["c"], kernel=candidate["kernel"]).fit(vectors(mean.logs), y)

        return lambda new: scores(model, vectors(mean.log(new)))


def vectors(logs: np.ndarray) -> np.ndarray:
    """Upper triangles with off-diagonal entries times sqrt 2, (k, m (m + 1) / 2): Euclidean inner products are kept."""
    i, j = np.triu_indices(logs.shape[-1])
    return logs[:, i, j] * np.where(i == j, 1.0, np.sqrt(2.0))


class Grams:
    """Kernel matrices of tangent vectors: (train, train) and (test, train), each made once per kernel."""

    def __init__(self, train: np.ndarray, test: np.ndarray) -> None:
        self.gamma = 1.0 / (train.shape[1] * train.var())  # scikit-learn's gamma="scale"
        self.made = {"linear": (train @ train.T, test @ train.T)}
        self.norm = (np.square(train).sum(1), np.square(test).sum(1))

    def of(self, kernel: str) -> tuple[np.ndarray, np.ndarray]:
        """The pair of Gram matrices of "linear" or "rbf"."""
        if kernel not in self.made:
            of_train, of_test = self.norm
            self.made[kernel] = tuple(
                np.exp(-self.gamma * np.maximum(own[:, None] + of_train - 2 * linear, 0.0))
                for own, linear in zip((of_train, of_test), self.made["linear"], strict=True)
            )
        return self.made[kernel]


# ------------------------------------------------------------------------------------------ minimum distance to mean


class MinimumDistance:
    """MDM: the class whose affine-invariant mean is nearest; scores -d^2, probabilities their softmax."""

    candidates: list[dict[str, Any]] = [{}]  # noqa: RUF012

    def scores(self, cov: np.ndarray, y: np.ndarray, splits: Splits) -> np.ndarray:
        from scipy.special import softmax

        inverses, classes = inverse(cov), np.unique(y)
        out = np.empty((len(splits), 1))
        for i, (train, test) in enumerate(splits):
            means = [_mean(cov, inverses, train[y[train] == c], logs=False) for c in classes]
            score = -np.stack([m.distance2(cov[test]) for m in means], axis=1)
            decision = softmax(score, axis=1)[:, 1] if len(classes) == 2 else score
            out[i] = _score(y[test], decision, classes[score.argmax(1)])
        return out

    def fitted(self, cov: np.ndarray, y: np.ndarray, candidate: dict[str, Any]) -> Callable[[np.ndarray], np.ndarray]:
        inverses = inverse(cov)
        means = [_mean(cov, inverses, np.flatnonzero(y == c), logs=False) for c in np.unique(y)]
        return lambda new: -np.stack([m.distance2(new) for m in means], axis=1)


def _mean(cov: np.ndarray, inverses: np.ndarray, rows: np.ndarray, logs: bool = True) -> Mean:
    x = cov[rows]
    return karcher_mean(x, start_point(x, inverses[rows]), logs=logs)
