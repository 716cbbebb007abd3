"""Pedestrian trajectories: windows, splits without leaks, the stand-in's known law, forecasts and the methods on them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from bench import cell as cells
from bench import plan
from bench.schema import BenchError
from datasets.pedestrians.adapter import _some as some
from datasets.pedestrians.adapter import load
from datasets.pedestrians.config import FILES, SITES, Config
from datasets.pedestrians.task import ForecastTask
from datasets.pedestrians.twin import AXES, MEMORY, SPEED, walk
from datasets.pedestrians.windows import cut, read_table, split_in_time
from models.constant_velocity.plugin import go_on

REAL = Path(os.environ.get("BENCH_DATA", "nowhere"))
NOWHERE = Path("nowhere")


def twin(fold: str = "hotel", **choices):
    return load(Config(name="pedestrians", **choices), fold=fold, source="synthetic", root=NOWHERE, cache=NOWHERE)


def test_windows_are_consecutive_and_of_one_pedestrian():
    """Frames 0, 10, .. of two pedestrians, one of them lost for a step: every window by hand."""
    one = [[f, 1, f / 10, 0.0] for f in (0, 10, 20, 30, 40)]
    two = [[f, 2, f / 10, 5.0] for f in (0, 10, 30, 40, 50)]  # not seen at 20
    table = np.array(two + one)
    places, ends = cut(table, 3)
    assert [(p[0, 0], p[0, 1], e) for p, e in zip(places, ends, strict=True)] == [
        (0.0, 0.0, 20.0), (1.0, 0.0, 30.0), (2.0, 0.0, 40.0), (3.0, 5.0, 50.0),
    ]  # fmt: skip
    assert np.allclose(np.diff(places[..., 0], axis=1), 1.0)
    assert cut(table, 6)[0].shape == (0, 6, 2) and cut(table, 40)[0].shape == (0, 40, 2)


def test_validation_comes_after_training():
    """No position of a validation window is in a training window, and windows across the border are dropped."""
    table = walk(30, "eth", np.random.default_rng(0))
    places, ends = cut(table, 12)
    first = ends - 110
    early, late = split_in_time(places, ends, first, 0.2)
    assert len(early) + len(late) < len(places) and len(late) > 10
    seen = {tuple(p) for p in early.reshape(-1, 2)}
    assert not seen & {tuple(p) for p in late.reshape(-1, 2)}


def test_no_recording_of_the_tested_place_trains(monkeypatch):
    """The tables read for a fold are those of the recording itself and of other places."""
    from datasets.pedestrians import adapter

    read = []
    tables = adapter._tables
    monkeypatch.setattr(adapter, "_tables", lambda c, name, *rest: read.append(name) or tables(c, name, *rest))
    for fold, site in SITES.items():
        read.clear()
        twin(fold)
        assert set(read) == {n for n, s in SITES.items() if s != site} | {fold}


def test_bundle_holds_vectors_from_the_present():
    """Five earlier and six later positions relative to the present, on the ground, float32; a fold is one test recording."""
    b = twin(n_train=50, n_val=20, n_test=30)
    assert [len(s) for s in (b.train, b.val, b.test)] == [50, 20, 30] and b.origin == "synthetic_twin"
    assert b.train.x.shape == (50, 15) and b.train.y.shape == (50, 18) and b.train.x.dtype == np.float32
    assert not b.test.y.reshape(30, 6, 3)[..., 2].any()
    # steps follow each other: the last earlier position, 0, and the first later one
    steps = np.diff(
        np.concatenate([b.test.x.reshape(30, 5, 3), np.zeros((30, 1, 3)), b.test.y.reshape(30, 6, 3)], 1), axis=1
    )
    assert np.abs(np.linalg.norm(steps, axis=-1).mean() - 0.4 * SPEED) < 0.1
    assert twin(past=8, future=12).train.y.shape[1] == 36


def test_stand_in_has_its_law():
    """Main directions and mean speed of each place come back, and so does the memory of the velocity, from its autocovariance."""
    for site, degrees in AXES.items():
        table = walk(800, site, np.random.default_rng(1))
        places = table[:, 2:].reshape(800, -1, 2)
        v = np.diff(places, axis=1) / 0.4
        _, axes = np.linalg.eigh(np.einsum("nki,nkj->ij", v, v))
        angle = np.degrees(np.arctan2(axes[1, 1], axes[0, 1])) % 180
        assert min(abs(angle - degrees), 180 - abs(angle - degrees)) < 3
        assert abs(np.linalg.norm(v, axis=-1).mean() - SPEED) < 0.05
    d = np.diff(
        v[:, 20:], axis=1
    )  # of v' = u + rho (v - u) + noise: cov(d, d') / var(d) = -(1 - rho) / 2, whatever u is
    now, later = d[:, :-1].ravel(), d[:, 1:].ravel()
    assert abs(1 + 2 * (now @ later) / (now @ now) - MEMORY) < 0.05


def test_scores_by_hand():
    """ADE is the mean over steps, FDE the last step; standing still is the trivial forecast."""
    b = twin(n_test=10)
    guess = b.test.y.copy().reshape(10, 6, 3)
    guess[:, :, 0] += 0.1 * np.arange(1, 7)
    m = {k.name: k.value for k in ForecastTask().score(b, {"y": guess.reshape(10, -1)})}
    assert np.isclose(m["ade"], 0.35, atol=1e-6) and np.isclose(m["fde"], 0.6, atol=1e-6)
    assert np.array_equal(b.task.trivial(b)["y"], np.zeros((10, 18)))
    with pytest.raises(ValueError, match="needs"):
        b.task.score(b, {"y": guess[:5]})


def test_constant_velocity_is_exact_on_straight_paths():
    """x_k = k v from x_-j = -j v, for every number of averaged steps; the average is what several steps give."""
    v = torch.randn(7, 3, dtype=torch.float64)
    past = -torch.arange(5, 0, -1, dtype=torch.float64)[:, None] * v[:, None]
    for steps in (1, 3, 5):
        assert torch.allclose(go_on(past, steps, 6)[:, 5], 6 * v)
    past[:, 2] += 1.0
    assert torch.allclose(go_on(past, 3, 1)[:, 0], v - 1 / 3)


def run(tmp_path, *words):
    cell = plan.expand(
        [
            "data=pedestrians",
            "data.source=synthetic",
            "scale=smoke",
            "fold=hotel",
            f"out={tmp_path}",
            "trainer.threads=1",
            *words,
        ]
    )[0]
    outcome, record = cells.run(cell)
    assert outcome == "done", record["traceback"]
    return {m["metric"]: m["value"] for m in record["metrics"]}


def test_methods_run_and_report_the_meter(tmp_path):
    """Constant velocity and a network held in O(3) commute with O(3) and beat standing still where people walk in another direction."""
    m = run(tmp_path, "method=constant_velocity")
    assert m["equivariance_error_adversarial"] < 1e-12 and m["ade"] < 0.5
    words = ("method.epochs=30", "method.weight_decay=0", "method.start=0.5", "method.power=5")
    hard = run(tmp_path, "method=soft_emlp", *words)
    assert hard["equivariance_error_adversarial_o3"] < 1e-10
    soft = run(tmp_path, "method=soft_equivariance", *words, "method.init_equiv=0.3")
    assert {"strength_o2xy", "residual_o2yz", "equivariance_error_adversarial_o2xz"} <= soft.keys()
    assert hard["ade"] < 1.0  # standing still has 1.8


def test_bad_input_is_told(tmp_path):
    with pytest.raises(BenchError, match="it has eth to"):
        twin("zara04")
    with pytest.raises(BenchError, match="lower one of them"):
        Config(name="x", past=12, future=12).check()
    bad = tmp_path / "bad.txt"
    for text, words in (("1 2 three 4\n", "no table"), ("1 2 nan 4\n", "NaN")):
        bad.write_text(text)
        with pytest.raises(BenchError, match=words):
            read_table(bad)
    with pytest.raises(BenchError, match="two at least"):
        cut(np.array([[0.0, 1, 0, 0]]), 3)
    with pytest.raises(BenchError, match="no test window"):
        some([np.zeros((0, 12, 2))], None, "test", np.random.default_rng(0))


@pytest.mark.real
@pytest.mark.skipif(not (REAL / "eth_ucy").is_dir(), reason="no ETH/UCY recordings under BENCH_DATA")
def test_published_recordings():
    """Pedestrians and windows of twelve steps in each recording; walking speeds of people; checksums hold."""
    known = {
        "eth": (360, 5074),
        "hotel": (390, 2819),
        "zara01": (148, 3379),
        "zara02": (204, 7282),
        "students003": (434, 13232),
    }
    for name, (people, windows) in known.items():
        table = read_table(REAL / FILES[name][0].path)
        places, _ = cut(table, 12)
        assert len(np.unique(table[:, 1])) == people and len(places) == windows
        assert np.linalg.norm(np.diff(places, axis=1), axis=-1).max() < 0.4 * 6  # nobody outruns 6 m/s
    b = load(Config(name="pedestrians", n_test=500), fold="hotel", source="real", root=REAL, cache=REAL)
    assert b.origin == "real" and len(b.test) == 500 and len(b.train) > 30000
    speed = np.linalg.norm(b.train.y.reshape(len(b.train), 6, 3)[:, 0], axis=-1) / 0.4
    assert 0.5 < np.median(speed) < 1.6
