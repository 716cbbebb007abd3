"""Smoothing of patches: the exact minimum, its metric, the data, and the hypernetwork's plugin."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.schema import BenchError
from datasets.photo_patches import adapter
from datasets.photo_patches.config import Config as Patches
from datasets.photo_patches.task import energy, excess, smoothed
from models.hyper_smoothing.config import Config
from models.hyper_smoothing.plugin import loss


def load(fold: str = "draw0", source: str = "real", **fields):
    config = Patches(name="p", **{"n_train": 50, "n_test": 20, **fields})
    return adapter.load(config, fold=fold, source=source, root=Path(), cache=Path())


@pytest.mark.parametrize("gamma", [0.0, 0.3, 0.9, 1.0])
@pytest.mark.parametrize("shape", [(5, 5), (4, 7)])
def test_minimiser_is_that_of_the_normal_equations(gamma, shape):
    """((1 - gamma) I + gamma D^T D) u = (1 - gamma) x with D the differences; the mean of x at gamma = 1."""
    h, w = shape
    x = np.random.default_rng(0).random(shape)
    down, right = np.diff(np.eye(h), axis=0), np.diff(np.eye(w), axis=0)
    d = np.vstack([np.kron(down, np.eye(w)), np.kron(np.eye(h), right)])
    u = smoothed(x, np.asarray(gamma))
    if gamma < 1:
        expected = np.linalg.solve((1 - gamma) * np.eye(h * w) + gamma * d.T @ d, (1 - gamma) * x.ravel()).reshape(
            shape
        )
    else:
        expected = np.full(shape, x.mean())
    assert np.abs(u - expected).max() < 1e-12
    own = energy(u, x, np.asarray(gamma))
    assert abs(own - ((1 - gamma) * ((u - x) ** 2).sum() + gamma * ((d @ u.ravel()) ** 2).sum()) / u.size) < 1e-14
    for seed in range(20):
        near = u + 0.01 * np.random.default_rng(seed).normal(size=shape)
        assert energy(near, x, np.asarray(gamma)) > own


def test_loss_is_the_energy():
    """The torch loss that is trained and the NumPy energy that is scored agree."""
    g = torch.Generator().manual_seed(0)
    u, x = torch.rand(6, 1, 5, 7, generator=g).double(), torch.rand(6, 1, 5, 7, generator=g).double()
    expected = energy(u.numpy(), x.numpy(), np.asarray(0.3)).mean()
    assert abs(float(loss(u, x, torch.tensor(0.3, dtype=torch.float64))) - expected) < 1e-14


def test_excess_is_zero_for_the_minimiser_alone():
    b = load()
    x, grid = np.asarray(b.test.x, dtype=np.float64), np.asarray(b.meta["grid"])
    best = smoothed(x, grid[:, None, None])
    assert abs(b.task.score(b, {"u": best})[0].value) < 1e-12
    assert b.task.score(b, b.task.trivial(b))[0].value > 0.5
    assert excess(best + 0.1, x, grid) > 0.01
    with pytest.raises(ValueError, match="needs"):
        b.task.score(b, {"u": best[:2]})


def test_patches_are_pieces_of_the_photographs():
    """Test patches lie in the right halves, where no training patch reaches."""
    b, photos = load(n_train=30, n_test=30), adapter._photos()
    assert b.train.x.shape == (30, 1, 16, 16) and b.train.x.dtype == np.float32 and b.origin == "real"
    assert b.train.x.min() >= 0 and b.train.x.max() <= 1
    windows = np.lib.stride_tricks.sliding_window_view(photos, (16, 16), axis=(1, 2))
    for part, first, last in ((b.train.x, 0, 304), (b.test.x, 320, 624)):
        corner = part[:, 0, 0, 0]
        for patch, value in zip(part[:5, 0], corner[:5], strict=True):
            at = np.argwhere(photos[:, :412, :625] == value)
            found = [c for p, r, c in at if np.array_equal(windows[p, r, c], patch)]
            assert found and all(first <= c <= last for c in found)
    assert b.fingerprint != load("draw1", n_train=30, n_test=30).fingerprint


def test_stand_in_has_the_spectrum_of_photographs():
    """Amplitude falls as 1 / frequency: a slope of -2 in log power, within 0.2."""
    field = adapter.fields(0)
    power = np.abs(np.fft.fft2(field[0] - field[0].mean())) ** 2
    frequency = np.hypot(np.fft.fftfreq(160)[:, None], np.fft.fftfreq(240))
    inside = (frequency > 0.02) & (frequency < 0.4)
    slope = np.polyfit(np.log(frequency[inside]), np.log(power[inside]), 1)[0]
    assert abs(slope + 2) < 0.2 and field.min() == 0 and field.max() == 1


@pytest.mark.parametrize(
    ("make", "word"),
    [
        (lambda: Patches(side=300), "too large"),
        (lambda: Patches(grid=[0.0, 1.0]), "inside"),
        (lambda: Patches(grid=[0.5, 2.0]), "weights"),
        (lambda: Config(widths=[]), "at least one"),
    ],
)
def test_mistakes_are_named(make, word):
    with pytest.raises(BenchError, match=word):
        make().check()


def test_divergence_is_said(tmp_path, bench):
    """A step that is far too long: the row says so and holds finite numbers, the excess of predicting zero."""
    words = ["run", "method=hyper_smoothing", "scale=smoke", "fold=0", "data.source=synthetic", f"out={tmp_path}"]
    assert bench(*words, "method.optimiser=sgd", "method.lr=1e4")[0] == 0
    metrics = {m["metric"]: m["value"] for m in json.loads(next(tmp_path.rglob("cell.json")).read_text())["metrics"]}
    assert metrics["diverged"] == 1 and np.isfinite(metrics["relative_excess"])
