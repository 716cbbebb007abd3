"""Rows as a result file of MOABB, and one line per subject and method: for other people's tools and for a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

from bench.imported import subject_of
from bench.schema import BenchError
from bench.table import data_config, labels, own_choices, unit_means, variant, variant_name

# the columns of MOABB's results dataframe, in its order
MOABB = "score time samples samples_test n_classes subject session channels n_sessions dataset pipeline".split()
PER_GROUP = "data choices origin scale metric better unit method group value seeds cells".split()


def moabb_csv(records: Sequence[dict[str, Any]]) -> str:
    """One line per subject, session and method: folds and seeds averaged, ROC-AUC for two classes, accuracy otherwise.

    Only cells of this results folder have what the columns need (committed rows do not keep channels and session names).
    Raises BenchError when there is none, or when two protocols of one data set would become one table.
    """
    lines: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    protocols: dict[str, set[str]] = {}
    for label, r in zip(labels(records), records, strict=True):
        facts = r.get("facts") or {}
        if r.get("status") != "done" or not {"n_channels", "n_train"} <= facts.keys():
            continue
        title = _title(r)
        choices = variant(own_choices(r, "data"))
        protocols.setdefault(title, set()).add(f"{r['data']} scale={r['scale']}" + (f" ({choices})" if choices else ""))
        for session, score, n in _scores(r, json.loads(facts.get("tested") or json.dumps({"0": r["n_test"]}))):
            line = (title, label, subject_of(r["group"]), session)
            lines.setdefault(line, []).append({**r, "score": score, "n_test": n})
    for title, found in protocols.items():
        if len(found) > 1:
            raise BenchError(
                f"--moabb: {title} was run by {len(found)} protocols ({'; '.join(sorted(found))}), and MOABB's file has no "
                "column for that; name one with data=, scale= or experiment="
            )
    if not lines:
        raise BenchError(
            "--moabb: no finished cell here is of a classification with channels; run some, e.g. data=moabb"
        )
    return _csv(MOABB, [_moabb_line(key, lines[key]) for key in sorted(lines)])


def _title(record: dict[str, Any]) -> str:
    config = data_config(record)
    name = config.titles()[0] if config else record["data"]
    return name if record["origin"] == "real" else f"{name} ({record['origin'].replace('_', ' ')})"


def _scores(record: dict[str, Any], tested: dict[str, int]) -> list[tuple[str, float, int]]:
    """(session, score, test trials): of each session where the task scores several, else one line for all of them."""
    main = "roc_auc" if record.get("n_out") == 2 else "accuracy"
    values = {m["metric"]: m["value"] for m in record["metrics"]}
    several = [(s, values[f"{main} in {s}"], n) for s, n in tested.items() if f"{main} in {s}" in values]
    return several or ([(" ".join(tested), values[main], sum(tested.values()))] if main in values else [])


def _moabb_line(key: tuple[str, ...], records: list[dict[str, Any]]) -> list[Any]:
    import numpy as np

    title, label, subject, session = key
    records = sorted(
        records, key=lambda r: (r["seed"], len(r["fold"]), r["fold"])
    )  # MOABB's order, so that a mean has its last digit
    parts = {r["fold"] for r in records if re.search(r"k\d+$", r["fold"])}
    facts = records[0]["facts"]
    return [
        float(np.mean([r["score"] for r in records])),
        float(np.mean([r["timed_s"] or 0.0 for r in records])),
        facts["n_train"] + (records[0]["n_test"] if parts else 0),  # MOABB counts the whole session there
        int(np.mean([r["n_test"] for r in records])),
        records[0]["n_out"],
        *(subject, session, facts["n_channels"], facts.get("n_sessions", 1), title, label),
    ]


def per_group_csv(records: Sequence[dict[str, Any]]) -> str:
    """One line per group (subject) and method, seeds and folds averaged: what the intervals of the tables are over."""
    found: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    done = [r for r in records if r.get("status") == "done" and r.get("metrics")]
    for label, r in zip(labels(done), done, strict=True):
        metric = r.get("main") or r["metrics"][0]["metric"]
        choices = variant(own_choices(r, "data"))
        found.setdefault((r["data"], choices, r["origin"], r["scale"], metric, label), []).append(r)
    lines = []
    for (data, choices, origin, scale, metric, label), rows in sorted(found.items()):
        first = next(m for m in rows[0]["metrics"] if m["metric"] == metric)
        prefix = f"{variant_name(rows[0], 'data')} "
        for unit, value in sorted(unit_means(rows, metric).items()):
            group = unit.removeprefix(prefix)
            own = [r for r in rows if (r["group"] or r["fold"]) == group]
            start = [data, choices, origin, scale, metric, first["better"], first["unit"]]
            lines.append([*start, label, group, value, len({r["seed"] for r in own}), len(own)])
    return _csv(PER_GROUP, lines)


def _csv(header: Sequence[str], lines: Iterable[Sequence[Any]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header)
    for line in lines:
        writer.writerow([repr(v) if isinstance(v, float) else v for v in line])
    return buffer.getvalue()
