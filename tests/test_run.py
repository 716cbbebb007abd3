"""The command as a user types it: start-up, three spellings, idempotence, kill -9, failures, quiet pipes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from bench import store
from tests.conftest import ROOT, command

TINY = ("data.source=synthetic", "scale=smoke", "fold=0")


def record(out) -> dict:
    found = list(store.scan(out))
    assert len(found) == 1 and isinstance(found[0], dict)
    return found[0]


def values(rec: dict) -> list:
    return [(m["metric"], m["value"]) for m in rec["metrics"]]


# ---------------------------------------------------------------------------------------------- start-up

SMALL = (
    "import sys; sys.path.insert(0, sys.argv[1]); from bench.cli import main; main(sys.argv[2:]);"
    "sys.exit(len({'torch', 'lightning', 'pandas', 'mne'} & set(sys.modules)))"
)


@pytest.mark.parametrize(
    "words", [["list"], ["plan", "experiment=gbw_rbn/mamem"], ["doctor"], ["list", "method=gbw_rbn"]]
)
def test_answers_without_torch_in_under_a_second(words, tmp_path):
    best = float("inf")
    for _ in range(3):  # CPU time of the child; the best of three, since other processes share the caches
        before = os.times()
        done = command("-c", SMALL, str(ROOT), *words, *([f"out={tmp_path}"] if words[0] != "list" else []))
        after = os.times()
        best = min(best, after.children_user - before.children_user + after.children_system - before.children_system)
        assert done.returncode == 0, done.stdout + done.stderr
    limit = 1.0 + (0.06 * 6 if words[0] == "plan" else 0)  # plus 0.06 s for each distinct method of a plan
    assert best < limit


def test_help_is_fast_and_lists_the_options():
    best = float("inf")
    for _ in range(3):
        before = os.times()
        done = command("--help")
        after = os.times()
        best = min(best, after.children_user - before.children_user + after.children_system - before.children_system)
        assert done.returncode == 0 and "gbw_rbn" in done.stdout and "scale" in done.stdout
    assert best < 1.0


def test_three_spellings_are_the_same_from_any_directory(tmp_path):
    spellings = (
        [sys.executable, str(ROOT / "bench/run.py")],
        [sys.executable, "-m", "bench", "run"],
        [sys.executable, "-c", "import sys; from bench.cli import main; sys.exit(main(sys.argv[1:]))", "run"],
    )
    keys = set()
    for i, words in enumerate(spellings):
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        done = subprocess.run(
            [*words, "method=mdm", *TINY, "out=res"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env=env,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        assert ("finished before" in done.stdout) == (i > 0)
        keys.add(record(tmp_path / "res")["key"])
    assert len(keys) == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["res"], "the working directory was littered"


# ---------------------------------------------------------------------------------------------- idempotence


def test_a_finished_cell_is_kept_and_a_failed_one_retried(tmp_path, monkeypatch, bench):
    from bench import cell, plan

    monkeypatch.setattr("models.riemann.plugin.Riemann.fit", _raise)
    c = plan.expand(["method=mdm", *TINY, f"out={tmp_path}"])[0]
    outcome, rec = cell.run(c)
    assert outcome == "failed" and "a reason" in rec["error"] and "Traceback" in rec["traceback"] and not rec["metrics"]
    assert cell.state(c)[0] == "failed"
    monkeypatch.undo()
    assert cell.run(c)[0] == "done"
    assert cell.run(c)[0] == "kept"


def _raise(*_):
    raise RuntimeError("a reason")


def test_changed_code_is_stale_kept_or_rerun_as_asked(tmp_path, monkeypatch):
    from bench import cell, plan, provenance

    words = ["method=mdm", *TINY, f"out={tmp_path}"]
    c = plan.expand(words)[0]
    assert cell.run(c)[0] == "done"
    monkeypatch.setattr(provenance, "code_fp", lambda *_: "other")
    assert cell.state(c)[0] == "stale" and cell.run(c)[0] == "kept stale"
    fresh = plan.expand([*words, "reuse=fresh"])[0]
    assert cell.run(fresh)[0] == "done" and cell.state(fresh)[0] == "done"


def test_the_fingerprint_covers_the_code_behind_the_numbers(tmp_path):
    """Edit one file of a copy at a time: whatever makes the data, the layers or the training moves the fingerprint."""
    import shutil

    copy = tmp_path / "copy"
    for name in ("bench", "conf", "models", "datasets"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    ask = (
        "import sys; sys.path.insert(0, sys.argv[1]); from bench import plan, provenance, add_root; add_root();"
        "c = plan.expand(['method=' + sys.argv[2], 'fold=0', 'data.source=synthetic'])[0]; print(provenance.code_fp(c.method, c.data))"
    )

    def fp(method: str) -> str:
        done = command("-c", ask, str(copy), method, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    before = {m: fp(m) for m in ("gbw_rbn", "mdm")}
    assert before["gbw_rbn"] != before["mdm"]
    for path, moved in (
        ("datasets/eeg/leadfield.py", {"gbw_rbn", "mdm"}),
        ("datasets/files.py", {"gbw_rbn", "mdm"}),
        ("bench/train.py", {"gbw_rbn"}),
        ("models/gbw_rbn/kernels.py", {"gbw_rbn"}),
        ("models/geometry/spd_metrics.py", {"gbw_rbn"}),
        ("models/nn/spd_layers.py", {"gbw_rbn"}),
        ("models/geometry/heat.py", set()),  # mathematics that neither imports
        ("datasets/clustering.py", set()),
        ("bench/table.py", set()),
        ("datasets/eeg/moabb/config.py", set()),
    ):
        text = (copy / path).read_text()
        (copy / path).write_text(text + "# changed\n")
        assert {m for m in before if fp(m) != before[m]} == moved, path
        (copy / path).write_text(text)


def test_hydra_shows_the_configuration():
    done = command("--cfg", "job", "method=spdnet", "seed=3")
    assert done.returncode == 0 and "seed: 3" in done.stdout and "norm: none" in done.stdout, done.stderr
    assert command("--info", "defaults").returncode == 0


def test_a_nan_metric_is_a_failure(tmp_path, monkeypatch):
    import numpy as np

    from bench import cell, plan
    from bench.schema import Result

    monkeypatch.setattr(
        "models.riemann.plugin.Riemann.evaluate",
        lambda self, b, ctx: Result(predictions={"y_score": np.full((len(b.test), b.n_out), np.nan)}),
    )
    outcome, rec = cell.run(plan.expand(["method=mdm", *TINY, f"out={tmp_path}"])[0])
    assert outcome == "failed" and "nll is nan" in rec["error"]


def test_kill_dash_nine_then_the_same_command_equals_an_uninterrupted_run(tmp_path):
    words = ["method=gbw_rbn", *TINY, "method.epochs=25", "trainer.checkpoint_every_s=0", "trainer.threads=1"]
    whole = command(*words, f"out={tmp_path / 'whole'}")
    assert whole.returncode == 0, whole.stderr
    out = tmp_path / "killed"
    for _ in range(2):  # killed twice, each time in the middle of training
        process = subprocess.Popen(
            [sys.executable, str(ROOT / "bench/run.py"), *words, f"out={out}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        seen = _epochs(out)
        while process.poll() is None and _epochs(out) < seen + 3:
            time.sleep(0.005)
        assert process.poll() is None, "it finished before it could be killed"
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not list(store.scan(out)), "a killed cell left a row"
    assert 0 < _epochs(out) < 25
    again = command(*words, f"out={out}")
    assert again.returncode == 0, again.stderr
    assert values(record(out)) == values(record(tmp_path / "whole"))
    assert record(out)["epochs"] == 25
    folder = next(out.glob("cells/*/*/*"))
    assert not (folder / "last.ckpt").exists() and not (folder / "lock").exists()
    import numpy as np

    curve = np.load(folder / "curves.npz")
    assert curve["train_loss.step"].tolist() == list(range(25))


def _epochs(out) -> int:
    """Epochs that the checkpoint of the only cell holds; 0 before there is one."""
    import torch

    for path in out.glob("cells/*/*/*/last.ckpt"):
        try:
            return int(torch.load(path, weights_only=True)["epoch"]) + 1
        except (FileNotFoundError, RuntimeError, EOFError):
            continue
    return 0


# ---------------------------------------------------------------------------------------------- sweeps, failures, pipes


def test_multirun_writes_each_cell_and_a_failed_one_does_not_stop_the_others(tmp_path):
    words = ["-m", "method=mdm", "method.half_widths=[1.0],[70.0]", *TINY, f"out={tmp_path}"]
    done = command(*words)
    states = sorted(r["status"] for r in store.scan(tmp_path))
    assert done.returncode == 1 and states == ["done", "failed"], done.stdout + done.stderr
    assert not (ROOT / "multirun").exists() and not (ROOT / "outputs").exists()


def test_a_pipe_gets_plain_lines(tmp_path):
    done = command("method=spdnet", "method.epochs=2", *TINY, f"out={tmp_path}")
    assert done.returncode == 0 and done.stderr == ""
    assert "\r" not in done.stdout and "Epoch" not in done.stdout and "| spdnet" in done.stdout
    assert done.stdout.startswith("data bci: synthetic stand-in")


def test_a_read_only_results_folder_is_said_before_anything_runs(tmp_path):
    (tmp_path / "file").write_text("")
    done = command("method=mdm", *TINY, f"out={tmp_path / 'file' / 'results'}")
    assert done.returncode == 2 and "cannot be written" in done.stderr and "Traceback" not in done.stderr


def test_rows_hold_no_home_folder_and_no_secret(tmp_path):
    from bench.cell import scrub

    assert scrub(f"{os.path.expanduser('~')}/x api_key=abc123") == "~/x api_key=***"
    deep = {"a": [{"api_key": "abc", "note": "password=xyz"}], "n": "see token: foo", "x": 1.5}
    assert scrub(deep) == {"a": [{"api_key": "***", "note": "password=***"}], "n": "see token: ***", "x": 1.5}
    from bench import cell, plan

    words = ["method=bw_descent", "scale=smoke", "fold=0", f"out={tmp_path}", f"root={os.path.expanduser('~')}/data"]
    cell.run(plan.expand(words)[0])
    assert os.path.expanduser("~") + "/" not in json.dumps(record(tmp_path))


def test_report_prints_the_table_and_writes_files(tmp_path, bench):
    from bench import cell, plan

    cell.run(plan.expand(["method=mdm", *TINY, f"out={tmp_path}"])[0])
    code, out, _ = bench("report", f"out={tmp_path}", "--md", str(tmp_path / "t.md"), "--csv", str(tmp_path / "t.csv"))
    assert code == 0 and "| mdm" in out and "SYNTHETIC" in out and "Chance 0.2" in out
    assert (tmp_path / "t.md").read_text().strip() == out.strip()
    lines = (tmp_path / "t.csv").read_text().splitlines()
    assert lines[0].split(",") == [*store.COLUMNS, "not_comparable"] and len(lines) > 2
    code, out, _ = bench("report", f"out={tmp_path}", "--json")
    assert {r["metric"] for r in json.loads(out)} >= {"accuracy", "balanced_accuracy", "nll"}


def test_a_prepared_data_folder_needs_no_network(tmp_path):
    """As on a compute node: every connection is refused and the real data are read all the same."""
    root = os.environ.get("BENCH_DATA", "")
    if not os.path.isdir(os.path.join(root, "mamem_ssvep2_gbwbn")):
        pytest.skip("BENCH_DATA does not hold mamem_ssvep2_gbwbn")
    code = (
        "import socket, sys\ndef refuse(*_): raise OSError('no network')\n"
        "socket.socket.connect = refuse; socket.getaddrinfo = refuse\n"
        "from bench.cli import main; sys.exit(main(['run', *sys.argv[1:]]))"
    )
    words = ["method=mdm", "fold=0", "scale=smoke", "data.source=real", f"out={tmp_path}"]
    done = command("-c", code, *words, env={"BENCH_OFFLINE": ""})
    assert done.returncode == 0 and record(tmp_path)["origin"] == "real", done.stdout + done.stderr


def test_timm_works_with_our_folders_first_on_the_path():
    """A library that looks for Hugging Face's `datasets` finds ours: it must still import and build a network."""
    from models.nn.torchvision_ops import cure

    cure()
    pytest.importorskip("timm")
    done = command(
        "-c",
        "import sys; sys.path.insert(0, sys.argv[1]); from models.nn.torchvision_ops import cure; cure();"
        "import datasets, timm, torch; print(timm.create_model('resnet10t', num_classes=3)(torch.zeros(1, 3, 64, 64)).shape)",
        str(ROOT),
    )
    assert done.returncode == 0 and "torch.Size([1, 3])" in done.stdout, done.stderr
