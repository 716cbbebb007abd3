"""`bench diff A B`: what moved between two results folders, or between the tables committed at two git revisions."""

from __future__ import annotations

import argparse
import csv
import io
import json
import math
import subprocess
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import ROOT, store
from bench.schema import BenchError

NEEDED = ("method", "data", "origin", "scale", "fold", "seed", "metric", "value")  # columns of a table of rows
BEYOND = 2.0  # standard errors from which on a difference counts as moved
CODE = ("code_fp", "git_sha", "data_fp", "python", "cpu", "gpu", "threads")
VERDICTS = ("changed", "moved", "measured", "within noise", "rounding", "same")  # in the order of the list
VOLATILE = ("s", "MB", "Wh")  # units of measurements of the run, not of the method: they never count as moved
HEADER = ["verdict", "method", "data", "scale", "metric", "A", "B", "B - A", "s.e. moved", "groups", "cells changed"]


@dataclass
class Row:
    """One cell of one side; choices are None, and code is empty, where the source does not tell them."""

    key: str
    cell: tuple[str, ...]  # method, data, origin, scale, fold, seed: what pairs a row that has no key
    status: str
    method: str
    data: str
    origin: str
    scale: str
    group: str
    method_choices: dict[str, Any] | None = None
    data_choices: dict[str, Any] | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    code: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    @property
    def label(self) -> str:
        return f"{self.method} {self.data} {self.scale} fold {self.cell[4]} seed {self.cell[5]}"


@dataclass
class Side:
    """What one word stands for: its cells by key, and what could not be read."""

    name: str
    what: str
    rows: dict[str, Row]
    notes: list[str]


# ------------------------------------------------------------------------------------------ reading


def side(word: str, root: Path = ROOT) -> Side:
    """The results folder or git revision that `word` names; BenchError, naming both readings, when it is neither."""
    if not word or word.startswith("-"):
        raise BenchError(f"{word!r} is neither a results folder nor a git revision; an option goes after both words")
    folder = Path(word).expanduser()
    if (folder / "cells").is_dir() or (folder / "rows").is_dir():
        return _folder(word, folder)
    sha = _sha(word, root)
    if sha is None:
        why = "has no folder cells/ or rows/" if folder.is_dir() else "does not exist as a folder"
        raise BenchError(f"{word} {why} and is no git revision here; name a results folder, or a revision as in HEAD~1")
    return _revision(word, sha, root)


def _folder(word: str, folder: Path) -> Side:
    rows, notes = {}, []
    for record in store.all_records(folder):
        if isinstance(record, BenchError):
            notes.append(str(record))
            continue
        try:
            row = _of_record(record)
        except (KeyError, TypeError, ValueError, AttributeError):
            notes.append(f"a row of {folder} lacks what a comparison needs (key {record.get('key')}); left out")
            continue
        rows[row.key] = row
    return Side(word, f"the results folder {word}", rows, notes)


def _of_record(r: dict[str, Any]) -> Row:
    identity = r.get("identity") or {}
    metrics = r.get("metrics") or []
    return Row(
        key=r["key"],
        cell=tuple(str(r.get(c)) for c in ("method", "data", "origin", "scale", "fold", "seed")),
        status=r["status"],
        method=r["method"],
        data=r["data"],
        origin=r["origin"],
        scale=r["scale"],
        group=str(r.get("group") or r.get("fold")),
        method_choices=identity["method"][2] if identity else None,
        data_choices=identity["data"][2] if identity else None,
        metrics={m["metric"]: float(m["value"]) for m in metrics},
        units={m["metric"]: m.get("unit") or "" for m in metrics},
        code={c: str(r[c]) for c in CODE if r.get(c) is not None},
        versions={k: str(v) for k, v in (r.get("versions") or {}).items()},
    )


def _git(root: Path, *words: str) -> bytes | None:
    """Output of git in `root`; None when it fails."""
    try:
        done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _sha(word: str, root: Path) -> str | None:
    found = _git(root, "rev-parse", "--verify", "--quiet", word + "^{commit}")
    return found.decode().strip() if found else None


