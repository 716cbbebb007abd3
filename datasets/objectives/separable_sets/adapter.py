"""Read two classes of a set and build the logistic objective on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.schema import Bundle
from datasets import files
from datasets.objectives.bundle import linear
from datasets.objectives.separable_sets.config import MNIST, Config

SHAPE = {"digits": 64, "mnist": 784, "breast_cancer": 30}


def load(config: Config, *, fold: str, source: str, root: Path, cache: Path) -> Bundle:
    """`train.x` (n, d + 1) float64 with a last column of ones, pixels scaled to [0, 1]; `train.y` in {-1, +1}."""
    first, second = (int(c) for c in fold.split("v"))
    x, label = _real(config, Path(root)) if source == "real" else stand_in(SHAPE[config.set], first, second)
    index = [np.flatnonzero(label == c)[: config.samples and config.samples // 2] for c in (first, second)]
    index[0] = index[0][: config.first]
    where = np.sort(np.concatenate(index))
    x, y = x[where], np.where(label[where] == first, 1.0, -1.0)
    x = np.column_stack([x, np.ones(len(x))])
    card = {"licence": config.licence, "citation": config.citation, "source": config.set}
    if source != "real":
        card["source"] = f"simulated stand-in for {config.set}: two separated normal clouds"
    elif config.set == "mnist":
        card["files"] = {MNIST.path: MNIST.sha256}
    return linear(x, y, fold, "real" if source == "real" else "synthetic_twin", card)


def _real(config: Config, root: Path) -> tuple[np.ndarray, np.ndarray]:
    if config.set == "mnist":
        with np.load(files.verified(root, MNIST), allow_pickle=False) as content:
            x, y = content["x_train"], content["y_train"]
        return x.reshape(len(x), -1) / 255.0, y
    from sklearn import datasets as sets

    if config.set == "digits":
        x, y = sets.load_digits(return_X_y=True)
        return x / 16.0, y
    x, y = sets.load_breast_cancer(return_X_y=True)
    return (x - x.mean(0)) / x.std(0), y


def stand_in(d: int, first: int, second: int, n: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """x (n, d), labels: standard normal samples, every one moved one unit off the hyperplane of a known normal, onto its side."""
    normal = stand_in_normal(d, first, second)
    draw = np.random.default_rng([first, second])
    label = np.where(draw.random(n) < 0.5, first, second)
    side = np.where(label == first, 1.0, -1.0)
    x = draw.normal(size=(n, d))
    along = np.abs(x @ normal) + 1.0
    return x + (side * along - x @ normal)[:, None] * normal, label


def stand_in_normal(d: int, first: int, second: int) -> np.ndarray:
    """The unit normal (d,) that separates the stand-in, pointing to the first class."""
    normal = np.random.default_rng([first, second, d]).normal(size=d)
    return normal / np.linalg.norm(normal)
