"""Rows on disk: whole or not at all, one writer per cell, every unreadable file told and nothing else lost."""

from __future__ import annotations

import json
import multiprocessing
import os
import time

import pandas as pd
import pytest

from bench import store
from bench.schema import SCHEMA, BenchError

RECORD = {
    "schema": SCHEMA,
    "key": "k",
    "status": "done",
    "method": "m",
    "data": "d",
    "origin": "simulated",
    "scale": "smoke",
    "fold": "0",
    "seed": 0,
    "identity": {"method": ["m", 1, {}], "data": ["d", 1, {}]},
    "metrics": [
        {"metric": "accuracy", "value": 0.5, "better": "higher", "unit": "fraction"},
        {"metric": "nll", "value": 1.0, "better": "lower", "unit": "nat"},
    ],
}


def test_round_trip_and_long_format(tmp_path):
    folder = tmp_path / "cells" / "m" / "d" / "k"
    store.write_cell(folder, RECORD)
    assert store.read_cell(folder) == RECORD
    rows = store.rows(RECORD)
    assert [list(r) for r in rows] == [[*store.COLUMNS, "not_comparable"]] * 2 and [r["metric"] for r in rows] == [
        "accuracy",
        "nll",
    ]
    assert rows[0]["not_comparable"] == "no printed number is known"
    failed = store.rows({**RECORD, "metrics": [], "status": "failed"})[0]
    assert failed["value"] is None and failed["not_comparable"] == "failed"
    assert [p.name for p in folder.iterdir()] == [store.ROW]  # no temporary file stays


def test_committed_rows_say_what_belongs_to_a_cell_once(tmp_path):
    pair = [RECORD, {**RECORD, "key": "b" * 16, "seed": 1}]
    (tmp_path / "full.csv").write_text(store.csv_text(pair))
    (tmp_path / "short.csv").write_text(store.csv_text(pair, short=True))
    assert list(store.read_csv(tmp_path / "short.csv")) == list(store.read_csv(tmp_path / "full.csv"))
    full, short = (pd.read_csv(tmp_path / f"{name}.csv", dtype=str) for name in ("full", "short"))
    assert short["method"].isna().tolist() == [False, True, False, True] and not short["value"].isna().any()
    filled = short.set_index("key").groupby("key").ffill().reset_index()
    pd.testing.assert_frame_equal(filled[full.columns], full)


def test_nan_is_never_stored(tmp_path):
    with pytest.raises(ValueError):
        store.write_cell(tmp_path, {**RECORD, "metrics": [{"value": float("nan")}]})
    assert store.read_cell(tmp_path) is None


def test_a_failed_write_leaves_the_old_row(tmp_path, monkeypatch):
    store.write_cell(tmp_path, RECORD)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError):
        store.write_cell(tmp_path, {**RECORD, "key": "new"})
    assert store.read_cell(tmp_path)["key"] == "k" and len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"status": "done"}', b'{"schema": 1, "status": "done", "key": "abc"}', b"\xff\xfe"]
)
def test_unreadable_rows_are_named_and_the_others_kept(tmp_path, content):
    good, bad = (tmp_path / "cells" / "m" / "d" / k for k in ("good", "bad"))
    store.write_cell(good, RECORD)
    bad.mkdir()
    (bad / store.ROW).write_bytes(content)
    found = list(store.scan(tmp_path))
    assert RECORD in found and len(found) == 2
    error = next(f for f in found if isinstance(f, BenchError))
    assert str(bad / store.ROW) in str(error) and "run the cell again" in str(error)


def test_rows_of_a_newer_schema_are_refused(tmp_path):
    store.write_cell(tmp_path, {**RECORD, "schema": SCHEMA + 1})
    with pytest.raises(BenchError, match="newer version"):
        store.read_cell(tmp_path)


# ---------------------------------------------------------------------------------------------- locks


def test_one_holder_at_a_time(tmp_path):
    with store.Lock(tmp_path) as mine:
        assert mine
        second = store.Lock(tmp_path)
        with second as too:
            assert not too and f"process {os.getpid()}" in second.holder
        assert store.holder(tmp_path).startswith(f"process {os.getpid()}")
    assert not (tmp_path / "lock").exists() and store.holder(tmp_path) == ""


def test_the_lock_of_a_dead_process_is_taken_over(tmp_path):
    process = multiprocessing.get_context("fork").Process(
        target=lambda: (store.Lock(tmp_path).__enter__(), os._exit(9))
    )
    process.start()
    process.join()
    assert (tmp_path / "lock").exists() and store.holder(tmp_path) == ""
    with store.Lock(tmp_path) as mine:
        assert mine


def test_a_reused_pid_is_not_the_old_process(tmp_path):
    (tmp_path / "lock").write_text(
        json.dumps({"host": store._machine(), "pid": os.getpid(), "born": "1", "token": "x"})
    )
    with store.Lock(tmp_path) as mine:
        assert mine


def test_the_lock_of_another_host_holds_while_its_heart_beats(tmp_path):
    lock = tmp_path / "lock"
    lock.write_text(json.dumps({"host": "elsewhere", "pid": 1, "born": "", "token": "x"}))
    with store.Lock(tmp_path) as mine:
        assert not mine
    old = time.time() - store.STALE_S - 1
    os.utime(lock, (old, old))
    with store.Lock(tmp_path) as mine:
        assert mine


def _compete(folder, start, wins):
    start.wait()
    for i in range(20):
        with store.Lock(folder / str(i)) as mine:
            if mine and store.read_cell(folder / str(i)) is None:
                wins.put(i)
                store.write_cell(folder / str(i), {**RECORD, "key": f"{os.getpid()}-{i}"})


def test_ten_processes_writing_at_once_lose_and_double_nothing(tmp_path):
    context = multiprocessing.get_context("fork")
    for i in range(20):  # every cell starts under the lock of a dead process
        (tmp_path / str(i)).mkdir()
        (tmp_path / str(i) / "lock").write_text(
            json.dumps({"host": store._machine(), "pid": 2**22 - 1, "born": "1", "token": "dead"})
        )
    start, wins = context.Event(), context.Queue()
    workers = [context.Process(target=_compete, args=(tmp_path, start, wins)) for _ in range(10)]
    for w in workers:
        w.start()
    start.set()
    won = sorted(wins.get(timeout=30) for _ in range(20))
    for w in workers:
        w.join(30)
    assert won == list(range(20)) and wins.empty()
    for i in range(20):
        assert store.read_cell(tmp_path / str(i))["key"].endswith(f"-{i}")
        assert [p.name for p in (tmp_path / str(i)).iterdir()] == [store.ROW]


def test_an_unwritable_or_full_folder_is_said_at_the_start(tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(BenchError, match=r"cannot be written.*out=<folder>"):
        store.check_writable(blocked / "results")
    import shutil

    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 0))
    with pytest.raises(BenchError, match="0 MB of free space"):
        store.check_writable(tmp_path)
