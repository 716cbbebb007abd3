"""Rows on disk: one JSON file per cell, written whole or not at all, under a lock that also works on network file systems."""

from __future__ import annotations

import csv
import functools
import io
import json
import math
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from bench.schema import SCHEMA, BenchError

STALE_S = 300.0  # a lock whose heartbeat is older than this belongs to a dead process
BEAT_S = 30.0
ROW = "cell.json"

COLUMNS = (
    "key status method data kind origin scale seed fold group transductive metric value better unit epochs n_trials "
    "wall_s timed_s overhead_s cpu_s rss_peak_mb gpu_peak_mb energy_wh energy_method params code_fp git_sha dirty "
    "data_fp versions python cpu gpu threads started finished error n_test n_out choices"
).split()


def write_atomic(path: Path, data: bytes) -> None:
    """Write to a temporary name, fsync, rename: a reader sees the old file or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}")
    try:
        with open(temporary, "wb") as f:
            f.write(data)
            f.flush()
            os.fsync(f.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_cell(folder: Path, record: dict[str, Any]) -> None:
    """Store a cell's record. NaN and infinity are refused: a row without a value is null and says why."""
    write_atomic(folder / ROW, json.dumps(record, indent=1, allow_nan=False, sort_keys=True).encode())


def read_cell(folder: Path) -> dict[str, Any] | None:
    """The record of a cell; None when there is none.

    Raises BenchError when the file cannot be read or comes from a newer schema, naming the file and the remedy.
    """
    path = folder / ROW
    try:
        record = json.loads(path.read_bytes())
        schema = record["schema"]
        newer = schema > SCHEMA
        if not newer:
            _sound(record)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, IndexError):
        raise BenchError(f"{path} is not a readable row; delete it and run the cell again") from None
    if newer:
        raise BenchError(
            f"{path} was written by a newer version (schema {schema}, this one reads {SCHEMA}); update Holonomy"
        )
    return record


def _sound(record: dict[str, Any]) -> None:
    """Raise ValueError, KeyError, TypeError or IndexError unless a record has what every reader relies on."""
    texts = [record[k] for k in ("key", "status", "method", "data", "origin", "scale", "fold")]
    numbers = [record["seed"], *(m["value"] for m in record["metrics"])]
    texts += [m["metric"] for m in record["metrics"]]
    chosen = [record["identity"][g][2] for g in ("method", "data")]
    whole = all(isinstance(t, str) for t in texts) and all(isinstance(c, dict) for c in chosen)
    if not whole or not all(isinstance(v, (int, float)) and math.isfinite(v) for v in numbers):
        raise ValueError("not a row")


def scan(out: Path) -> Iterator[dict[str, Any] | BenchError]:
    """Every record under a results folder, in a stable order; an unreadable one is yielded as its error."""
    for path in sorted((out / "cells").glob("*/*/*/" + ROW)):
        try:
            record = read_cell(path.parent)
        except BenchError as error:
            yield error
            continue
        if record is not None:
            yield record


