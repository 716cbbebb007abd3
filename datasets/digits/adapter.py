"""Load digit images: scikit-learn's, MNIST from the data root, or a stand-in of smooth class templates."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.schema import ORIGIN, Arrays, Bundle, fingerprint
from datasets import files
from datasets.digits.config import CITATIONS, LICENCES, MNIST, Config

SIDE = {"digits": 8, "mnist": 28}
SIZES = {"digits": (1437, 360), "mnist": (60000, 10000)}
NOISE = 0.15  # of the stand-in, standard deviation in grey levels


def load(config: Config, *, fold: str, source: str, root: Path, cache: Path) -> Bundle:
    """`x` (n, 1, side, side) float32 in [0, 1], `y` digit (n,) int64; no validation split.

    digits: fold k is the stratified random split number k, 1,437 / 360. mnist: fold k takes random subsets, number k, of the
    60,000 training and of the 10,000 test images, so that folds share images but no fold trains on its test images.
    """
    k, name = config.fold_number(fold), config.dataset
    sizes = tuple(given or most for given, most in zip((config.n_train, config.n_test), SIZES[name], strict=True))
    card = {"licence": LICENCES[name], "source": "scikit-learn, load_digits", "citation": CITATIONS[name]}
    if source == "synthetic":
        parts = stand_in(SIDE[name], sizes, k)
        card = {"licence": "none needed: made by formula", "source": f"smooth templates of ten classes, as {name}"}
    elif name == "mnist":
        parts = _mnist(Path(root), sizes, k)
        card |= {"source": MNIST.path, "files": {MNIST.path: MNIST.sha256}, "size": MNIST.size}
    else:
        parts = _digits(sizes, k)
    (x, y), (x_test, y_test) = parts
    return Bundle(
        kind="image",
        train=Arrays(x, y),
        val=None,
        test=Arrays(x_test, y_test),
        n_out=10,
        shape=x.shape[1:],
        group=fold,
        origin=ORIGIN[source],
        fingerprint=fingerprint(x, y, x_test, y_test),
        card=card,
        meta={"dataset": name},
    )


def _digits(sizes: tuple[int, ...], k: int) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    content = load_digits()
    x = (content.images / 16.0).astype(np.float32)[:, None]
    y = content.target.astype(np.int64)
    a, b = train_test_split(np.arange(len(y)), test_size=SIZES["digits"][1], stratify=y, random_state=k)
    return tuple((x[i[:n]], y[i[:n]]) for i, n in zip((a, b), sizes, strict=True))


def _mnist(root: Path, sizes: tuple[int, ...], k: int) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    rng, out = np.random.default_rng([k, 28]), []
    with np.load(files.verified(root, MNIST)) as content:
        for part, n in zip(("train", "test"), sizes, strict=True):
            y = content[f"y_{part}"].astype(np.int64)
            chosen = np.sort(rng.permutation(len(y))[:n])
            out.append(((content[f"x_{part}"][chosen] / np.float32(255.0))[:, None], y[chosen]))
    return tuple(out)


def templates(side: int) -> np.ndarray:
    """What the stand-in is made of: ten smooth images (10, side, side) in [0, 1], the truth that a classifier can recover."""
    from scipy.ndimage import gaussian_filter

    t = gaussian_filter(np.random.default_rng(side).normal(size=(10, side, side)), (0, side / 8, side / 8))
    low, high = t.min((1, 2), keepdims=True), t.max((1, 2), keepdims=True)
    return (t - low) / (high - low)


def stand_in(side: int, sizes: tuple[int, ...], k: int) -> tuple[tuple[np.ndarray, np.ndarray], ...]:
    """Template of a random class plus Gaussian noise, clipped to [0, 1]."""
    rng, truth, out = np.random.default_rng([k, side]), templates(side), []
    for n in sizes:
        y = rng.permutation(np.arange(n) % 10)
        x = truth[y] + NOISE * rng.normal(size=(n, side, side))
        out.append((np.clip(x, 0.0, 1.0).astype(np.float32)[:, None], y.astype(np.int64)))
    return tuple(out)
