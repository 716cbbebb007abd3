"""`bench collect`: results folders of several machines merged into one, cell by cell; nothing that is there is overwritten unseen."""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import store
from bench.cell import DONE
from bench.schema import BenchError

STAGE = ".collect"  # copies of a cell's files before they are moved into place; left only by a killed process
LEFT_OUT = ("lock", store.ROW, "last.ckpt")  # a lock and a checkpoint belong to the machine; the row is written last
SAME = 1e-13  # values that agree to so many digits are the same, as in bench.stats


@dataclass
class Found:
    """What became of the cells, by outcome; the lists hold one dictionary or sentence per cell that needs a word."""

    out: str
    folders: list[str]
    copied: int = 0
    same: int = 0
    replaced: list[dict[str, Any]] = field(default_factory=list)
    kept: list[dict[str, Any]] = field(default_factory=list)
    conflicts: list[dict[str, Any]] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    busy: list[str] = field(default_factory=list)


def collect(folders: Sequence[Path], out: Path, say: Callable[[str], None] = print) -> dict[str, Any]:
    """Merge the cells of `folders` into `out`. May be killed and repeated: a row is there whole or not at all.

    A cell that `out` lacks is copied; a finished one (done or skip) replaces a failed one; where both are finished and
    their values differ, `out` keeps its own and the cell is listed under `conflicts`.
    """
    sources = _sources(folders, out)
    store.check_writable(out)
    found = Found(str(out), [str(s) for s in sources])
    origin: dict[str, str] = {}  # cell -> the folder that it came from in this call
    for source in sources:
        for name in _cells(source):
            try:
                _merge(source, name, out, found, origin, say)
            except BenchError as error:
                found.unreadable.append(str(error))
                say(f"not collected: {error}")
            except OSError as error:
                raise BenchError(
                    f"{name}: {error.strerror or error} while copying from {source} to {out}; mend that and collect again"
                ) from None
    return dict(vars(found))


def _sources(folders: Sequence[Path], out: Path) -> list[Path]:
    """The results folders, each once; a `cells` folder stands for its parent."""
    sources: list[Path] = []
    for folder in folders:
        if not folder.is_dir():
            raise BenchError(f"{folder} is no folder; name results folders, e.g. bench collect a b out=results")
        home = folder.parent if folder.name == "cells" and not (folder / "cells").is_dir() else folder
        if not (home / "cells").is_dir():
            raise BenchError(
                f"{folder} holds no results: it has no folder cells/; name the folder that a run had as out="
            )
        here, target = home.resolve(), out.resolve()
        if target.is_relative_to(here) or here.is_relative_to(target / "cells"):
            raise BenchError(f"out={out} lies inside {folder} or is it; choose a folder of its own with out=<folder>")
        if here not in [s.resolve() for s in sources]:
            sources.append(home)
    if not sources:
        raise BenchError("no results folder is named; write bench collect <folder> [<folder> ...] out=<folder>")
    return sources


def _cells(source: Path) -> Iterator[str]:
    """Names (method/data/key) of the cells with a row; folders whose name starts with a dot are no cells."""
    for row in sorted((source / "cells").glob("[!.]*/[!.]*/[!.]*/" + store.ROW)):
        yield row.parent.relative_to(source / "cells").as_posix()


def _read(folder: Path) -> dict[str, Any] | None:
    """The record; BenchError when it is unreadable, of a newer schema, or not the row of this cell."""
    try:
        record = store.read_cell(folder)
        if record is not None:
            _values(record)
            if record["key"] != folder.name:
                raise BenchError(f"{folder / store.ROW} is the row of another cell ({record['key']}); delete it")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise BenchError(f"{folder / store.ROW} is not a readable row; delete it and run the cell again") from None
    return record


def _values(record: dict[str, Any]) -> dict[str, float]:
    values = {str(m["metric"]): float(m["value"]) for m in record.get("metrics") or []}
    if not all(map(math.isfinite, values.values())):
        raise ValueError("a row holds finite values")
    return values


def _merge(
    source: Path, name: str, out: Path, found: Found, origin: dict[str, str], say: Callable[[str], None]
) -> None:
    theirs_at, ours_at = source / "cells" / name, out / "cells" / name
    theirs = _read(theirs_at)
    if theirs is None:
        return
    if runner := store.holder(theirs_at):
        found.busy.append(f"{name} in {source}: run by {runner}")
        return say(f"left: {name} in {source} is being run by {runner}; collect it again when that is done")
    ours = None if (ours_at / STAGE).exists() else _read(ours_at)
    if ours is not None and _settled(ours, theirs, name, source, found, origin, say):
        return
    lock = store.Lock(ours_at)
    with lock as mine:
        if not mine:
            found.busy.append(f"{name} in {out}: run by {lock.holder}")
            return say(
                f"left: {name} in {out} is being run by {lock.holder or 'another process'}; collect again after it"
            )
        shutil.rmtree(ours_at / STAGE, ignore_errors=True)  # of a collection that was killed
        ours = _read(ours_at)
        if ours is not None and _settled(ours, theirs, name, source, found, origin, say):
            return
        _copy(theirs_at, ours_at, keep=("lock", store.ROW) if theirs.get("status") in DONE else LEFT_OUT)
        origin[name] = str(source)
        if ours is None:
            found.copied += 1
        else:
            found.replaced.append({"cell": name, "folder": str(source), "error": ours.get("error")})
            say(f"replaced: {name} had failed ({ours.get('error')}) and is {theirs['status']} in {source}")