def rows(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Long format: one dictionary of COLUMNS per metric; a cell without metrics (failed, skipped) gives one row.

    `not_comparable` says why a number may not be held against a printed one; null when it may.
    """
    from bench.table import paper

    common = {c: record.get(c) for c in COLUMNS}
    if common["choices"] is None and "identity" in record:  # tells the variants of a method apart
        chosen = {"method": record["identity"]["method"][2], "data": record["identity"]["data"][2]}
        common["choices"] = json.dumps(chosen, sort_keys=True, separators=(",", ":"))
    metrics = record.get("metrics") or [{"metric": None, "value": None, "better": None, "unit": None}]
    if record.get("status") != "done":
        return [{**common, **m, "not_comparable": record.get("status")} for m in metrics]
    return [{**common, **m, "not_comparable": paper(record, m["metric"])[1] or None} for m in metrics]


def csv_text(records: Iterable[dict[str, Any]], short: bool = False) -> str:
    """Rows in long format, one per (cell, metric), with the fixed columns.

    `short` is what is committed of a run: what belongs to the cell stands in its first line alone, the others leave it empty
    (in pandas: `rows.groupby("key").ffill()`).
    """
    buffer = io.StringIO()
    columns = [*COLUMNS, "not_comparable"]
    writer = csv.DictWriter(buffer, columns, lineterminator="\n")
    writer.writeheader()
    for record in records:
        for i, row in enumerate(rows(record)):
            flat = {**row, "versions": " ".join(f"{k}={v}" for k, v in (row["versions"] or {}).items())}
            wanted = _OF_METRIC if short and i else columns
            writer.writerow(
                {k: "" if (v := flat[k]) is None else repr(v) if isinstance(v, float) else v for k in wanted}
            )
    return buffer.getvalue()


_OF_METRIC = ("key", "metric", "value", "better", "unit", "not_comparable")


_INT = "seed threads epochs n_trials params n_test n_out".split()
_FLOAT = "value wall_s timed_s overhead_s cpu_s rss_peak_mb gpu_peak_mb energy_wh".split()


def read_csv(path: Path) -> Iterator[dict[str, Any] | BenchError]:
    """Records from committed rows (`csv_text`, short or not), as complete as the columns allow; an unreadable file yields its error."""
    found: dict[str, dict[str, Any]] = {}
    try:
        for line in csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))):
            row: dict[str, Any] = {k: None if line[k] == "" else line[k] for k in COLUMNS}
            for names, kind in ((_INT, int), (_FLOAT, float), (("dirty", "transductive"), "True".__eq__)):
                row |= {k: kind(row[k]) for k in names if row[k] is not None}
            row["versions"] = dict(p.partition("=")[::2] for p in (row["versions"] or "").split())
            metric = {k: row.pop(k) for k in ("metric", "value", "better", "unit")}
            chosen = json.loads(row["choices"] or "{}")
            identity = {g: [row[g], None, chosen.get(g, {})] for g in ("method", "data")}
            first = {**row, "schema": SCHEMA, "identity": identity, "main": metric["metric"], "metrics": []}
            record = found.setdefault(row["key"], first)
            if metric["metric"] is not None:
                record["metrics"].append(metric)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"{type(error).__name__}: {error}"
        yield BenchError(
            f"{path} is not a table of rows ({what}); restore it from git or write it with bench report --rows"
        )
        return
    yield from found.values()


def all_records(out: Path) -> Iterator[dict[str, Any] | BenchError]:
    """Every record of a results folder: cells, then committed rows (rows/*.csv) of cells that are not there."""
    seen = set()
    for record in scan(out):
        if isinstance(record, dict):
            seen.add(record["key"])
        yield record
    for path in sorted((out / "rows").glob("*.csv")):
        for record in read_csv(path):
            if isinstance(record, BenchError) or record["key"] not in seen:
                yield record


def check_writable(out: Path, need_mb: float = 50.0) -> None:
    """Raise BenchError before anything runs when rows could not be stored there."""
    import shutil

    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / f".probe.{os.getpid()}.{uuid.uuid4().hex[:8]}"
        probe.write_bytes(b"x")
        probe.unlink()
    except OSError as error:
        raise BenchError(
            f"out={out} cannot be written ({error.strerror}); choose another folder with out=<folder>"
        ) from None
    free = shutil.disk_usage(out).free / 1e6
    if free < need_mb:
        raise BenchError(
            f"out={out} has {free:.0f} MB of free space and {need_mb:.0f} MB are needed; free some or choose out=<folder>"
        )


# ------------------------------------------------------------------------------------------ locks


@functools.cache
def _machine() -> str:
    """Names one process table: two containers of one host name, or one machine before and after a boot, differ."""
    parts = [socket.gethostname()]
    try:
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip()[:8])
        parts.append(os.readlink("/proc/self/ns/pid").strip("pid:[]"))
    except OSError:
        pass
    return "/".join(parts)


def _born(pid: int) -> str:
    """Start time of a process, so that a reused pid is not taken for the one that wrote the lock."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


def _alive(pid: int, born: str) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return not _zombie(pid) and (not born or _born(pid) == born)


def _zombie(pid: int) -> bool:
    """Whether a killed process only waits to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (OSError, IndexError):
        return False


def _read_lock(path: Path) -> tuple[dict[str, Any], float] | None:
    try:
        return json.loads(path.read_text() or "{}"), time.time() - path.stat().st_mtime
    except FileNotFoundError:
        return None
    except ValueError:
        return {}, STALE_S + 1


def _dead(info: dict[str, Any], age: float) -> bool:
    here = info.get("host") == _machine()
    return age > STALE_S or (here and not _alive(info.get("pid", -1), info.get("born", "")))


class Lock:
    """`with Lock(folder) as mine:` - `mine` is False when a living process holds the cell; `holder` then tells which.

    The lock is a file created exclusively, with host, pid and start time; a thread renews its time stamp. It is taken over
    when its process is dead (same host) or its time stamp is older than STALE_S (any host).
    """

    def __init__(self, folder: Path, name: str = "lock") -> None:
        self.path = folder / name
        self.token = uuid.uuid4().hex
        self.holder = ""
        self._stop = threading.Event()

    def __enter__(self) -> bool:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        for _ in range(5):
            if self._create():
                self._thread = threading.Thread(target=self._beat, daemon=True)
                self._thread.start()
                return True
            if not self._break_if_dead():
                return False
        return False

    def _create(self) -> bool:
        # written elsewhere and linked in place: the name never shows an empty or half-written lock
        me = {"host": _machine(), "pid": os.getpid(), "born": _born(os.getpid()), "token": self.token}
        draft = self.path.with_name(f".lock.{os.getpid()}.{self.token}")
        draft.write_text(json.dumps(me))
        try:
            os.link(draft, self.path)
            return True
        except (FileExistsError, FileNotFoundError):  # held, or the draft was swept away
            return False
        finally:
            draft.unlink(missing_ok=True)

    def _break_if_dead(self) -> bool:
        """Remove a dead process's lock; True when it is worth trying again."""
        seen = self._read()
        if seen is None:
            return True
        info, age = seen
        if not _dead(info, age):
            self.holder = f"process {info.get('pid')} on {info.get('host')}"
            return False
        # of several that see the dead lock the holder of a lock on this very lock removes it; a breaker killed here is broken in turn
        guard = Lock(self.path.parent, f".lock.dead.{info.get('token')}")
        with guard as mine:
            seen = self._read() if mine else None
            if seen is not None and seen[0].get("token") == info.get("token"):
                self.path.unlink(missing_ok=True)
        if not mine:
            self.holder = guard.holder
            time.sleep(0.01)
        return True

    def _read(self) -> tuple[dict[str, Any], float] | None:
        return _read_lock(self.path)

    def _beat(self) -> None:
        while not self._stop.wait(BEAT_S):
            try:
                os.utime(self.path)
            except OSError:
                return

    def owned(self) -> bool:
        """Whether this lock is still the one on disk (it is not after a pause longer than STALE_S)."""
        seen = self._read()
        return bool(seen and seen[0].get("token") == self.token)

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        if self.owned():
            self.path.unlink(missing_ok=True)


def holder(folder: Path) -> str:
    """Who runs a cell now, for `bench plan`; empty when nobody does."""
    lock = Lock(folder)
    seen = lock._read()
    if seen is None:
        return ""
    info, age = seen
    if info.get("host") == _machine() and not _alive(info.get("pid", -1), info.get("born", "")):
        return ""
    return f"process {info.get('pid')} on {info.get('host')}" if age <= STALE_S else ""


def sweep(folder: Path) -> None:
    """Remove temporary files of killed writers; call it under the cell's lock. A lock in the making stays while its process lives."""
    for path in [*folder.glob(".*"), *folder.glob("last.*.part")]:
        if path.is_file() and (not path.name.startswith(".lock.") or _abandoned(path)):
            path.unlink(missing_ok=True)


def _abandoned(draft: Path) -> bool:
    """Whether nobody alive is making this lock; an empty one has its process in its name."""
    seen = _read_lock(draft)
    if seen is None or seen[0]:
        return seen is not None and _dead(*seen)
    pid = draft.name.split(".")[2]
    return not pid.isdigit() or not _alive(int(pid), "")


def tidy(folder: Path) -> None:
    """Remove what a killed writer left beside a finished row: its lock and temporary files."""
    if any(name == "lock" or name.startswith(".") or name.endswith(".part") for name in os.listdir(folder)):
        with Lock(folder) as mine:
            if mine:
                sweep(folder)
