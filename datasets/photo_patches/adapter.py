"""Cut patches from the photographs of scikit-learn, or from random smooth fields."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.schema import ORIGIN, Arrays, BenchError, Bundle, fingerprint
from datasets.photo_patches.config import Config
from datasets.photo_patches.task import Smoothing

GREY = (0.299, 0.587, 0.114)  # luma of red, green, blue (ITU-R BT.601)


def load(config: Config, *, fold: str, source: str, root: Path, cache: Path) -> Bundle:
    """`x` (n, 1, side, side) float32 in [0, 1]; no targets. Training patches lie in the left halves, test patches in the right."""
    if config.n_train is None or config.n_test is None:
        raise BenchError("data.n_train and data.n_test are null at this scale; give them values")
    k = config.fold_number(fold)
    photos = _photos() if source == "real" else fields(k)
    half = photos.shape[2] // 2
    rng = np.random.default_rng([k, config.side])
    x = cut(photos[:, :, :half], config.side, config.n_train, rng)
    x_test = cut(photos[:, :, half:], config.side, config.n_test, rng)
    card = {"licence": config.licence, "citation": config.citation, "source": "scikit-learn, load_sample_images"}
    if source != "real":
        card = {"licence": "none needed: made by formula", "source": "random fields with the spectrum of photographs"}
    return Bundle(
        kind="patches",
        train=Arrays(x),
        val=None,
        test=Arrays(x_test),
        n_out=1,
        shape=x.shape[1:],
        group=fold,
        origin=ORIGIN[source],
        fingerprint=fingerprint(x, x_test, *config.grid),
        task=Smoothing(tuple(config.grid)),
        card=card,
        meta={"grid": tuple(config.grid)},
    )


def _photos() -> np.ndarray:
    """Both photographs in grey (2, 427, 640) float32 in [0, 1]."""
    from sklearn.datasets import load_sample_images

    return np.stack([image @ np.array(GREY) for image in load_sample_images().images]).astype(np.float32) / 255


def cut(photos: np.ndarray, side: int, n: int, rng: np.random.Generator) -> np.ndarray:
    """n patches (n, 1, side, side) at random places of (photos, h, w)."""
    count, h, w = photos.shape
    which, row, column = (
        rng.integers(count, size=n),
        rng.integers(h - side + 1, size=n),
        rng.integers(w - side + 1, size=n),
    )
    i = np.arange(side)
    return photos[which[:, None, None], (row[:, None] + i)[:, :, None], (column[:, None] + i)[:, None, :]][:, None]


def fields(seed: int, h: int = 160, w: int = 240) -> np.ndarray:
    """The stand-in: two Gaussian random fields (2, h, w) with amplitude 1 / frequency, scaled to [0, 1]."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(h)[:, None], np.fft.rfftfreq(w))
    frequency[0, 0] = np.inf  # no mean
    field = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(2, h, w))) / frequency, s=(h, w))
    low, high = field.min((1, 2), keepdims=True), field.max((1, 2), keepdims=True)
    return ((field - low) / (high - low)).astype(np.float32)