def _revision(word: str, sha: str, root: Path) -> Side:
    """The tables committed under results/ and results/rows/. One without the columns of rows is named and passed over."""
    listed = _git(root, "ls-tree", "-z", "--name-only", sha, "results/", "results/rows/") or b""
    paths = sorted(p for p in listed.decode(errors="replace").split("\0") if p.endswith(".csv"))
    rows: dict[str, Row] = {}
    notes, read = [], 0
    for path in paths:
        content = _git(root, "show", f"{sha}:./{path}")
        try:
            lines = list(csv.DictReader(io.StringIO((content or b"").decode()), restval=""))
        except (UnicodeDecodeError, csv.Error):
            lines = []
        missing = [c for c in NEEDED if not lines or c not in lines[0]]
        if missing:
            notes.append(f"{path} at {word} is no table of rows (no {', '.join(missing)}); passed over")
            continue
        read += 1
        for line in lines:
            notes += _add(rows, line, f"{path} at {word}")
    if not read:
        raise BenchError(
            f"{word} ({sha[:10]}) has no table of rows under results/; commit one: bench report --rows results/rows/<name>.csv"
        )
    keyed = {row.cell for row in rows.values() if row.key != _name(row.cell)}
    rows = {k: row for k, row in rows.items() if k != _name(row.cell) or row.cell not in keyed}
    return Side(word, f"the tables committed at {word} ({sha[:10]})", rows, notes)


def _name(cell: tuple[str, ...]) -> str:
    """Stands for the key where a table has none, as results/baseline.csv."""
    return "/".join(cell)


def _add(rows: dict[str, Row], line: dict[str, Any], where: str) -> list[str]:
    """Put one line of a table among the rows; sentences on what does not fit."""
    row = _of_line(line)
    row = rows.setdefault(row.key, row)
    metric = line["metric"]
    if not metric:
        return []
    try:
        value = float(line["value"])
        if not math.isfinite(value):
            raise ValueError
    except ValueError:
        return [f"{where}: {row.key} {metric} has the value {line['value']!r}, which is no number; left out"]
    row.units[metric] = line.get("unit") or ""
    if row.metrics.setdefault(metric, value) != value:
        return [f"{where}: {row.key} {metric} is {value} here and {row.metrics[metric]} elsewhere; that one is used"]
    return []


def _of_line(line: dict[str, Any]) -> Row:
    cell = tuple(line[c] for c in ("method", "data", "origin", "scale", "fold", "seed"))
    try:
        choices = json.loads(line.get("choices") or "{}")
        of_method, of_data = choices.get("method"), choices.get("data")
    except (ValueError, AttributeError):
        of_method = of_data = None
    return Row(
        key=line.get("key") or _name(cell),
        cell=cell,
        status=line.get("status") or "done",
        method=line["method"],
        data=line["data"],
        origin=line["origin"],
        scale=line["scale"],
        group=line.get("group") or line["fold"],
        method_choices=of_method,
        data_choices=of_data,
        code={c: line[c] for c in CODE if line.get(c)},
        versions=dict(word.partition("=")[::2] for word in (line.get("versions") or "").split()),
    )


# ------------------------------------------------------------------------------------------ comparing


def diff(a: Side, b: Side) -> dict[str, Any]:
    """Everything that differs: `lines` (values), `status`, `only_a`, `only_b`, `code`; `moved` says whether values did.

    Cells are paired by key, so both sides ran the same choices, seed and fold; rows of a table without keys by method,
    data, origin, scale, fold and seed, when one cell fits. Within a group (a subject) differences of seeds and folds are
    averaged; the standard error is that of the mean over groups.
    """
    both, notes = _paired(a, b)
    lines = _lines([(x, y) for x, y in both if x.status == y.status == "done"])
    status = [{"key": x.key, "cell": x.label, "a": x.status, "b": y.status} for x, y in both if x.status != y.status]
    only = {
        name: [
            {"key": k, "cell": row.label} for k, row in sorted(one.rows.items()) if k not in {p[i].key for p in both}
        ]
        for i, (name, one) in enumerate((("only_a", a), ("only_b", b)))
    }
    metrics = [
        {"key": x.key, "cell": x.label, "metric": m, "in": "A" if m in x.metrics else "B"}
        for x, y in both
        if x.status == y.status
        for m in sorted(x.metrics.keys() ^ y.metrics.keys())
    ]
    return {
        "a": a.what,
        "b": b.what,
        "cells": len(both),
        "moved": bool(status) or any(line["verdict"] in ("changed", "moved") for line in lines),
        "lines": lines,
        "status": status,
        **only,
        "metrics_on_one_side": metrics,
        "code": _code(both),
        "notes": [*a.notes, *b.notes, *notes],
    }


