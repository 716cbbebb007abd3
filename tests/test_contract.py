"""The contract that every method and every data set keeps, found by name: a new plugin is tested without touching this file."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench import cell as cells
from bench import choices, plan, registry, store
from bench.schema import Arrays, load_object

METHODS, DATA = sorted(registry.options("method")), sorted(registry.options("data"))
# machine time and memory are measurements of the run, not of the method
VOLATILE = ("s", "MB", "Wh")


def smallest(method: str, out) -> plan.Cell:
    """The method's own default data, made without files, at smoke scale, first fold."""
    return plan.expand(
        [
            f"method={method}",
            "data.source=synthetic",
            "scale=smoke",
            "fold=0",
            f"out={out}",
            "trainer.checkpoint_every_s=1e9",
        ]
    )[0]


@pytest.mark.parametrize("method", METHODS)
def test_method(method, tmp_path):
    """Runs twice to the same numbers, with complete rows, no NaN, and better than the trivial predictor by its margin."""
    records = []
    for run in ("a", "b"):
        cell = smallest(method, tmp_path / run)
        outcome, record = cells.run(cell)
        assert outcome == "done", (record or {}).get("traceback") or (record or {}).get("error")
        records.append(record)
    first, second = ([m for m in r["metrics"] if m["unit"] not in VOLATILE] for r in records)
    assert first == second, "two runs of one cell differ"
    record = store.read_cell(cell.folder)
    assert record == records[1]
    assert set(store.COLUMNS) - {"metric", "value", "better", "unit"} <= record.keys()
    for column in (
        "key",
        "method",
        "data",
        "kind",
        "origin",
        "group",
        "wall_s",
        "overhead_s",
        "cpu_s",
        "rss_peak_mb",
        "code_fp",
        "data_fp",
    ):
        assert record[column] is not None, column
    assert record["metrics"] and all(math.isfinite(m["value"]) for m in record["metrics"])
    assert record["origin"] != "real"
    beats_trivial(cell, record)


def beats_trivial(cell: plan.Cell, record: dict) -> None:
    margin = type(cell.method).margin
    if margin is None or record["main"] is None:
        return
    bundle = cells.load(cell)
    trivial = {m.name: m for m in bundle.task.score(bundle, bundle.task.trivial(bundle))}[record["main"]]
    ours = next(m["value"] for m in record["metrics"] if m["metric"] == record["main"])
    gain = ours - trivial.value if trivial.better == "higher" else trivial.value - ours
    assert gain >= margin, (
        f"{ours:.3f} against {trivial.value:.3f} of the trivial predictor: gain below the stated margin {margin}"
    )


@pytest.mark.parametrize("method", METHODS)
def test_paper_scale_composes_and_starts(method, tmp_path):
    """The paper's own scale is one command away: every null is filled, and a network takes its first step.

    Network and samples are of the paper's size; the step takes at most 16 of them, and what is measured afterwards is cut short.
    """
    words = [f"method={method}", "data.source=synthetic", "scale=paper", "fold=0", f"out={tmp_path}"]
    cell = plan.expand(words)[0]
    if hasattr(cell.method, "max_steps"):
        assert cell.method.epochs
        for field, most in (("batch", 16), ("meter", 1), ("feature_metrics", False)):
            if getattr(cell.method, field, None):
                words.append(f"method.{field}={min(getattr(cell.method, field), most)}")
        outcome, record = cells.run(plan.expand([*words, "method.max_steps=1"])[0])
        assert outcome == "done", record["traceback"]


@pytest.mark.parametrize("method", METHODS)
def test_method_states_its_facts(method):
    cls = registry.config_class("method", choices.owner("method", method))
    assert cls.accepts and cls.plugin and cls.__doc__ and not cls.__doc__.startswith("Config(")
    plugin = load_object(cls.plugin)
    assert callable(plugin.run) and callable(plugin.skip)
    assert all(help for _, _, help in choices_of(cls)), "a field without a help text"


def choices_of(cls):
    from bench.schema import describe

    return describe(cls)


@pytest.mark.parametrize("data", DATA)
def test_data(data, tmp_path):
    """Loads without files, keeps the Bundle's promises, and gives another fingerprint for another fold."""
    methods = [m for m in METHODS if choices.default_data(m) == data] or [
        m for m in METHODS if plan.fits_name(registry.config_class("method", choices.owner("method", m))(name=m), data)
    ]
    assert methods, "no method takes this kind of data"
    bundles = []
    for fold in ("0", "-1"):
        words = [f"method={methods[0]}", f"data={data}", "data.source=synthetic", "scale=smoke", f"out={tmp_path}"]
        if fold == "-1":
            folds = plan.expand([*words, "fold=all"])
            if len(folds) < 2:
                break
            bundles.append(cells.load(folds[-1]))
        else:
            cell = plan.expand([*words, "fold=0"])[0]
            bundles.append(cells.load(cell))
    b = bundles[0]
    assert b.kind == cell.data.kind and b.origin in ("simulated", "synthetic_twin") and len(b.fingerprint) == 64
    for split in [s for s in (b.train, b.val, b.test) if s is not None]:
        assert len(split) > 0
        if isinstance(split, Arrays) and isinstance(split.x, np.ndarray) and split.x.dtype.kind == "f":
            assert split.x.shape[1:] == b.shape and np.isfinite(split.x).all()
    if isinstance(b.train, Arrays) and isinstance(b.train.x, np.ndarray) and b.test is not None:
        seen = {x.tobytes() for x in b.train.x}
        assert not any(x.tobytes() in seen for x in b.test.x), "a test sample is in the training split"
    assert b.card, "no card: licence, source, citation"
    if len(bundles) == 2:
        assert bundles[0].fingerprint != bundles[1].fingerprint
