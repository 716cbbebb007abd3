"""Run one cell: once, whole, under its lock, with a row at the end whatever happens."""

from __future__ import annotations

import json
import math
import re
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import provenance, store
from bench.context import Context, DeadlineReached, seed_all
from bench.energy import Meter
from bench.plan import Cell
from bench.schema import ORIGIN, SCHEMA, Arrays, BenchError, Bundle, Metric, Result, load_object

DONE = ("done", "skip")  # outcomes that stand; a failed cell is tried again


def state(cell: Cell) -> tuple[str, dict[str, Any] | None]:
    """("todo" | "done" | "stale" | "skip" | "failed" | "unreadable", record).

    `stale`: finished, but the code that its numbers come from has changed since.
    """
    try:
        record = store.read_cell(cell.folder)
    except BenchError:
        return "unreadable", None
    if record is None:
        return "todo", None
    status = record.get("status", "failed")
    if status in DONE and record.get("code_fp") != provenance.code_fp(cell.method, cell.data):
        return "stale", record
    return status, record


def run(cell: Cell, say: Callable[[str], None] = print) -> tuple[str, dict[str, Any] | None]:
    """Run a cell unless it is finished. Returns (what happened, its record).

    What happened: done, skip or failed (just now); kept, kept stale (finished before); running (by another process);
    stopped (deadline: a checkpoint waits for the same command).
    """
    if cell.skip:
        return "skip", None
    status, record = state(cell)
    if status == "unreadable":
        store.read_cell(cell.folder)  # raises the sentence: a row file is never overwritten unseen
    if status in DONE or (status == "stale" and cell.settings["reuse"] == "any"):
        store.tidy(cell.folder)
        return ("kept stale" if status == "stale" else "kept"), record
    lock = store.Lock(cell.folder)
    with lock as mine:
        if not mine:
            return "running", {"holder": lock.holder}
        store.sweep(cell.folder)
        status, record = state(cell)  # another process may have finished it while we waited for the lock
        if status in DONE:
            return "kept", record
        try:
            record = _attempt(cell)
        except DeadlineReached:
            return "stopped", None
        if not lock.owned():
            return "running", {"holder": "another process that took over a stale lock"}
        record = scrub(record)
        store.write_cell(cell.folder, record)
        if record["status"] != "failed":
            (cell.folder / "last.ckpt").unlink(missing_ok=True)
        return record["status"], record


