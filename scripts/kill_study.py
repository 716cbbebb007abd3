"""Writers killed with SIGKILL at random moments: is a row ever lost, doubled or torn? Run: python scripts/kill_study.py

Writers run one list of tiny cells into one results folder; one of them at a time, chosen at random, is killed and started
again. When the list is finished before the kills are used up, a new round begins in a new folder. Then, in every round:

- lost, torn: each cell has one readable row, of status done;
- wrong: its metric values are those of a clean run by one process;
- doubled: a cell is computed again only when its writer was killed before the row was stored, and never by two at a time;
- litter: no lock and no temporary file is left, once one more run of the same list has ended.

Prints a verdict; exit code 1 when any of these does not hold.
"""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"  # before the numerical libraries are loaded

import argparse
import multiprocessing
import random
import sys
import tempfile
import time
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bench import cell, context, plan, store  # noqa: E402
from bench.schema import BenchError  # noqa: E402

FORK = multiprocessing.get_context("fork")  # a writer starts warm
CAP = 400  # iterations
PAUSE_S = 0.06  # mean time between two kills
LIMIT_S = 120.0  # of one round: beyond it a cell is never finished


def tiny_cells(n: int) -> list[plan.Cell]:
    """At least `n` cells of some 30 ms, rounded up to whole data sets of four folds."""
    caps = ",".join(str(CAP + i) for i in range(-(-n // 4)))
    return plan.expand(["method=bw_descent", "data=spd_targets", f"method.cap={caps}"])


def into(out: Path, cells: list[plan.Cell]) -> list[plan.Cell]:
    return [replace(c, settings={**c.settings, "out": str(out)}) for c in cells]


class Log:
    """One line per event, appended by all processes: begin and stored (by writers), kill (by the killer, before it acts)."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, event: str, pid: int, key: str = "-") -> None:
        handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(handle, f"{event} {pid} {key}\n".encode())  # one short write: appended whole
        os.close(handle)

    def events(self) -> list[tuple[str, int, str]]:
        lines = [line.split() for line in self.path.read_text().splitlines()] if self.path.exists() else []
        return [(event, int(pid), key) for event, pid, key in lines]


def write(cells: list[plan.Cell], log: Log) -> None:
    """What a writer does: the whole list, again and again, until every cell is finished."""
    attempt, write_cell = cell._attempt, store.write_cell

    def logged_attempt(one: plan.Cell) -> dict[str, Any]:
        log.add("begin", os.getpid(), one.key)
        return attempt(one)

    def logged_write(folder: Path, record: dict[str, Any]) -> None:
        write_cell(folder, record)
        log.add("stored", os.getpid(), record["key"])

    cell._attempt, store.write_cell = logged_attempt, logged_write
    left = cells
    while left:
        left = [one for one in left if cell.run(one)[0] not in ("done", "kept")]
        time.sleep(0.002)


def start(cells: list[plan.Cell], log: Log) -> BaseProcess:
    process = FORK.Process(target=write, args=(cells, log))
    process.start()
    return process


def storm(cells: list[plan.Cell], log: Log, writers: int, kills: int, rng: random.Random) -> int:
    """Run the list under at most `kills` kills; the number of kills. Raises BenchError when it does not end or a writer does by itself."""
    running, done, limit = [start(cells, log) for _ in range(writers)], 0, time.monotonic() + LIMIT_S
    try:
        while running:
            time.sleep(rng.expovariate(1 / PAUSE_S) if done < kills else 0.05)
            crashed = [p for p in running if p.exitcode]
            if crashed:
                raise BenchError(f"writer {crashed[0].pid} stopped by itself with exit code {crashed[0].exitcode}")
            running = [p for p in running if p.exitcode is None]
            if done < kills and running:
                victim = running.pop(rng.randrange(len(running)))
                log.add("kill", victim.pid or 0)
                victim.kill()
                victim.join()
                done += victim.exitcode == -9
                running.append(start(cells, log))
            if time.monotonic() > limit:
                raise BenchError(
                    f"the list is not finished after {LIMIT_S:.0f} s: a cell stays held, or its rows are thrown away"
                )
    finally:
        for p in running:
            p.kill()
            p.join()
    return done


def doubled(events: list[tuple[str, int, str]]) -> list[str]:
    """Cells computed when another had them or after they were stored."""
    found, killed, open_, stored = [], set(), {}, set()
    for event, pid, key in events:
        if event == "kill":
            killed.add(pid)
        elif event == "begin":
            others = [p for p in open_.get(key, []) if p not in killed]
            if key in stored or others:
                found.append(
                    f"{key} was begun by {pid} " + (f"while {others[0]} ran it" if others else "after it was stored")
                )
            open_.setdefault(key, []).append(pid)
        else:
            if key in stored:
                found.append(f"{key} was stored twice")
            stored.add(key)
            open_[key].remove(pid)
    wasted = [(pid, key) for key, pids in open_.items() for pid in pids if pid not in killed]
    return found + [f"{key} was computed by {pid}, which lived, and thrown away" for pid, key in wasted]


def inspect(out: Path, cells: list[plan.Cell], truth: dict[str, Any], log: Log) -> dict[str, list[str]]:
    """Violations by sort. Litter is looked for by `litter`."""
    rows = list(store.scan(out))
    torn = [str(r) for r in rows if isinstance(r, BenchError)]
    good = [r for r in rows if not isinstance(r, BenchError)]
    keys = [r["key"] for r in good]
    lost = [f"{c.key} has {keys.count(c.key)} rows" for c in cells if keys.count(c.key) != 1]
    wrong = [
        f"{r['key']} is {r['status']} with {r['metrics']}"
        for r in good
        if r["status"] != "done" or r["metrics"] != truth.get(r["key"])
    ]
    return {"lost": lost, "torn": torn, "wrong": wrong, "doubled": doubled(log.events())}


def litter(out: Path) -> list[str]:
    """Locks and temporary files: hidden names and *.part; the files of finished cells are none."""
    found = [
        p for p in sorted(out.rglob("*")) if p.name == "lock" or p.name.startswith(".") or p.name.endswith(".part")
    ]
    return [str(p.relative_to(out)) for p in found]


def study(kills: int, seed: int, writers: int, n: int, folder: Path) -> dict[str, Any]:
    """Rounds until `kills` kills are used up; counts and violations."""
    rng, used, rounds, begun = random.Random(seed), 0, 0, 0
    plain = tiny_cells(n)
    context.Context.save_figure = lambda *_: None  # a figure takes ten times as long as such a cell
    clean = into(folder / "clean", plain)
    began = time.perf_counter()
    for one in clean:
        assert cell.run(one)[0] == "done", "the clean run failed"
    each = (time.perf_counter() - began) / len(clean)
    truth = {r["key"]: r["metrics"] for r in store.scan(folder / "clean") if not isinstance(r, BenchError)}
    found: dict[str, list[str]] = {"lost": [], "torn": [], "wrong": [], "doubled": [], "litter": []}
    left = 0
    while used < kills:
        out, log = folder / f"round{rounds}", Log(folder / f"round{rounds}.log")
        cells = into(out, plain)
        used += storm(cells, log, writers, kills - used, rng)
        rounds += 1
        left += len(litter(out))
        for sort, sentences in inspect(out, cells, truth, log).items():
            found[sort] += sentences
        begun += sum(event == "begin" for event, _, _ in log.events())
        for one in cells:  # the same command once more
            cell.run(one)
        found["litter"] += litter(out)
    return {
        "kills": used,
        "writers": writers,
        "rounds": rounds,
        "cells": rounds * len(clean),
        "computed": begun,
        "seconds_per_cell": round(each, 4),
        "left_by_the_killed": left,
        "violations": found,
    }


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--writers", type=int, default=4)
    parser.add_argument("--cells", type=int, default=120, help="cells of a round")
    words = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        try:
            found = study(words.kills, words.seed, words.writers, words.cells, Path(folder))
        except BenchError as error:
            print(f"FAILED: {error}")
            return 1
    counts = {sort: len(sentences) for sort, sentences in found["violations"].items()}
    for sort, sentences in found["violations"].items():
        for sentence in sentences[:10]:
            print(f"{sort}: {sentence}")
    print(
        f"{found['kills']} kills under {found['writers']} writers, {found['cells']} cells in {found['rounds']} rounds "
        f"({1000 * found['seconds_per_cell']:.0f} ms each), {found['computed']} computations, "
        f"{found['left_by_the_killed']} files left by the killed"
    )
    print(("FAILED: " if any(counts.values()) else "holds: ") + ", ".join(f"{k} {n}" for k, n in counts.items()))
    return 1 if any(counts.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