def _settled(
    ours: dict[str, Any],
    theirs: dict[str, Any],
    name: str,
    source: Path,
    found: Found,
    origin: dict[str, str],
    say: Callable[[str], None],
) -> bool:
    """Whether `out` keeps its own row; says and counts why."""
    mine, other = ours.get("status") in DONE, theirs.get("status") in DONE
    if other and not mine:
        return False
    if mine and not other:
        found.kept.append({"cell": name, "folder": str(source), "error": theirs.get("error")})
        say(f"kept: {name} is {ours['status']}; in {source} it failed ({theirs.get('error')})")
        return True
    differences = _differences(ours, theirs) if mine else []
    if not differences:
        found.same += 1
        return True
    folders = [origin.get(name, found.out), str(source)]
    shas = [_sha(ours), _sha(theirs)]
    found.conflicts.append(
        {
            "cell": name,
            "metrics": [{"metric": m, "values": [a, b]} for m, a, b in differences],
            "folders": folders,
            "git_shas": shas,
        }
    )
    text = "; ".join(f"{m} {a} and {b}" for m, a, b in differences)
    say(f"CONFLICT: {name}: {text}; in {folders[0]} (code {shas[0]}, kept) and {folders[1]} (code {shas[1]})")
    return True


def _differences(ours: dict[str, Any], theirs: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    """(metric, our value, their value) where they differ; None for a metric that one of them lacks."""
    if ours["status"] != theirs["status"]:
        return [("status", ours["status"], theirs["status"])]
    a, b = _values(ours), _values(theirs)
    return [
        (m, a.get(m), b.get(m))
        for m in dict.fromkeys([*a, *b])
        if m not in a or m not in b or not math.isclose(a[m], b[m], rel_tol=SAME)
    ]


def _sha(record: dict[str, Any]) -> str:
    return (record.get("git_sha") or "no git")[:10] + ("+" if record.get("dirty") else "")


def _copy(source: Path, target: Path, keep: Sequence[str]) -> None:
    """All files of a finished cell, under the lock of `target`: staged, moved into place, the row last.

    A cell without a row is a cell to do, so the row makes the copy count; it is refused when it changed meanwhile.
    Files of an earlier attempt go, but for `keep` (a checkpoint goes once the cell is finished).
    """
    stage = target / STAGE
    row = (source / store.ROW).read_bytes()
    try:
        stage.mkdir()
        names = _copy_tree(source, stage)
        if (source / store.ROW).read_bytes() != row:
            raise BenchError(f"{source / store.ROW} changed while it was copied; collect again when nothing runs there")
        for old in list(target.iterdir()):
            if old.name not in (*keep, STAGE) and not old.name.startswith(".lock."):
                shutil.rmtree(old) if old.is_dir() and not old.is_symlink() else old.unlink()
        for name in names:
            os.replace(stage / name, target / name)
        store.write_atomic(target / store.ROW, row)
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _copy_tree(source: Path, target: Path) -> list[str]:
    """Copy what belongs to the result, durably: no locks, checkpoints, hidden or unfinished files, and no links."""
    names = []
    for item in sorted(source.iterdir()):
        if item.name in LEFT_OUT or item.name.startswith(".") or item.name.endswith(".part") or item.is_symlink():
            continue
        if item.is_dir():
            (target / item.name).mkdir()
            _copy_tree(item, target / item.name)
        elif item.is_file():
            shutil.copy2(item, target / item.name)
            with open(target / item.name, "rb") as f:
                os.fsync(f.fileno())
        names.append(item.name)
    return names


def summary(found: dict[str, Any]) -> str:
    """One line for a person."""
    counts = {k: v if isinstance(v, int) else len(v) for k, v in found.items() if k not in ("out", "folders")}
    labels = {"same": "already there", "kept": "kept over a failure", "unreadable": "not readable", "busy": "being run"}
    parts = [f"{n} {labels.get(k, k)}" for k, n in counts.items() if n]
    return f"{', '.join(parts) or 'nothing to collect'}; rows in {Path(found['out']) / 'cells'}"


def main(argv: list[str]) -> int:
    """`bench collect FOLDER [FOLDER ...] out=<folder> [--json]`; exit code 1 when finished cells contradict each other."""
    parser = argparse.ArgumentParser(prog="bench collect")
    parser.add_argument("words", nargs="*", metavar="FOLDER", help="results folders, and out=<folder>, the one to fill")
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    flags = parser.parse_args(argv)
    outs = [w.partition("=")[2] for w in flags.words if w.startswith("out=")]
    if len(outs) != 1 or not outs[0]:
        raise BenchError("out is needed once: the folder to fill, e.g. bench collect a b out=results")
    folders = [Path(w).expanduser() for w in flags.words if not w.startswith("out=")]
    found = collect(
        folders,
        Path(outs[0]).expanduser().absolute(),
        lambda text: print(text, file=sys.stderr if flags.json else None),
    )
    print(json.dumps(found, indent=1) if flags.json else summary(found))
    return 1 if found["conflicts"] else 0