def _paired(a: Side, b: Side) -> tuple[list[tuple[Row, Row]], list[str]]:
    """(row of A, row of B) of every cell that both have, and sentences on rows that fit more than one cell."""
    both = [(a.rows[k], b.rows[k]) for k in sorted(a.rows.keys() & b.rows.keys())]
    notes: list[str] = []
    for one, other, swap in ((a, b, False), (b, a, True)):
        by_cell: dict[tuple[str, ...], list[Row]] = {}
        for row in other.rows.values():
            by_cell.setdefault(row.cell, []).append(row)
        for key, row in sorted(one.rows.items()):
            fitting = by_cell.get(row.cell, []) if key == _name(row.cell) and key not in other.rows else []
            if len(fitting) == 1:
                both.append((fitting[0], row) if swap else (row, fitting[0]))
            elif fitting:
                notes.append(
                    f"{row.label} of {one.name} has no key and fits {len(fitting)} cells of {other.name}; not compared"
                )
    return both, notes


def _lines(pairs: Iterable[tuple[Row, Row]]) -> list[dict[str, Any]]:
    """One line per method, data, choices, origin, scale and metric, what moved most first."""
    found: dict[tuple[str, ...], dict[str, list[tuple[float, float]]]] = {}
    units: dict[tuple[str, ...], str] = {}
    choices: dict[tuple[str, ...], tuple[Any, Any]] = {}
    for x, y in pairs:
        of_method = x.method_choices if x.method_choices is not None else y.method_choices
        of_data = x.data_choices if x.data_choices is not None else y.data_choices
        for metric in sorted(x.metrics.keys() & y.metrics.keys()):
            key = (x.method, _text(of_method), x.data, _text(of_data), x.origin, x.scale, metric)
            choices[key], units[key] = (of_method, of_data), x.units.get(metric) or y.units.get(metric, "")
            found.setdefault(key, {}).setdefault(x.group, []).append((x.metrics[metric], y.metrics[metric]))
    lines = [_line(key, *choices[key], units[key], groups) for key, groups in found.items()]
    names = ("method", "data", "origin", "scale", "metric")
    return sorted(
        lines,
        key=lambda x: (VERDICTS.index(x["verdict"]), -abs(x["errors"] or 0.0), *(x[n] for n in names), str(x)),
    )


def _text(choices: dict[str, Any] | None) -> str:
    return "" if choices is None else json.dumps(choices, sort_keys=True)


def _line(
    key: tuple[str, ...],
    method_choices: dict[str, Any] | None,
    data_choices: dict[str, Any] | None,
    unit: str,
    groups: dict[str, list[tuple[float, float]]],
) -> dict[str, Any]:
    import numpy as np

    from bench.stats import _snap

    values = np.array([np.mean(pairs, axis=0) for _, pairs in sorted(groups.items())])
    every = np.array([pair for pairs in groups.values() for pair in pairs])
    raw = values[:, 1] - values[:, 0]
    d = _snap(raw, np.abs(values).max())[0]
    mean, sd = float(d.mean()), float(d.std(ddof=1)) if len(d) > 1 and np.ptp(d) else 0.0
    errors = None if len(d) == 1 or (sd == 0 and mean != 0) else mean / (sd / len(d) ** 0.5) if sd else 0.0
    if not d.any():
        verdict = "rounding" if raw.any() else "same"
    elif unit in VOLATILE:
        verdict = "measured"
    elif sd == 0:
        verdict = "changed"
    else:
        verdict = "moved" if errors is not None and abs(errors) > BEYOND else "within noise"
    note = ""
    if len(d) == 1:
        note = "one group: no standard error"
    elif verdict == "changed":
        note = "the same change in every group: no spread to hold it against"
    method, _, data, _, origin, scale, metric = key
    return {
        "method": method,
        "method_choices": method_choices,
        "data": data,
        "data_choices": data_choices,
        "origin": origin,
        "scale": scale,
        "metric": metric,
        "unit": unit,
        "a": float(values[:, 0].mean()),
        "b": float(values[:, 1].mean()),
        "difference": float(raw.mean()),
        "errors": errors,
        "groups": len(d),
        "cells": len(every),
        "cells_changed": int(np.count_nonzero(_snap(every[:, 1] - every[:, 0], np.abs(every).max())[0])),
        "verdict": verdict,
        "note": note,
    }


