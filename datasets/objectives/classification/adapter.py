"""Read a table, divide and scale it, and build the regression objective."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.schema import Arrays, BenchError, Bundle, fingerprint
from datasets import files
from datasets.objectives import libsvm
from datasets.objectives.classification.config import SHAPES, Config
from datasets.objectives.task import Minimum
from models.geometry.objectives import Logistic, Softmax


def load(config: Config, *, fold: str, source: str, root: Path, cache: Path) -> Bundle:
    """`x` (n, k) float64 scaled as chosen; `y` -1 and +1 for two classes (the larger label is +1), else indices 0..c-1.

    `meta`: `objective` (Logistic or Softmax on the training split), `start` 0, `metric` None (B = I).
    """
    seed = int(fold.removeprefix("split"))
    if source == "real":
        parts = _real(config, Path(root), seed)
    else:
        x, y = planted(*SHAPES[config.set], seed=seed)
        parts = _divide(config, x, y, seed) if config.shares else [(x, y)]
    classes = np.unique(parts[0][1])
    if len(classes) < 2:
        raise BenchError(f"{config.name}: the training split has one class only; give more samples")
    if not np.equal(np.mod(classes, 1), 0).all():
        raise BenchError(
            f"{config.name}: the labels hold {classes[np.mod(classes, 1) != 0][0]:g}; give whole numbers, one per class"
        )
    parts = [(x, _labels(y, classes)) for x, y in parts]
    if config.samples:
        parts[0] = (parts[0][0][: config.samples], parts[0][1][: config.samples])
    parts = _scale(config, parts)
    splits = [Arrays(x, y) if len(x) else None for x, y in parts] + [None] * (3 - len(parts))
    x, y = parts[0]
    objective = Logistic(x, y, config.ridge) if len(classes) == 2 else Softmax(x, y, len(classes), config.ridge)
    return Bundle(
        kind="objective",
        train=splits[0],
        val=splits[1],
        test=splits[2],
        n_out=len(classes),
        shape=x.shape[1:],
        group=config.set if not config.shares else fold,
        origin="real" if source == "real" else "synthetic_twin",
        fingerprint=fingerprint(config.ridge, *(a for part in parts for a in part)),
        task=Minimum(known=objective.minimum is not None),
        card=_card(config, source),
        meta={"objective": objective, "start": np.zeros(objective.dim), "metric": None},
    )


def _real(config: Config, root: Path, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    if config.set == "a9a":
        train, test = (libsvm.read(files.verified(root, f), features=123) for f in config.files())
        return [train, (np.zeros((0, 123)), np.zeros(0)), test]
    if config.set == "file":
        x, y = libsvm.read(config.path(), config.features)
    else:
        from sklearn import datasets as sets

        x, y = getattr(sets, f"load_{config.set}")(return_X_y=True)
        x = np.ascontiguousarray(x, dtype=np.float64)
    return _divide(config, x, y, seed) if config.shares else [(x, y)]


def planted(n: int, k: int, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """The stand-in: x ~ N(0, I), labels drawn from softmax(3 W x / ||W||) with a known W = `planted_weights`."""
    draw = np.random.default_rng([seed, n, k])
    w = planted_weights(k, classes, seed)
    x = draw.normal(size=(n, k))
    y = (3 * x @ w.T + draw.gumbel(size=(n, classes))).argmax(1)  # the Gumbel maximum is a draw from the softmax
    return x, y


def planted_weights(k: int, classes: int, seed: int) -> np.ndarray:
    """(classes, k), rows of unit length."""
    w = np.random.default_rng([seed, k, classes]).normal(size=(classes, k))
    return w / np.linalg.norm(w, axis=1, keepdims=True)


def _divide(config: Config, x: np.ndarray, y: np.ndarray, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Training, validation and test part, each class divided by the shares; the order within a part is the file's."""
    draw, part = np.random.default_rng(seed), np.zeros(len(y), dtype=int)
    for c in np.unique(y):
        where = draw.permutation(np.flatnonzero(y == c))
        cut = np.round(np.cumsum(config.shares)[:2] * len(where)).astype(int)
        part[where[cut[0] : cut[1]]], part[where[cut[1] :]] = 1, 2
    return [(x[part == i], y[part == i]) for i in range(3)]


def _labels(y: np.ndarray, classes: np.ndarray) -> np.ndarray:
    unknown = np.setdiff1d(y, classes)
    if len(unknown):
        raise BenchError(f"label {unknown[0]:g} occurs outside the training split only; remove it or divide otherwise")
    index = np.searchsorted(classes, y)
    return 2 * index - 1 if len(classes) == 2 else index


def _scale(config: Config, parts: list[tuple[np.ndarray, np.ndarray]]) -> list[tuple[np.ndarray, np.ndarray]]:
    if config.standardise:
        mean, std = parts[0][0].mean(0), parts[0][0].std(0)
        std = np.where(std > 0, std, 1.0)  # a constant column becomes 0
        parts = [((x - mean) / std, y) for x, y in parts]
    if config.bias:
        parts = [(np.column_stack([x, np.ones(len(x))]), y) for x, y in parts]
    return parts


def _card(config: Config, source: str) -> dict:
    card = {"licence": config.licence, "citation": config.citation}
    if source != "real":
        return {**card, "source": f"simulated stand-in for {config.set} with planted weights"}
    if config.set == "a9a":
        return {**card, "source": "Astraeus-Q/SVM-Classifier", "files": {f.path: f.sha256 for f in config.files()}}
    return {**card, "source": "a file of the user" if config.set == "file" else f"scikit-learn, load_{config.set}"}
