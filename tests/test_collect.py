"""Merging results folders: nothing lost, nothing overwritten unseen, killed and repeated at will."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys

import pytest

from bench import cell, collect, plan, store
from bench.schema import SCHEMA, BenchError
from tests.conftest import ROOT


def record(key: str, value: float = 0.5, status: str = "done", **more) -> dict:
    metrics = [{"metric": "accuracy", "value": value, "better": "higher", "unit": "fraction"}]
    return {
        "schema": SCHEMA,
        "key": key,
        "status": status,
        "method": "m",
        "data": "d",
        "origin": "simulated",
        "scale": "smoke",
        "fold": "0",
        "seed": 0,
        "identity": {"method": ["m", 1, {}], "data": ["d", 1, {}]},
        "metrics": metrics if status == "done" else [],
        "error": "a reason" if status == "failed" else None,
        "git_sha": "0123456789abcdef",
        "dirty": False,
        **more,
    }


def put(out, rec: dict, files: dict[str, bytes] | None = None):
    folder = out / "cells" / rec["method"] / rec["data"] / rec["key"]
    store.write_cell(folder, rec)
    for name, content in (files or {}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def content(out) -> dict[str, bytes]:
    return {str(p.relative_to(out)): p.read_bytes() for p in sorted(out.rglob("*")) if p.is_file()}


def merge(*folders, out) -> tuple[dict, list[str]]:
    said: list[str] = []
    return collect.collect(folders, out, said.append), said


FILES = {"predictions.npz": b"p", "curves.npz": b"c", "figures/one.png": b"f", "figures/two.png": b"g"}


def test_a_cell_comes_whole_and_locks_checkpoints_and_temporary_files_stay(tmp_path):
    a, out = tmp_path / "a", tmp_path / "out"
    folder = put(a, record("k"), FILES)
    for name in ("last.ckpt", "last.7.part", ".cell.json.1.ab", ".lock.ab", "figures/.draft"):
        (folder / name).write_bytes(b"x")
    (folder / "link").symlink_to(tmp_path)
    before = content(a)
    found, said = merge(a, out=out)
    copy = out / "cells" / "m" / "d" / "k"
    assert found["copied"] == 1 and said == []
    assert content(copy) == {**FILES, store.ROW: (folder / store.ROW).read_bytes()}
    assert content(a) == before
    again, said = merge(a, out=out)
    assert (again["copied"], again["same"], said) == (0, 1, []) and content(copy).keys() == {*FILES, store.ROW}


def test_a_finished_cell_replaces_a_failed_one_whichever_side_it_is_on(tmp_path):
    a, b, out = tmp_path / "a", tmp_path / "b", tmp_path / "out"
    put(a, record("k", status="failed"), {"curves.npz": b"old", "last.ckpt": b"old"})
    put(b, record("k"), {"predictions.npz": b"new"})
    found, said = merge(a, b, out=out)
    assert found["copied"] == 1 and len(found["replaced"]) == 1 and "a reason" in said[0]
    copy = out / "cells" / "m" / "d" / "k"
    assert content(copy).keys() == {store.ROW, "predictions.npz"}, "files of the failed attempt are left"
    found, said = merge(a, out=out)  # now the failed one comes second
    assert len(found["kept"]) == 1 and "failed (a reason)" in said[0] and store.read_cell(copy)["status"] == "done"
    put(tmp_path / "c", record("k", status="failed", error="another"))
    assert merge(tmp_path / "c", out=a)[0]["same"] == 1  # both failed: nothing is better


def test_a_failed_row_leaves_the_checkpoint_of_this_machine(tmp_path):
    a, out = tmp_path / "a", tmp_path / "out"
    put(a, record("k", status="failed"))
    copy = out / "cells" / "m" / "d" / "k"
    copy.mkdir(parents=True)
    (copy / "last.ckpt").write_bytes(b"epoch 7")
    merge(a, out=out)
    assert content(copy).keys() == {store.ROW, "last.ckpt"}


def test_finished_cells_that_differ_are_named_and_nothing_is_overwritten(tmp_path, capsys):
    a, b, out = tmp_path / "a", tmp_path / "b", tmp_path / "out"
    put(a, record("k", 0.5), {"predictions.npz": b"a"})
    put(b, record("k", 0.75, git_sha="f" * 40, dirty=True), {"predictions.npz": b"b"})
    put(b, record("other"))
    assert collect.main([str(a), str(b), f"out={out}"]) == 1
    text = capsys.readouterr().out
    for part in (
        "m/d/k",
        "accuracy 0.5 and 0.75",
        str(a),
        str(b),
        "0123456789",
        "ffffffffff+",
        "1 conflicts",
        "2 copied",
    ):
        assert part in text
    assert content(out / "cells/m/d/k")["predictions.npz"] == b"a" and (out / "cells/m/d/other").is_dir()
    assert collect.main([str(b), f"out={out}", "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    [conflict] = found["conflicts"]
    assert conflict["metrics"] == [{"metric": "accuracy", "values": [0.5, 0.75]}]
    assert conflict["folders"] == [str(out), str(b)] and found["same"] == 1


def test_what_counts_as_the_same_value(tmp_path):
    a, out = tmp_path / "a", tmp_path / "out"
    more = [{"metric": "nll", "value": 1.0, "better": "lower", "unit": "nat"}]
    for key, ours, theirs, differs in (
        ("equal", record("equal"), record("equal", wall_s=9.0), False),
        ("rounding", record("rounding", 0.1 + 0.2), record("rounding", 0.3), False),
        ("digit", record("digit", 0.3), record("digit", 0.3 + 1e-12), True),
        ("metric", record("metric"), record("metric", metrics=record("metric")["metrics"] + more), True),
        ("skipped", record("skipped"), record("skipped", status="skip"), True),
        ("skips", record("skips", status="skip"), record("skips", status="skip"), False),
    ):
        put(out, ours), put(a, theirs)
        found, _ = merge(a, out=out)
        assert [c["cell"] for c in found["conflicts"]] == ([f"m/d/{key}"] if differs else []), key
        for side in (a, out):
            (side / "cells/m/d" / key / store.ROW).unlink()


@pytest.mark.parametrize(
    "row",
    [
        b"{",
        b"[1]",
        json.dumps({"schema": "1", "key": "bad"}).encode(),
        json.dumps(record("bad", schema=SCHEMA + 1)).encode(),
        json.dumps(record("elsewhere")).encode(),
        json.dumps(record("bad", value=float("nan"))).encode(),
    ],
    ids=["half", "list", "schema", "newer", "another", "nan"],
)
@pytest.mark.parametrize("where", ["source", "out"])
def test_unreadable_rows_are_named_and_the_others_kept(tmp_path, row, where):
    a, out = tmp_path / "a", tmp_path / "out"
    put(a, record("bad")), put(a, record("good"))
    bad = put(a if where == "source" else out, record("bad")) / store.ROW
    bad.write_bytes(row)
    found, said = merge(a, out=out)
    assert found["copied"] == 1 and found["unreadable"] and str(bad) in said[0]
    assert bad.read_bytes() == row and (out / "cells/m/d/bad").exists() == (where == "out")


def test_cells_that_run_are_left_to_their_process(tmp_path):
    a, out = tmp_path / "a", tmp_path / "out"
    folder = put(a, record("k"))
    with store.Lock(folder):
        found, said = merge(a, out=out)
        assert found["copied"] == 0 and found["busy"] and f"process {os.getpid()}" in said[0]
    with store.Lock(out / "cells/m/d/k"):
        found, said = merge(a, out=out)
        assert found["copied"] == 0 and found["busy"] and str(out) in said[0]
    assert merge(a, out=out)[0]["copied"] == 1


def test_a_row_that_changes_while_it_is_copied_is_left(tmp_path, monkeypatch):
    a, out = tmp_path / "a", tmp_path / "out"
    folder = put(a, record("k"), {"predictions.npz": b"p"})
    copy2 = collect.shutil.copy2

    def slow(*args):
        copy2(*args)
        store.write_cell(folder, record("k", 0.9))

    monkeypatch.setattr(collect.shutil, "copy2", slow)
    found, said = merge(a, out=out)
    assert found["copied"] == 0 and "changed while it was copied" in said[0] and not content(out)


def test_wrong_words_are_one_sentence(tmp_path):
    a = tmp_path / "a"
    put(a, record("k"))
    (tmp_path / "empty").mkdir()
    for words, part in (
        ([a], "out is needed"),
        ([a, "out="], "out is needed"),
        ([a, f"out={tmp_path}/x", f"out={tmp_path}/y"], "out is needed once"),
        ([f"out={tmp_path}/x"], "no results folder is named"),
        ([tmp_path / "absent", f"out={tmp_path}/x"], "is no folder"),
        ([tmp_path / "empty", f"out={tmp_path}/x"], "has no folder cells/"),
        ([a, f"out={a}"], "lies inside"),
        ([a, f"out={a}/cells/deeper"], "lies inside"),
        ([a / "cells", f"out={a}"], "lies inside"),
        ([a, f"out={a / 'cells/m/d/k' / store.ROW}/x"], "lies inside"),
    ):
        with pytest.raises(BenchError, match=part) as error:
            collect.main([str(w) for w in words])
        assert "\n" not in str(error.value)
    (tmp_path / "file").write_text("")
    with pytest.raises(BenchError, match="cannot be written"):
        collect.main([str(a), f"out={tmp_path / 'file' / 'x'}"])


def test_a_full_disk_leaves_no_half_cell(tmp_path, monkeypatch):
    a, out = tmp_path / "a", tmp_path / "out"
    put(a, record("k"), FILES)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(collect.shutil, "copy2", full)
    with pytest.raises(BenchError, match="No space left on device"):
        merge(a, out=out)
    assert not content(out)


def test_a_cells_folder_and_the_same_folder_twice(tmp_path):
    a, out = tmp_path / "a", tmp_path / "out"
    put(a, record("k"))
    found, _ = merge(a / "cells", a, tmp_path / "a" / ".." / "a", out=out)
    assert found["folders"] == [str(a)] and (found["copied"], found["same"]) == (1, 0)


@pytest.mark.parametrize("moment", ["files", "row"])
def test_killed_and_repeated(tmp_path, moment):
    a, out = tmp_path / "a", tmp_path / "out"
    put(a, record("first"), FILES), put(a, record("second"), FILES)

    def die(*_):
        os._exit(9)

    def victim():
        if moment == "files":
            collect.os.replace = die
        else:
            collect.store.write_atomic = die
        collect.collect([a], out, print)

    process = multiprocessing.get_context("fork").Process(target=victim)
    process.start()
    process.join()
    assert process.exitcode == 9 and not list(store.scan(out)), "a half cell"
    assert (out / "cells/m/d/first" / collect.STAGE).exists()
    found, _ = merge(a, out=out)
    assert found["copied"] == 2
    for key in ("first", "second"):
        assert content(out / "cells/m/d" / key).keys() == {*FILES, store.ROW}


def test_shards_of_real_cells_come_together(tmp_path):
    words = ["method=bw_descent", "scale=smoke", "method.cap=30"]
    runs = {
        name: [*words, f"out={tmp_path / name}", *extra]
        for name, extra in (
            ("whole", []),
            ("one", ["shard=[0,2]"]),
            ("two", ["shard=[1,2]"]),
        )
    }
    for overrides in runs.values():
        assert {cell.run(c)[0] for c in plan.expand(overrides)} == {"done"}
    found, said = merge(tmp_path / "one", tmp_path / "two" / "cells", out=tmp_path / "merged")
    assert found["copied"] == 4 and said == []
    values = [{r["key"]: r["metrics"] for r in store.scan(tmp_path / name)} for name in ("whole", "merged")]
    assert values[0] == values[1]
    merged = plan.expand([*words, f"out={tmp_path / 'merged'}"])
    assert {cell.run(c)[0] for c in merged} == {"kept"}
    assert merge(tmp_path / "whole", out=tmp_path / "merged")[0]["same"] == 4


def test_writers_killed_at_random_lose_and_double_nothing():
    """The short form of scripts/kill_study.py: 6 of 4 writers' processes get SIGKILL."""
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts/kill_study.py"), "--kills", "6", "--cells", "24"],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "6 kills under 4 writers" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0 and "lost 0, torn 0, wrong 0, doubled 0, litter 0" in done.stdout, done.stdout
