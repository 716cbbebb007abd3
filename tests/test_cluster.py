"""Several processes, schedulers and sweeps: the same numbers, clean ends, nothing run twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from bench import cell as cells
from bench import plan, registry, store
from tests.conftest import ROOT, command

TINY = ("data.source=synthetic", "scale=smoke", "fold=0")


def record(out) -> dict:
    (found,) = store.scan(out)
    assert isinstance(found, dict)
    return found


def values(rec: dict) -> dict[str, float]:
    return {m["metric"]: m["value"] for m in rec["metrics"]}


# ---------------------------------------------------------------------------------------------- trainer=ddp


def write_tinysoft(folder: Path) -> None:
    """A package `smalllab`: logistic regression without batch statistics, on 31 samples: batches of 8, 8, 8 and an uneven 7."""
    base = folder / "smalllab"
    for sub in ("models/tinysoft", "datasets/blobs", "conf/method", "conf/data"):
        (base / sub).mkdir(parents=True)
    for sub in ("", "models", "models/tinysoft", "datasets", "datasets/blobs"):
        (base / sub / "__init__.py").write_text("")
    (base / "models/tinysoft/config.py").write_text(
        "from dataclasses import dataclass\nfrom typing import ClassVar\nfrom bench.schema import TrainConfig\n"
        "@dataclass\nclass Config(TrainConfig):\n    dropout: float = 0.0\n"
        "    plugin: ClassVar[str] = 'smalllab.models.tinysoft.plugin:Softmax'\n"
        "    accepts: ClassVar[tuple[str, ...]] = ('points',)\n"
    )
    (base / "models/tinysoft/plugin.py").write_text(
        "import torch\nfrom bench.schema import LightningMethod\nfrom models.nn.classifier import Classifier\n"
        "class Softmax(LightningMethod):\n    def build(self, bundle, cfg):\n"
        "        net = torch.nn.Sequential(torch.nn.Dropout(cfg.dropout), torch.nn.Linear(2, bundle.n_out)).double()\n"
        "        return Classifier(net, lambda m: torch.optim.SGD(m.parameters(), lr=0.5, momentum=0.9))\n"
    )
    (base / "datasets/blobs/config.py").write_text(
        "from dataclasses import dataclass\nfrom typing import ClassVar\nfrom bench.schema import DataConfig\n"
        "@dataclass\nclass Config(DataConfig):\n    adapter: ClassVar[str] = 'smalllab.datasets.blobs.adapter:load'\n"
        "    kind: ClassVar[str] = 'points'\n    sources: ClassVar[tuple[str, ...]] = ('simulated',)\n"
    )
    (base / "datasets/blobs/adapter.py").write_text(
        "import numpy as np\nfrom bench.schema import Arrays, Bundle, fingerprint\n"
        "def load(config, *, fold, source, root, cache):\n    rng = np.random.default_rng(0)\n    y = np.arange(91) % 3\n"
        "    x = rng.normal(size=(91, 2)) + 1.5 * np.eye(3)[y][:, :2]\n    a, b = Arrays(x[:31], y[:31]), Arrays(x[31:61], y[31:61])\n"
        "    c, card = Arrays(x[61:], y[61:]), {'licence': 'none'}\n"
        "    return Bundle('points', a, b, c, 3, (2,), fold, 'simulated', fingerprint(x, y), card=card)\n"
    )
    (base / "conf/method/tinysoft.yaml").write_text(
        "defaults:\n  - override /data@_global_.data: blobs\nname: tinysoft\nbatch: 8\nprecision: '64'\n"
        "at:\n  smoke: {epochs: 3}\n  reduced: {epochs: 3}\n  paper: {epochs: 3}\n"
    )
    (base / "conf/data/blobs.yaml").write_text("name: blobs\n")


def test_two_processes_give_the_numbers_of_one(tmp_path):
    write_tinysoft(tmp_path)
    env = {"PYTHONPATH": str(tmp_path)}
    words = ["plugins=[smalllab]", "method=tinysoft", "seed=[0,1]", "trainer.threads=1"]
    one = command(*words, f"out={tmp_path / 'one'}", env=env)
    two = command(*words, "trainer=ddp", "trainer.accelerator=cpu", f"out={tmp_path / 'two'}", env=env)
    assert one.returncode == 0 and two.returncode == 0, one.stderr + two.stdout + two.stderr
    a, b = ({r["seed"]: r for r in store.scan(tmp_path / n)} for n in ("one", "two"))
    assert a.keys() == b.keys() == {0, 1}
    for seed in a:
        assert a[seed]["key"] == b[seed]["key"]
        assert values(a[seed]) == pytest.approx(values(b[seed]), abs=1e-9)
        scores = [
            np.load(tmp_path / n / "cells/tinysoft/blobs" / a[seed]["key"] / "predictions.npz")["y_score"]
            for n in ("one", "two")
        ]
        assert np.abs(scores[0] - scores[1]).max() < 1e-9 and np.ptp(scores[0]) > 0.1


@pytest.mark.parametrize("method", ["gbw_rbn", "spdnet_bn"])
def test_layers_with_batch_statistics_see_the_global_batch(tmp_path, method):
    """BatchNorm2d of the front end and the SPD normalisation: shares would give other statistics, so other numbers."""
    words = [f"method={method}", *TINY, "method.batch=22", "trainer.threads=1"]
    one = command(*words, f"out={tmp_path / 'one'}")
    two = command(*words, "trainer=ddp", "trainer.accelerator=cpu", f"out={tmp_path / 'two'}")
    assert one.returncode == 0 and two.returncode == 0, one.stderr + two.stdout + two.stderr
    (a,), (b,) = (list(store.scan(tmp_path / n)) for n in ("one", "two"))
    assert a["key"] == b["key"]
    scores = [
        np.load(tmp_path / n / "cells" / method / "bci" / a["key"] / "predictions.npz")["y_score"]
        for n in ("one", "two")
    ]
    assert np.abs(scores[0] - scores[1]).max() < 1e-4 * np.ptp(scores[0])  # float32 convolutions


def test_a_follower_that_cannot_start_is_told(tmp_path, monkeypatch):
    from bench import ddp

    cell = plan.expand(["method=spdnet", *TINY, "trainer=ddp", f"out={tmp_path}"])[0]
    monkeypatch.setattr(ddp.sys, "executable", "/bin/false")
    start = time.monotonic()
    with pytest.raises(RuntimeError, match="ended with code 1"), ddp.followers(cell):
        pass
    assert time.monotonic() - start < 20


def test_a_batch_that_cannot_be_shared_is_said():
    from bench.train import EpochSampler

    with pytest.raises(ValueError, match="cannot be shared by 4 processes"):
        EpochSampler(10, 8, 0, 0, 4)
    shares = [list(EpochSampler(31, 8, 5, r, 2)) for r in range(2)]
    whole = list(EpochSampler(31, 8, 5))
    assert [sorted(a + b) for a, b in zip(*shares, strict=True)] == [sorted(w) for w in whole]
    assert EpochSampler(31, 8, 5, 0, 2).weight(3) == pytest.approx(8 / 7) and EpochSampler(31, 8, 5, 1, 2).weight(
        3
    ) == pytest.approx(6 / 7)


# ---------------------------------------------------------------------------------------------- ends before the end


def test_a_deadline_ends_a_cell_with_a_checkpoint(tmp_path):
    words = ["method=spdnet", "method.epochs=3", *TINY, "trainer.threads=1"]
    whole = plan.expand([*words, f"out={tmp_path / 'whole'}"])[0]
    assert cells.run(whole)[0] == "done"
    cut = plan.expand([*words, f"out={tmp_path / 'cut'}", "deadline=0"])[0]
    outcomes = []
    for _ in range(3):
        outcomes.append(cells.run(cut)[0])
        if outcomes[-1] == "stopped":
            assert (cut.folder / "last.ckpt").exists() and not (cut.folder / store.ROW).exists()
    assert outcomes == ["stopped", "stopped", "done"]
    assert values(record(tmp_path / "cut")) == values(record(tmp_path / "whole"))


def smalllab(folder: Path, monkeypatch) -> None:
    write_tinysoft(folder)
    monkeypatch.syspath_prepend(str(folder))
    for name in [m for m in sys.modules if m.startswith("smalllab")]:
        del sys.modules[name]
    registry.use_plugins(["smalllab"])


def until_done(cell: plan.Cell) -> list[str]:
    outcomes = []
    while not outcomes or outcomes[-1] == "stopped":
        outcomes.append(cells.run(cell)[0])
    return outcomes


def test_a_resumed_run_draws_the_same_random_numbers(tmp_path, monkeypatch):
    """Dropout consumes the generator: every point of the curve must agree, not only the best epoch."""
    smalllab(tmp_path, monkeypatch)
    curves = []
    for name, extra in (("whole", []), ("cut", ["deadline=0"])):
        words = ["method=tinysoft", "method.dropout=0.5", "method.epochs=5", f"out={tmp_path / name}", *extra]
        cell = plan.expand(words)[0]
        assert until_done(cell) == (["done"] if name == "whole" else ["stopped"] * 4 + ["done"])
        curves.append(dict(np.load(cell.folder / "curves.npz")))
        assert len((cell.folder / "curves.csv").read_text().splitlines()) == 1 + 3 * 5
    assert curves[0].keys() == curves[1].keys() and len(curves[0]["train_loss.value"]) == 5
    for k in curves[0]:
        assert np.array_equal(curves[0][k], curves[1][k]), k


@pytest.mark.parametrize("damage", ["junk", "other code"])
def test_a_checkpoint_that_cannot_be_trusted_is_set_aside(tmp_path, monkeypatch, damage, capsys):
    smalllab(tmp_path, monkeypatch)
    cell = plan.expand(["method=tinysoft", f"out={tmp_path}", "deadline=0"])[0]
    assert cells.run(cell)[0] == "stopped"
    if damage == "junk":
        (cell.folder / "last.ckpt").write_bytes(b"junk")
    else:
        monkeypatch.setattr("bench.provenance.code_fp", lambda *_: "another")
    again = plan.expand(["method=tinysoft", f"out={tmp_path}"])[0]
    outcome, rec = cells.run(again)
    assert outcome == "done" and rec["epochs"] == 3 and "starts over" in capsys.readouterr().out
    assert len(np.load(cell.folder / "curves.npz")["train_loss.step"]) == 3


def test_a_deadline_is_one_for_all_cells_and_has_its_exit_code(tmp_path):
    write_tinysoft(tmp_path)
    done = command(
        "plugins=[smalllab]",
        "method=tinysoft",
        "seed=[0,1]",
        "deadline=0",
        f"out={tmp_path}",
        env={"PYTHONPATH": str(tmp_path)},
    )
    assert done.returncode == 75 and "1 more cells" in done.stdout and "Traceback" not in done.stderr, done.stderr


def test_solver_cells_mind_the_deadline(tmp_path):
    done = command("method=bw_descent", "scale=smoke", "deadline=0", f"out={tmp_path}")
    assert done.returncode == 75 and "3 cells are left" in done.stdout and len(list(store.scan(tmp_path))) == 1


def _heed_ctrl_c() -> None:
    """A background job of a shell is born deaf to SIGINT, and so would be the child of a test that runs in one."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_is_said_and_leaves_no_row(tmp_path):
    words = ["method=spdnet", "method.epochs=400", *TINY, "trainer.threads=1", f"out={tmp_path}"]
    code = "import sys; from bench.cli import main; sys.exit(main(['run', *sys.argv[1:]]))"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *words],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_heed_ctrl_c,
    )
    while not list(tmp_path.glob("cells/*/*/*/lock")):
        time.sleep(0.05)
    time.sleep(7)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130 and "interrupted" in err and "Traceback" not in err, out + err
    assert not list(store.scan(tmp_path))