def _attempt(cell: Cell) -> dict[str, Any]:
    """Everything between lock and row. Errors of the method become a failed record with its traceback."""
    started, clock, cpu = datetime.now(UTC), time.perf_counter(), time.process_time()
    _reset_peak()
    meter = Meter(gpu=cell.settings["trainer"]["accelerator"] != "cpu")
    record: dict[str, Any] = dict.fromkeys(store.COLUMNS)
    record |= {
        "schema": SCHEMA,
        "key": cell.key,
        "method": cell.method.name,
        "data": cell.data.name,
        "kind": cell.data.kind,
        "origin": ORIGIN[cell.source],
        "scale": cell.scale,
        "seed": cell.seed,
        "fold": cell.fold,
        "config": _plain(asdict(cell.method)),
        "data_config": _plain(asdict(cell.data)),
        "identity": cell.identity(),
        "command": cell.command,
        "code_fp": provenance.code_fp(cell.method, cell.data),
        "versions": provenance.versions(),
        "metrics": [],
        "started": started.isoformat(timespec="seconds"),
        **provenance.machine(),
    }
    record["git_sha"], record["dirty"] = provenance.git()
    inside = 0.0
    try:
        mark = time.perf_counter()
        bundle = load(cell)
        facts = {k: v for k, v in bundle.meta.items() if isinstance(v, (bool, int, float, str))}
        record |= {
            "group": bundle.group,
            "data_fp": bundle.fingerprint,
            "card": _plain(bundle.card),
            "facts": _plain(facts),
        }
        if bundle.origin != record["origin"]:
            raise BenchError(
                f"{cell.data.name} was resolved as {record['origin']} and its adapter returned {bundle.origin}"
            )
        method = load_object(type(cell.method).plugin)(cell.method)
        reason = method.skip(bundle)
        if reason:
            record |= {"status": "skip", "error": reason}
            inside = time.perf_counter() - mark
        else:
            run_record, seconds = _run(cell, method, bundle)
            record |= run_record
            inside = time.perf_counter() - mark - seconds
    except (DeadlineReached, KeyboardInterrupt):
        raise
    except Exception as error:
        text = "".join(traceback.format_exception(error))
        record |= {
            "status": "failed",
            "error": scrub(f"{type(error).__name__}: {error}"),
            "traceback": scrub(text),
            "metrics": [],
        }
    wall = time.perf_counter() - clock
    record |= {
        "wall_s": round(wall, 4),
        "overhead_s": round(max(0.0, wall - inside), 4),
        "cpu_s": round(time.process_time() - cpu, 4),
        **meter.read(),
        "rss_peak_mb": _peak_mb(),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return record


def _run(cell: Cell, method: Any, bundle: Bundle) -> tuple[dict[str, Any], float]:
    """The record's part that the method makes, and the seconds of it that were the frame's."""
    from bench.loggers import loggers

    mark = time.perf_counter()
    sinks = loggers(cell)
    ctx = Context(cell, sinks)
    threads = seed_everything(ctx)
    metrics: list[Metric] = []
    try:
        frame = time.perf_counter() - mark
        result = method.run(bundle, ctx)
        mark = time.perf_counter()
        metrics = _metrics(bundle, result)
    finally:
        for sink in sinks:
            sink.close({m.name: m.value for m in metrics}, ctx.curves)
    _store_arrays(cell.folder, bundle, result, ctx)
    draw = getattr(bundle.task, "figures", None)
    if draw is not None and result.predictions:
        for name, figure in draw(bundle, result.predictions).items():
            ctx.save_figure(name, figure)
    out = {
        "status": "done",
        "epochs": result.epochs,
        "n_trials": result.n_trials,
        "params": result.params,
        "transductive": result.transductive,
        "timed_s": None if ctx.timed_s is None else round(ctx.timed_s, 4),
        "threads": threads,
        "figures": ctx.figures,
        "main": bundle.task.main if result.predictions else None,
        "metrics": [{"metric": m.name, "value": m.value, "better": m.better, "unit": m.unit} for m in metrics],
        "validation": None if result.validation is None else result.validation.value,
        "n_test": len(bundle.test) if bundle.test is not None else None,
        "n_out": bundle.n_out,
        **_gpu(ctx),
    }
    return out, frame + time.perf_counter() - mark


def _metrics(bundle: Bundle, result: Result) -> list[Metric]:
    scored = bundle.task.score(bundle, result.predictions) if result.predictions else []
    metrics = [*scored, *result.metrics]
    names = [m.name for m in metrics]
    if len(set(names)) < len(names):
        raise ValueError(f"metrics are named twice: {', '.join(sorted({n for n in names if names.count(n) > 1}))}")
    for m in metrics:
        if not math.isfinite(m.value):
            raise ValueError(f"metric {m.name} is {m.value}: a row without a finite value is a failure, not a result")
    return metrics


def _store_arrays(folder: Path, bundle: Bundle, result: Result, ctx: Context) -> None:
    """predictions.npz (per sample, with the truth, so that statistics can be redone) and curves.npz (values at every step)."""
    import io

    import numpy as np

    curves = {
        f"{name}.{part}": np.asarray([p[i] for p in points])
        for name, points in ctx.curves.items()
        for i, part in enumerate(("step", "value"))
    }
    predictions = dict(result.predictions)
    if predictions and isinstance(bundle.test, Arrays):
        predictions |= {
            k: v for k, v in (("y_true", bundle.test.y), ("sample_group", bundle.test.group)) if v is not None
        }
    for name, arrays in (("predictions", predictions), ("curves", curves)):
        if arrays:
            buffer = io.BytesIO()
            np.savez_compressed(buffer, **{k: np.asarray(v) for k, v in arrays.items()})  # type: ignore[arg-type]
            store.write_atomic(folder / f"{name}.npz", buffer.getvalue())


_bundles: dict[str, Bundle] = {}  # the last few: methods on one fold share them


def load(cell: Cell) -> Bundle:
    """The bundle of a cell."""
    from bench.choices import chosen

    s = cell.settings
    where = json.dumps(
        [cell.data.name, chosen(cell.data), cell.fold, cell.source, s["root"], s["cache"]], sort_keys=True
    )
    if where not in _bundles:
        while len(_bundles) >= 4:
            _bundles.pop(next(iter(_bundles)))
        adapter = load_object(type(cell.data).adapter)
        _bundles[where] = adapter(
            cell.data, fold=cell.fold, source=cell.source, root=Path(s["root"]), cache=Path(s["cache"])
        )
    return _bundles[where]


def seed_everything(ctx: Context) -> int:
    """Seed the global generators and set the threads of torch and of numpy's libraries; returns torch's number of threads."""
    import torch

    seed_all(ctx.seed("global"))
    threads = ctx.cell.settings["trainer"]["threads"]
    if threads is not None:
        import threadpoolctl

        torch.set_num_threads(threads)
        threadpoolctl.threadpool_limits(threads)
    if ctx.device != "cpu":
        torch.cuda.reset_peak_memory_stats()
    return torch.get_num_threads()


def _gpu(ctx: Context) -> dict[str, Any]:
    if ctx.device == "cpu":
        return {"gpu": None, "gpu_peak_mb": None}
    import torch

    return {"gpu": torch.cuda.get_device_name(), "gpu_peak_mb": round(torch.cuda.max_memory_allocated() / 1e6, 1)}


def _reset_peak() -> None:
    try:
        Path("/proc/self/clear_refs").write_text("5")  # Linux: start the peak of this cell, not of the process
    except OSError:
        pass


def _peak_mb() -> float | None:
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return round(int(line.split()[1]) / 1024, 1)
    except OSError:
        pass
    import resource

    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


SECRET = re.compile(r"(?i)(api[_-]?key|token|password|passwd|secret)")
_PAIR = re.compile(r"(?i)((?:api[_-]?key|token|password|passwd|secret)\s*[=:]\s*)[^\s\"',;]+")


def scrub(value: Any) -> Any:
    """No home folder and no credential leaves in a row: strings, and values under keys that name a secret, at any depth."""
    if isinstance(value, dict):
        return {k: "***" if SECRET.search(str(k)) and isinstance(v, str) else scrub(v) for k, v in value.items()}
    if isinstance(value, list):
        return [scrub(v) for v in value]
    if not isinstance(value, str):
        return value
    home = str(Path.home())
    return _PAIR.sub(r"\1***", value.replace(home, "~") if len(home) > 1 else value)


def _plain(value: Any) -> Any:
    """A configuration or card as plain JSON values."""
    return json.loads(json.dumps(value, default=str, allow_nan=False))
