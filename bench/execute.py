"""Run the cells of one job, one line each, and show what came out."""

from __future__ import annotations

import os
import sys
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import plan, stopping, store
from bench.context import device
from bench.plan import Cell
from bench.schema import BenchError
from bench.words import results_folder


class CellsFailed(Exception):
    """Some cells failed; their rows hold the tracebacks. Raised so that a launcher, too, reports the job as failed."""


class Stopped(Exception):
    """Work is left: the deadline came. The same command goes on."""


def execute(overrides: Sequence[str], *, multirun: bool = False) -> float | None:
    """Expand, announce, run. Returns the mean validation metric over the finished cells (the objective of a sweeper)."""
    store.check_writable(results_folder(overrides))  # before a download, a simulation or a training is wasted on it
    cells = plan.expand(overrides, strict=not multirun, download=True)
    if not cells:
        raise BenchError("nothing to run: this shard or experiment has no cells")
    _tell(cells)
    counts, records = run_cells(cells)
    out = Path(cells[0].settings["out"])
    if not multirun and records:
        _show(records, out)
    if counts["failed"]:
        raise CellsFailed(
            f"{counts['failed']} of {len(cells)} cells failed; their rows hold the tracebacks, the same command tries them again"
        )
    if counts["stopped"]:
        raise Stopped("stopped at the deadline with a checkpoint; the same command goes on from it")
    values = [r["validation"] for r in records if r.get("validation") is not None]
    return sum(values) / len(values) if values else None


def _tell(cells: Sequence[Cell]) -> None:
    """Under `bench run --json`, tell the process that prints the rows which cells this job has; it may be far away."""
    folder = os.environ.get("BENCH_KEYS")
    if folder:
        text = "".join(f"{c.method.name}/{c.data.name}/{c.key}\n" for c in cells)
        store.write_atomic(Path(folder) / uuid.uuid4().hex, text.encode())


def run_cells(cells: Sequence[Cell]) -> tuple[Counter[str], list[dict[str, Any]]]:
    """Run cells in order, a line for each; returns how often what happened, and the records of the finished ones."""
    store.check_writable(Path(cells[0].settings["out"]))
    device(cells[0].settings["trainer"])  # trainer=gpu without a GPU is said now, not once per cell
    for note in dict.fromkeys(f"{c.data.name}: {c.note}" for c in cells if c.note):
        print(("!! " if "STAND-IN" in note else "data ") + note, flush=True)
    counts, records = Counter[str](), []
    with stopping.watch():
        for i, cell in enumerate(cells):
            if i and _late(cell):
                print(f"the deadline came: {len(cells) - i} cells are left to the same command", flush=True)
                counts["stopped"] += 1
                break
            outcome, record = _one(cell, f"[{i + 1}/{len(cells)}]")
            counts[outcome.split()[0]] += 1
            if record is not None and record.get("status") == "done":
                records.append(record)
            if stopping.asked() or outcome == "stopped":
                print(f"asked to stop: the same command goes on ({len(cells) - i - 1} more cells)", flush=True)
                break
    print("; ".join(f"{n} {what}" for what, n in counts.items()), flush=True)
    return counts, records


def _late(cell: Cell) -> bool:
    limit = cell.settings["deadline"]
    return limit is not None and time.monotonic() > stopping.START + limit


def _one(cell: Cell, at: str) -> tuple[str, dict[str, Any] | None]:
    from bench.cell import run

    label = f"{at} {cell.method.name} {cell.data.name} {cell.fold} seed {cell.seed}"
    if sys.stderr.isatty():
        print(f"{label} ...", end="\r", file=sys.stderr, flush=True)
    try:
        outcome, record = run(cell)
    except BenchError as error:
        outcome, record = "failed", {"status": "failed", "error": str(error)}
    print(f"{label}: {_outcome(cell, outcome, record or {})}", flush=True)
    return outcome, record


def _outcome(cell: Cell, outcome: str, record: dict[str, Any]) -> str:
    if outcome == "running":
        return f"being run by {record.get('holder')}; left to it"
    if outcome == "skip":
        return f"skipped: {cell.skip or record.get('error')}"
    if outcome == "stopped":
        return "stopped at the deadline, checkpoint kept"
    if outcome == "failed":
        where = f" (traceback in {cell.folder / store.ROW})" if record.get("traceback") else ""
        return f"FAILED: {record.get('error')}{where}"
    main = next(
        (m for m in record["metrics"] if m["metric"] == record.get("main")),
        record["metrics"][0] if record["metrics"] else None,
    )
    value = f"{main['metric']} {main['value']:.4g}" if main else "no metric"
    note = {
        "kept": " (finished before)",
        "kept stale": " (finished before, by code that has changed since; reuse=fresh runs it again)",
    }
    return f"{value}, {record['wall_s']:.1f} s{note.get(outcome, '')}"


def _show(records: list[dict[str, Any]], out: Path) -> None:
    from bench.table import tables

    print()
    print("\n\n".join(t.markdown() for t in tables(records)))
    print(f"\nrows in {out / 'cells'}; all of them side by side: bench report")
