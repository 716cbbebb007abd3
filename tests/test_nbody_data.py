"""The n-body data: the published recipe number by number, and physics."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from datasets.nbody.adapter import load
from datasets.nbody.config import Config
from datasets.nbody.simulator import TARGET, draws, energy, frames, simulate


def one_by_one(charge, loc, vel, steps):
    """The recipe as printed, one simulation, one step at a time."""
    x, v, product = loc.T.copy(), vel.T.copy(), np.outer(charge, charge)

    def force():
        gap = x[:, :, None] - x[:, None, :]
        square = (gap**2).sum(0)
        np.fill_diagonal(square, 1.0)
        size = product / square**1.5
        np.fill_diagonal(size, 0.0)
        return np.clip((size * gap).sum(-1), -100, 100)

    v += 1e-3 * force()
    kept = {}
    for i in range(1, max(steps) + 1):
        x += 1e-3 * v
        if i in steps:
            kept[i] = (x.T.copy(), v.T.copy())
        v += 1e-3 * force()
    return kept


def test_stream_follows_the_recipe():
    """RandomState(43): choice, two Gaussian draws, two blocks of unused noise, simulation after simulation."""
    charge, loc, vel = draws(3)
    stream = np.random.RandomState(43)
    for k in range(3):
        assert np.array_equal(charge[k], stream.choice([-1.0, 0.0, 1.0], size=(5, 1), p=[0.5, 0, 0.5])[:, 0])
        x, v = stream.randn(3, 5), stream.randn(3, 5)
        assert np.array_equal(loc[k], x.T) and np.allclose(vel[k], (0.5 * v / np.sqrt((v**2).sum(0))).T, atol=1e-15)
        stream.randn(49, 3, 5), stream.randn(49, 3, 5)


def test_batch_equals_the_loop_and_first_values_stay():
    """Inputs are frame 30 (step 3,100) and targets frame 40 (step 4,100), to 1e-12; the first numbers of the set are pinned."""
    charge, loc, vel = draws(4)
    x, y = simulate(charge, loc, vel)
    for k in range(4):
        kept = one_by_one(charge[k], loc[k], vel[k], (3100, 4100))
        assert np.abs(x[k, :, :3] - kept[3100][0]).max() < 1e-12 and np.abs(x[k, :, 3:6] - kept[3100][1]).max() < 1e-12
        assert np.abs(y[k] - kept[4100][0]).max() < 1e-12
    assert charge[0].tolist() == [-1, 1, -1, -1, -1]
    assert np.allclose(
        x[0, 0], [2.98911632, 1.76937012, -1.17129428, 1.13381104, 0.39568061, -0.22660657, -1], atol=5e-9
    )
    assert np.allclose(y[0, 0], [4.16549984, 2.19130914, -1.3826188], atol=5e-9)


def test_momentum_is_conserved_and_energy_nearly():
    """Forces cancel in pairs (where none is clipped), and a symplectic step of 1 ms drifts little in energy."""
    charge, loc, vel = draws(64)
    speed = vel.sum(1)
    start, drift = energy(charge, loc, vel), []
    for _, x, v in frames(charge, loc, vel, TARGET + 1):
        assert np.median(np.abs(v.sum(1) - speed).max(1)) < 1e-12
        drift.append(np.abs(energy(charge, x, v) - start))
    assert np.median(np.max(drift, 0)) < 0.02


def test_start_is_reflected_into_the_box(monkeypatch):
    from datasets.nbody import simulator

    _, free, speed = draws(20)
    monkeypatch.setattr(simulator, "BOX", 1.5)
    _, loc, vel = simulator.draws(20)
    high, low, out = free > 1.5, free < -1.5, np.abs(free) > 1.5
    assert high.sum() > 5 and low.sum() > 5 and np.abs(free).max() < 4.5  # one reflection is enough
    assert np.array_equal(loc[~out], free[~out]) and np.array_equal(vel[~out], speed[~out])
    assert np.array_equal(loc[high], 3 - free[high]) and np.array_equal(vel[high], -np.abs(speed[high]))
    assert np.array_equal(loc[low], -3 - free[low]) and np.array_equal(vel[low], np.abs(speed[low]))


def fold(cache: Path, name: str = "0", **sizes):
    config = Config(name="nbody", **({"train": 6, "val": 4, "test": 4, "splits": 2} | sizes))
    return load(config, fold=name, source="simulated", root=Path(), cache=cache)


def test_folds_are_disjoint_slices_of_the_three_parts(tmp_path):
    charge, loc, vel = draws(12_008)
    first, second = fold(tmp_path), fold(tmp_path, "1")
    for bundle, start in ((first, 0), (second, 1)):
        for part, offset, size in (("train", 0, 6), ("val", 10_000, 4), ("test", 12_000, 4)):
            rows = offset + start * size + np.arange(size)
            x, y = simulate(charge[rows], loc[rows], vel[rows])
            split = getattr(bundle, part)
            assert np.array_equal(split.x, x.astype(np.float32)) and np.array_equal(split.y, y.astype(np.float32))
    assert first.fingerprint != second.fingerprint


def test_cache_is_checked_by_content(tmp_path):
    before = fold(tmp_path)
    (path,) = (tmp_path / "nbody").iterdir()
    with np.load(path) as kept:
        arrays = dict(kept)
    arrays["x"] = arrays["x"] + 1
    np.savez(path, **arrays)
    assert np.array_equal(fold(tmp_path).train.x, before.train.x)
    path.write_bytes(b"damaged")
    assert fold(tmp_path).fingerprint == before.fingerprint


def test_regression_task(tmp_path):
    bundle = fold(tmp_path)
    y = bundle.test.y
    assert [m.value for m in bundle.task.score(bundle, {"y": y})] == [0.0, 0.0]
    assert bundle.task.score(bundle, {"y": y + 2})[0].value == pytest.approx(4)
    assert bundle.task.score(bundle, bundle.task.trivial(bundle))[0].value > 0.01
    with pytest.raises(ValueError, match="test split needs"):
        bundle.task.score(bundle, {"y": y[:1]})