def _code(both: list[tuple[Row, Row]]) -> list[dict[str, Any]]:
    """Code, packages and machines that differ between the two rows of a cell, with the number of such cells."""
    found: dict[str, tuple[set[str], set[str], int]] = {}
    for x, y in both:
        known = {what: (x.code[what], y.code[what]) for what in CODE if what in x.code and what in y.code}
        if x.versions and y.versions:
            names = sorted(x.versions.keys() | y.versions.keys())
            known |= {f"version of {n}": (x.versions.get(n, "absent"), y.versions.get(n, "absent")) for n in names}
        for what, (one, other) in known.items():
            if one != other:
                of_a, of_b, n = found.get(what, (set(), set(), 0))
                found[what] = (of_a | {one}, of_b | {other}, n + 1)
    return [
        {"what": what, "a": sorted(of_a), "b": sorted(of_b), "cells": n}
        for what, (of_a, of_b, n) in sorted(found.items())
    ]


# ------------------------------------------------------------------------------------------ for people


def text(found: dict[str, Any], most: int = 20) -> str:
    """Plain text; at most `most` cells of each list are named."""
    from bench.table import Table

    shown = [line for line in found["lines"] if line["verdict"] != "same"]
    same = len(found["lines"]) - len(shown)
    head = [f"A is {found['a']}; B is {found['b']}; {found['cells']} cells are in both."]
    if not found["cells"]:
        head.append("No cell is in both, so nothing was compared.")
    elif not found["moved"]:
        head.append("Nothing moved.")
    parts = [" ".join(head)]
    if shown:
        notes = ["Differences are paired within groups; moved means beyond 2 standard errors of their mean."]
        if any(line["note"] for line in shown):
            notes.append("No standard error is given for one group, or where every group changed by the same amount.")
        if any(line["method_choices"] is None for line in shown):
            notes.append(
                "Where a table does not tell choices, variants of a method share a line; they are paired cell by cell."
            )
        parts.append(Table("Values", notes, HEADER, [_cells(line) for line in shown]).markdown())
    if same:
        parts.append(f"{same} values are the same on both sides.")
    parts += _list("Status changed", found["status"], lambda x: f"{x['cell']}: {x['a']} in A, {x['b']} in B", most)
    parts += _list("Only in A", found["only_a"], _named, most)
    parts += _list("Only in B", found["only_b"], _named, most)
    parts += _list(
        "Metrics on one side",
        found["metrics_on_one_side"],
        lambda x: f"{x['cell']}: {x['metric']} only in {x['in']}",
        most,
    )
    parts += _list(
        "Code, packages and machines that differ",
        found["code"],
        lambda x: f"{x['what']}: {_some(x['a'])} in A, {_some(x['b'])} in B ({x['cells']} cells)",
        len(found["code"]),
    )
    parts += _list("Not read", found["notes"], str, most)
    return "\n\n".join(parts)


def _cells(line: dict[str, Any]) -> list[str]:
    from bench.table import variant

    method, data = (
        line[n] + (f" ({variant(line[f'{n}_choices'])})" if line[f"{n}_choices"] else "") for n in ("method", "data")
    )
    errors = "none" if line["errors"] is None else f"{line['errors']:+.1f}"
    return [
        line["verdict"],
        method,
        f"{data}, {line['origin'].replace('_', ' ')}",
        line["scale"],
        line["metric"],
        f"{line['a']:.6g}",
        f"{line['b']:.6g}",
        f"{line['difference']:+.3g}",
        errors,
        str(line["groups"]),
        f"{line['cells_changed']} of {line['cells']}",
    ]


def _named(x: dict[str, Any]) -> str:
    return x["cell"] + ("" if "/" in x["key"] else f" ({x['key']})")


def _some(values: list[str], most: int = 3) -> str:
    shown = ", ".join(values[:most])
    return shown + (f" and {len(values) - most} more" if len(values) > most else "")


def _list(title: str, items: list[Any], sentence: Callable[[Any], str], most: int) -> list[str]:
    if not items:
        return []
    rest = [f"- and {len(items) - most} more; --json names all"] if len(items) > most else []
    return ["\n".join([f"### {title} ({len(items)})", "", *(f"- {sentence(x)}" for x in items[:most]), *rest])]


def main(argv: list[str]) -> int:
    """`bench diff A B [--json]`; exit code 1 when a value or a status moved, or when no cell is on both sides."""
    parser = argparse.ArgumentParser(prog="bench diff")
    parser.add_argument(
        "sides", nargs="*", metavar="A B", help="results folders, or git revisions with committed tables"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    flags = parser.parse_args(argv)
    if len(flags.sides) != 2:
        raise BenchError(
            f"{len(flags.sides)} words where two are needed; write bench diff A B, e.g. bench diff HEAD~1 results"
        )
    found = diff(*(side(word) for word in flags.sides))
    print(json.dumps(found, indent=1) if flags.json else text(found))
    return 1 if found["moved"] or not found["cells"] else 0