@pytest.mark.parametrize("name", ["SIGTERM", "SIGUSR1", "SIGUSR2"])
def test_a_schedulers_signal_writes_a_checkpoint_and_goes_on_its_way(tmp_path, name):
    words = [
        "method=spdnet",
        "method.epochs=400",
        *TINY,
        "trainer.threads=1",
        "trainer.checkpoint_every_s=1e9",
        f"out={tmp_path}",
    ]
    code = "import sys; from bench.cli import main; sys.exit(main(['run', *sys.argv[1:]]))"
    process = subprocess.Popen(
        [sys.executable, "-c", code, *words], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while not list(tmp_path.glob("cells/*/*/*/lock")):
        assert process.poll() is None
        time.sleep(0.05)
    time.sleep(6)  # into the training
    process.send_signal(getattr(signal, name))
    out, err = process.communicate(timeout=60)
    assert process.returncode == -getattr(signal, name), out + err
    assert "asked to stop" in out
    (folder,) = tmp_path.glob("cells/*/*/*")
    assert (folder / "last.ckpt").exists() and not (folder / store.ROW).exists() and not (folder / "lock").exists()


def test_solvers_can_stop_too(tmp_path):
    from bench import stopping
    from bench.context import Context, DeadlineReached

    ctx = Context(plan.expand(["method=mdm", *TINY, f"out={tmp_path}", "deadline=1e6"])[0], [])
    ctx.check_deadline()
    ctx.deadline = time.monotonic() - 1
    with pytest.raises(DeadlineReached):
        ctx.check_deadline()
    ctx.deadline = None
    with pytest.raises(KeyboardInterrupt), stopping.watch():
        previous = signal.signal(signal.SIGUSR1, signal.getsignal(signal.SIGUSR1))
        assert callable(previous)
        os.kill(os.getpid(), signal.SIGUSR1)
        with pytest.raises(DeadlineReached):
            ctx.check_deadline()
        stopping._asked.clear()
        raise KeyboardInterrupt


# ---------------------------------------------------------------------------------------------- launchers, sweeps, arrays


def hydra_config(*words: str) -> dict:
    from hydra import compose
    from omegaconf import OmegaConf

    with plan.composing():
        return OmegaConf.to_container(compose("run", list(words), return_hydra_config=True).hydra, resolve=False)


def test_the_slurm_launcher_composes():
    pytest.importorskip("hydra_plugins.hydra_submitit_launcher")
    launcher = hydra_config("hydra/launcher=slurm", "hydra.launcher.partition=gpu", "hydra.launcher.gpus_per_node=2")[
        "launcher"
    ]
    assert launcher["partition"] == "gpu" and launcher["gpus_per_node"] == 2 and launcher["signal_delay_s"] == 120
    assert launcher["additional_parameters"] == {"requeue": True} and launcher["max_num_timeout"] == 20
    assert launcher["_target_"].endswith("SlurmLauncher")


def test_the_ray_address_is_a_choice():
    pytest.importorskip("hydra_plugins.hydra_ray_launcher")
    launcher = hydra_config("hydra/launcher=ray_cluster", "hydra.launcher.ray.init.address=ray://head:10001")[
        "launcher"
    ]
    assert launcher["ray"]["init"]["address"] == "ray://head:10001"


@pytest.mark.parametrize("launcher", ["joblib", "submitit_local", "ray"])
def test_a_sweep_under_each_launcher_and_again(tmp_path, launcher):
    pytest.importorskip({"joblib": "hydra_plugins.hydra_joblib_launcher", "ray": "ray"}.get(launcher, "submitit"))
    extra = ["+hydra.launcher.ray.init.num_cpus=2"] if launcher == "ray" else []
    words = [
        "-m",
        "experiment=gbw_rbn/descent",
        "method=bw_descent",
        "shard=[0,2],[1,2]",
        "scale=smoke",
        f"hydra/launcher={launcher}",
        *extra,
    ]
    done = command(*words, f"out={tmp_path}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert [r["status"] for r in store.scan(tmp_path)] == ["done"] * 4
    stamps = {r["key"]: r["finished"] for r in store.scan(tmp_path)}
    if launcher == "joblib":
        again = command(*words, f"out={tmp_path}")
        assert again.returncode == 0 and {r["key"]: r["finished"] for r in store.scan(tmp_path)} == stamps


def test_an_optuna_search_sees_validation_only(tmp_path):
    pytest.importorskip("hydra_plugins.hydra_optuna_sweeper")
    done = command(
        "-m",
        "hydra/sweeper=lr_search",
        "hydra.sweeper.n_trials=2",
        "method=spdnet",
        "method.epochs=2",
        *TINY,
        f"out={tmp_path}",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = list(store.scan(tmp_path))
    assert len(rows) == 2 and len({r["config"]["lr"] for r in rows}) == 2
    import yaml

    (result,) = tmp_path.glob(".sweeps/*/optimization_results.yaml")
    found = yaml.safe_load(result.read_text())
    best = min(rows, key=lambda r: r["validation"])
    assert found["best_value"] == pytest.approx(best["validation"])
    assert found["best_params"]["++method.lr"] == pytest.approx(best["config"]["lr"])
    assert all(abs(r["validation"] - values(r)["nll"]) > 1e-12 for r in rows), "the objective is the test loss"


def test_forty_tiny_cells_cost_little_overhead(tmp_path):
    words = [
        "method=bw_descent",
        "scale=smoke",
        "fold=[0,1]",
        "seed=[" + ",".join(map(str, range(20))) + "]",
        f"out={tmp_path}",
    ]
    todo = plan.expand(words)
    assert len(todo) == 40
    cells.run(todo[0])  # warm
    start = time.perf_counter()
    for c in todo:
        assert cells.run(c)[0] in ("done", "kept")
    wall = time.perf_counter() - start
    inside = sum(r["timed_s"] for r in store.scan(tmp_path))
    assert (wall - inside) / 40 < 0.3
    assert max(r["overhead_s"] for r in store.scan(tmp_path)) < 0.3


def test_workers_of_a_killed_sweep_stop_after_their_cell(tmp_path):
    pytest.importorskip("hydra_plugins.hydra_joblib_launcher")
    words = ["method=aim_descent", "method.cap=1000", "scale=reduced", "seed=" + ",".join(map(str, range(40)))]
    command = [sys.executable, "-m", "bench", "run", "-m", *words, "hydra/launcher=joblib", f"out={tmp_path / 'o'}"]
    sweep = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait(lambda: len(list(store.scan(tmp_path / "o"))) >= 2)
        workers = [
            p
            for p in psutil.Process(sweep.pid).children(recursive=True)
            if "loky.backend.popen" in " ".join(p.cmdline())
        ]
        assert workers
    finally:
        sweep.kill()
        sweep.wait()
    _wait(lambda: not any(p.is_running() and p.status() != psutil.STATUS_ZOMBIE for p in workers))
    assert len(list(store.scan(tmp_path / "o"))) < 160


def _wait(condition, seconds=90.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.2)


def test_the_array_script_counts_what_is_left(tmp_path):
    def script(*words: str) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "PYTHON": sys.executable}
        return subprocess.run(
            [str(ROOT / "scripts/slurm_array.sh"), *words], capture_output=True, text=True, env=env, timeout=60
        )

    words = ["method=bw_descent", "scale=smoke", f"out={tmp_path}"]
    cells.run(plan.expand([*words, "fold=1"])[0])
    text = script("-n", "2", *words)
    assert text.returncode == 0 and "#SBATCH --array=0-1" in text.stdout and "# 3 cells to run" in text.stdout, (
        text.stderr
    )
    assert "shard=['$SLURM_ARRAY_TASK_ID',2]" in text.stdout and "--signal=B:USR1@120" in text.stdout
    done = subprocess.run(["bash", "-n"], input=text.stdout, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    env = {**os.environ, "SLURM_ARRAY_TASK_ID": "0", "SLURM_CPUS_PER_TASK": "1"}
    done = subprocess.run(["bash"], input=text.stdout, capture_output=True, text=True, env=env, timeout=120)
    # tasks stride over the cells that were missing when the array was made, whatever has been finished since
    assert done.returncode == 0 and {r["fold"] for r in store.scan(tmp_path)} == {"kappa10", "kappa100", "kappa10000"}
    for c in plan.expand(words):
        cells.run(c)
    assert "nothing to run" in script(*words).stdout
    assert script("-n", "x", *words).returncode == script(*words, "-n").returncode == 2 and script().returncode == 2
    if not any(Path(p, "sbatch").exists() for p in os.environ["PATH"].split(":")):
        assert "sbatch is not on this machine" in script("--submit", *words, "seed=1").stderr


def test_a_run_prints_its_rows_as_json(tmp_path):
    """Also of jobs in other processes; what is said on the way goes to stderr."""
    import json

    words = ["method=bw_descent", "scale=smoke", f"out={tmp_path}", "--json"]
    one = command("fold=0", *words)
    rows = json.loads(one.stdout)
    assert (
        {r["fold"] for r in rows} == {"kappa10"}
        and "iterations" in {r["metric"] for r in rows}
        and "done" in one.stderr
    )
    two = command("-m", "fold=1,2", "hydra/launcher=joblib", *words)
    assert {r["fold"] for r in json.loads(two.stdout)} == {"kappa100", "kappa1000"}, two.stderr
    failed = command("method=mdm", "fold=0", "data.source=real", f"root={tmp_path}", f"out={tmp_path}", "--json")
    assert failed.returncode == 2 and json.loads(failed.stdout) == []


def test_estimates_come_from_past_rows(tmp_path, bench):
    words = ["method=bw_descent", "scale=smoke", f"out={tmp_path}"]
    assert "and 4 cells without past rows" in bench("plan", *words)[1]
    cells.run(plan.expand([*words, "fold=0"])[0])
    out = bench("plan", *words)[1]
    assert "1 done, 3 todo; 3 to run" in out and "without past rows" not in out
    assert bench("plan", "--count", *words)[1].strip() == "3"


# ---------------------------------------------------------------------------------------------- loggers, energy


def test_tensorboard_and_wandb_offline(tmp_path):
    pytest.importorskip("tensorboard")
    wandb = pytest.importorskip("wandb")
    for kind in ("tensorboard", "wandb"):
        env = {"WANDB_API_KEY": "secret0123456789", "WANDB_SILENT": "true"}
        done = command("method=spdnet", "method.epochs=2", *TINY, f"logger={kind}", f"out={tmp_path / kind}", env=env)
        assert done.returncode == 0, done.stdout + done.stderr
        rec = record(tmp_path / kind)
        (folder,) = (tmp_path / kind).glob("cells/*/*/*")
        assert "secret0123456789" not in (folder / store.ROW).read_text()
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (log,) = (tmp_path / "tensorboard").glob("cells/*/*/*/tensorboard")
    events = EventAccumulator(str(log)).Reload()
    assert {"train_loss", "val_loss", "test/accuracy"} <= set(events.Tags()["scalars"])
    (run,) = (tmp_path / "wandb").glob("cells/*/*/*/wandb/offline-run-*")
    assert list(run.glob(f"run-{rec['key']}.wandb")) and wandb.__version__


def test_a_wandb_run_is_grouped_and_tagged_by_its_cell(tmp_path, monkeypatch):
    from bench.loggers import WandbLogger

    monkeypatch.setenv("WANDB_SILENT", "true")
    (cell,) = plan.expand(["method=bw_descent", "fold=0", "scale=smoke", "logger=wandb", f"out={tmp_path}"])
    log = WandbLogger(cell)
    try:
        assert log.run.id == cell.key and log.run.group == "bw_descent-spd_targets"
        assert set(log.run.tags) == {"smoke", "simulated", "kappa10"} and log.run.settings._offline
        log.log(0, {"loss": 1.0})
    finally:
        log.close({"iterations": 19.0}, {})


def test_energy_is_read_where_it_can_be(tmp_path):
    from bench.energy import Meter

    assert Meter(tmp_path).read() == {"energy_wh": None, "energy_method": "none"}
    zone = tmp_path / "intel-rapl:0"
    zone.mkdir()
    (zone / "energy_uj").write_text("900")
    (zone / "max_energy_range_uj").write_text("1000")
    meter = Meter(tmp_path)
    (zone / "energy_uj").write_text("3600000900")
    assert meter.read() == {"energy_wh": 1.0, "energy_method": "rapl"}
    meter = Meter(tmp_path)
    (zone / "max_energy_range_uj").write_text("7200000900")
    (zone / "energy_uj").write_text("0")  # wrapped
    assert meter.read() == {"energy_wh": 1.0, "energy_method": "rapl"}


def test_energy_of_the_card_that_cuda_shows(tmp_path, monkeypatch):
    """NVML counts all cards of the machine; CUDA_VISIBLE_DEVICES names the one of this process, by index or UUID."""
    import types

    from bench import energy

    used = {"index 0": 1.0e6, "index 3": 2.0e6, "uuid GPU-7": 3.0e6}
    nvml = types.SimpleNamespace(
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByIndex=lambda i: f"index {i}",
        nvmlDeviceGetHandleByUUID=lambda u: f"uuid {u}",
        nvmlDeviceGetTotalEnergyConsumption=lambda card: used[card],
    )
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    for visible, card in ((None, "index 0"), ("3,0", "index 3"), ("GPU-7", "uuid GPU-7")):
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        if visible:
            monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        meter = energy.Meter(tmp_path, gpu=True)
        used[card] += 3.6e6  # millijoules: one watt-hour
        assert meter.read() == {"energy_wh": 1.0, "energy_method": "nvml"}


@pytest.fixture(autouse=True)
def _forget_plugins():
    yield
    registry._packages.clear()
    registry.options.cache_clear()
    registry.config_class.cache_clear()
