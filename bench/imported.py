"""Results of others beside ours: `bench import FILE.csv data=...` keeps a MOABB result file for the tables, marked in every line.

Imported numbers are no rows: no code, versions, folds or machine is known of them, so they have no key, and no claim, gate,
baseline or comparison reads them. They lie in <out>/imported/ and only tables show them.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import math
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import plan, store
from bench.choices import chosen, typed
from bench.schema import BenchError, DataConfig
from bench.words import check_overrides, key, results_folder

if TYPE_CHECKING:
    from bench.table import Table

FOLDER = "imported"
NEEDED = ("score", "subject", "dataset", "pipeline")


def subject_of(name: str) -> str:
    """The subject behind a fold or group of ours or a subject of MOABB: S001s1k2, S001, sub-01_ses-2 and 1 are all "1"."""
    found = re.fullmatch(r"(?:sub-|[Ss])?0*(\w+?)(?:s\d+)?(?:k\d+)?(?:_.*)?", name)
    return found.group(1) if found else name


def keep(path: Path, data: DataConfig, out: Path) -> dict[str, Any]:
    """Check a result file and store what it says of `data`; returns what was stored.

    Raises BenchError for a file that is no table of MOABB's or that holds nothing of this data set, naming what it holds.
    """
    try:
        content = path.read_bytes()
        lines = list(csv.DictReader(content.decode("utf-8-sig").splitlines()))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BenchError(f"{path} cannot be read as a table ({type(error).__name__}: {error})") from None
    absent = [c for c in NEEDED if not lines or c not in lines[0]]
    if absent:
        raise BenchError(
            f"{path} is no result file of MOABB: it has no column {', '.join(absent)}; save results.to_csv(...)"
        )
    titles, subjects = {_plain(t) for t in data.titles()}, {subject_of(f) for f in data.folds()}
    own = [line for line in lines if _plain(line["dataset"]) in titles]
    if not own:
        raise BenchError(
            f"{path} has no results of {data.name} ({data.titles()[0]}); it has {', '.join(sorted({r['dataset'] for r in lines}))}"
        )
    rows = [
        {"pipeline": r["pipeline"], "subject": subject_of(r["subject"]), "session": r.get("session") or "0", "score": s}
        for i, r in enumerate(own, 2)
        if (s := _score(r["score"], path, i)) is not None and subject_of(r["subject"]) in subjects
    ]
    if not rows:
        raise BenchError(
            f"{path} has no subject that data={data.name} has; it has {', '.join(sorted({r['subject'] for r in own}))}"
        )
    found = {
        "file": path.name,
        "sha256": hashlib.sha256(content).hexdigest(),
        "data": data.name,
        "choices": {k: v for k, v in chosen(data).items() if k not in data.stand_in},
        "metric": "roc_auc" if _classes(data, own) == 2 else "accuracy",
        "rows": rows,
    }
    name = hashlib.sha256(
        json.dumps([found["data"], found["choices"], found["sha256"]], sort_keys=True).encode()
    ).hexdigest()
    store.write_atomic(out / FOLDER / f"{data.name}-{name[:8]}.json", json.dumps(found, indent=1).encode())
    return found


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _score(text: str, path: Path, line: int) -> float | None:
    """The score of a line; None for an empty or NaN one, which MOABB writes for a pipeline that failed."""
    try:
        value = float(text or "nan")
    except ValueError:
        raise BenchError(f"{path}, line {line}: the score {text!r} is no number") from None
    return value if math.isfinite(value) else None


def _classes(data: DataConfig, rows: Sequence[dict[str, str]]) -> int:
    classes = getattr(data, "classes", None)
    if classes is not None:
        return len(classes() if callable(classes) else classes)
    stated = {float(r["n_classes"]) for r in rows if r.get("n_classes")}
    return int(stated.pop()) if len(stated) == 1 else 0


def read(out: Path) -> list[dict[str, Any]]:
    """Everything imported into a results folder; BenchError for a file that is not as `keep` wrote it."""
    found = []
    for path in sorted((out / FOLDER).glob("*.json")):
        try:
            one = json.loads(path.read_bytes())
            ok = all(isinstance(r["score"], float) and r["subject"] and r["pipeline"] for r in one["rows"])
            if not ok or not {"file", "data", "choices", "metric"} <= one.keys():
                raise ValueError
        except (ValueError, KeyError, TypeError):
            raise BenchError(f"{path} is no imported table; delete it and import the file again") from None
        found.append(one)
    return found


def pipelines(one: dict[str, Any]) -> dict[str, list[float]]:
    """Pipeline -> its mean score of each subject, sessions averaged first."""
    scores: dict[str, dict[str, list[float]]] = {}
    for r in one["rows"]:
        scores.setdefault(r["pipeline"], {}).setdefault(r["subject"], []).append(r["score"])
    return {p: [sum(v) / len(v) for v in by.values()] for p, by in scores.items()}


def beside(table: Table, key: tuple[str, ...], imported: Sequence[dict[str, Any]]) -> Table:
    """The table of (data, data choices, origin, scale, metric) with the imported lines of the same choices and metric, marked.

    Only where the rows are of real data: nothing simulated stands beside somebody's measurements.
    """
    from bench import table as tables
    from bench.stats import summary

    data, choices, origin, scale, metric = key
    lines = []
    for one in imported if origin == "real" else ():
        row = {"data": data, "identity": {"data": [data, None, one["choices"]]}, "scale": scale, "origin": origin}
        if (one["data"], one["metric"]) == (data, metric) and tables.variant(
            tables.own_choices(row, "data")
        ) == choices:
            for pipeline, values in pipelines(one).items():
                s = summary(values)
                interval = f"{s.ci[0]:.3f} to {s.ci[1]:.3f}" if s.ci else "one group"
                label = f"{pipeline} (imported from {one['file']})"
                lines.append([label, f"{s.mean:.3f}", interval, str(s.n), "", "", "", "imported, not run here"])
    if not lines:
        return table
    note = "Imported lines were computed elsewhere: nothing is known here of their code, versions or folds."
    ordered = sorted([*table.lines, *lines], key=lambda line: -float(line[1]))  # of both metrics higher is better
    return replace(table, notes=[*table.notes, note], lines=ordered)


def main(argv: list[str]) -> int:
    """`bench import FILE.csv data=<name> [data.<field>=...] [out=<folder>] [--json]`."""
    parser = argparse.ArgumentParser(prog="bench import")
    parser.add_argument(
        "words", nargs="*", metavar="WORD", help="the result file, and the data set that it is shown beside"
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    flags = parser.parse_args(argv)
    words, names = [w for w in flags.words if "=" in w], [w for w in flags.words if "=" not in w]
    if len(names) != 1 or "data" not in map(key, words):
        raise BenchError(
            "bench import needs one file and the data set, e.g. bench import results.csv data=bnci2014_004"
        )
    with plan.composing():
        section = plan._compose(tuple(check_overrides([w for w in words if key(w) != "out"])))["data"]
    data: DataConfig = typed("data", section, "paper")
    found = keep(Path(names[0]).expanduser(), data, results_folder(words))
    if flags.json:
        print(json.dumps(found, indent=1))
        return 0
    many = pipelines(found)
    print(
        f"{len(found['rows'])} scores ({found['metric']}) of {', '.join(many)}: shown, marked as imported, in tables of "
        f"data={data.name} on real data; whether they come from the same protocol is for you to know",
        file=sys.stdout,
    )
    return 0
