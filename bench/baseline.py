"""results/baseline.csv: what the smoke cells of suite=ci gave when a person last accepted it; the gate holds new rows against it."""

from __future__ import annotations

import csv
import fnmatch
import io
import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import ROOT, store
from bench.cards import cards, methods_of
from bench.schema import BenchError

PATH = ROOT / "results" / "baseline.csv"
HEADER = ("id", "method", "data", "origin", "scale", "fold", "seed", "metric", "value", "tolerance", "better", "unit")
# more than this share may not move unseen, however much seeds differ: the gate reruns the same seed
CAP = {"fraction": 0.1}
# a smoke cell has few test samples and few steps: one that flips is not a regression
FLOOR = {"fraction": 0.05}
RELATIVE_FLOOR = 0.05  # of the value, for other units
EXACT = 1e-6  # of the value: how far float32 kernels of other processors move a deterministic number that none of them amplifies
ROUNDING = 1e-5  # a number below it is rounding error, and only its size means something
NOTHING = 1e-12  # where even that is 0
MARGIN = 10  # a third kind of processor may differ this many times more than the two that were tried
CHAOTIC_MARGIN = 3  # and this many times where training amplifies rounding: then seeds give a tolerance, too
VOLATILE = ("s", "MB", "Wh")  # measurements of the run, not of the method


@dataclass
class Drift:
    """One metric of one cell beside its accepted value; `accepted` None when there is none."""

    id: str
    metric: str
    accepted: float | None
    value: float | None
    tolerance: float | None
    command: str

    @property
    def ok(self) -> bool:
        if self.accepted is None or self.value is None or self.tolerance is None:
            return False
        return abs(self.value - self.accepted) <= self.tolerance

    def text(self) -> str:
        if self.accepted is None:
            return f"{self.id}: {self.value!r} has no accepted value"
        if self.value is None:
            return f"{self.id}: {self.accepted!r} was accepted and the metric is gone"
        return f"{self.id}: {self.value!r} against {self.accepted!r} accepted, tolerance {self.tolerance:g}"


def row_id(record: dict[str, Any], metric: str) -> str:
    """Names one number for `bench baseline --accept`: method/data/fold/metric, with the choices that differ from the presets."""
    from bench.table import own_choices, variant

    def named(group: str) -> str:
        own = own_choices(record, group) if "identity" in record else {}
        return record[group] + (f"({variant(own)})" if own else "")

    return f"{named('method')}/{named('data')}/{record['fold']}/{metric}".replace(", ", ",")


def load(path: Path | None = None) -> dict[str, dict[str, Any]]:
    """Accepted rows by id. Raises BenchError naming the line that cannot be read."""
    path = path or PATH
    if not path.exists():
        return {}
    out = {}
    for i, row in enumerate(csv.DictReader(io.StringIO(path.read_text())), start=2):
        try:
            out[row["id"]] = {**row, "value": float(row["value"]), "tolerance": float(row["tolerance"])}
        except (KeyError, TypeError, ValueError):
            raise BenchError(
                f"{path} line {i} is not a baseline row; restore the file from git or accept that row again"
            ) from None
    return out


def compare(record: dict[str, Any], accepted: dict[str, dict[str, Any]]) -> list[Drift]:
    """Every metric of a finished cell beside its accepted value, and accepted metrics that it no longer has.

    Accepted values were made at one scale and origin: rows of another are not held against them.
    """
    same = (record["scale"], record["origin"])
    accepted = {k: v for k, v in accepted.items() if (v.get("scale"), v.get("origin")) == same}
    drifts = []
    seen = set()
    for m in record["metrics"]:
        if m["unit"] in VOLATILE:
            continue
        name = row_id(record, m["metric"])
        seen.add(name)
        row = accepted.get(name)
        old = (row["value"], row["tolerance"]) if row else (None, None)
        drifts.append(Drift(name, m["metric"], old[0], m["value"], old[1], record.get("command") or ""))
    prefix = row_id(record, "")
    for name, row in accepted.items():
        if name.startswith(prefix) and name not in seen:
            drifts.append(Drift(name, row["metric"], row["value"], None, row["tolerance"], record.get("command") or ""))
    return drifts


def accept(
    records: Iterable[dict[str, Any]],
    pattern: str,
    elsewhere: Iterable[dict[str, Any]] = (),
    path: Path | None = None,
) -> list[str]:
    """Write new accepted values for the ids that match `pattern` (shell wildcards) or that a claim of that id is about.

    The records of one cell with several seeds, and those of its first seed by the kernels of other processors
    (`elsewhere`, bench/rounding.py), give the tolerance: see `tolerance_of`.
    Returns one line "id: old -> new" per row that changed. Rows of cells that did not run stay as they are.
    """
    path = path or PATH
    accepted, changes = load(path), []
    exact = exact_metrics()
    wanted = claim_methods(pattern)
    others: dict[str, list[dict[str, Any]]] = {}
    for r in elsewhere:
        others.setdefault(r["key"], []).append(r)
    for group in _by_cell(records).values():
        method = group[0]["method"]
        claimed = {metric for m, metric in exact if m == method}
        first = min(group, key=lambda r: r["seed"])
        for row in _rows(group, exact=claimed, elsewhere=others.get(first.get("key", ""), [])):
            if not (fnmatch.fnmatch(row["id"], pattern) or pattern == "all" or method in wanted):
                continue
            old = accepted.get(row["id"])
            if old is None or old["value"] != row["value"] or old["tolerance"] != row["tolerance"]:
                before = "nothing" if old is None else f"{old['value']!r} +- {old['tolerance']:g}"
                changes.append(f"{row['id']}: {before} -> {row['value']!r} +- {row['tolerance']:g}")
            accepted[row["id"]] = row
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, HEADER, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    for name in sorted(accepted):
        writer.writerow(
            {**accepted[name], "value": repr(accepted[name]["value"]), "tolerance": repr(accepted[name]["tolerance"])}
        )
    if changes:
        store.write_atomic(path, buffer.getvalue().encode())
    return changes


def _by_cell(records: Iterable[dict[str, Any]]) -> dict[tuple[str, str], list[dict[str, Any]]]:
    """Records of one cell with different seeds, by id and scale. Raises BenchError when two of them share a seed."""
    groups: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for r in records:
        if r.get("status") == "done":
            groups.setdefault((row_id(r, ""), r["scale"]), []).append(r)
    for (name, _), group in groups.items():
        if len({r["seed"] for r in group}) < len(group):
            raise BenchError(f"two cells are called {name} with one seed; their choices must differ from each other")
    return groups


def _rows(
    group: list[dict[str, Any]], exact: Collection[str] = (), elsewhere: Iterable[dict[str, Any]] = ()
) -> list[dict[str, Any]]:
    first = min(group, key=lambda r: r["seed"])
    out = []
    for m in first["metrics"]:
        if m["unit"] in VOLATILE:
            continue
        seeds, moved = (
            [x["value"] for r in rs for x in r["metrics"] if x["metric"] == m["metric"]] for rs in (group, elsewhere)
        )
        tolerance = tolerance_of(
            m["value"], seeds, [v for v in moved if v is not None], m["unit"], m["metric"] in exact
        )
        out.append(
            {
                "id": row_id(first, m["metric"]),
                "metric": m["metric"],
                "value": float(m["value"]),
                "better": m["better"],
                "unit": m["unit"],
                "tolerance": float(f"{tolerance:.3g}"),
                **{k: first[k] for k in ("method", "data", "origin", "scale", "fold", "seed")},
            }
        )
    return out


def tolerance_of(value: float, seeds: list[float], moved: list[float], unit: str, exact: bool) -> float:
    """How far a number may be from the accepted one on another machine.

    value: the accepted number; seeds: the same number with each seed (the accepted one among them); moved: with the
    first seed, by the kernels of other processors; exact: whether an exact claim is about this number.

    Rounding error (|value| below ROUNDING): MARGIN times its size.
    A claim calls it exact, or no seed changes it (shares excepted: the next seed may), and no kernel moves it by more than EXACT of
    itself: MARGIN times that or times the move.
    Else: 3 standard deviations over seeds or a floor, whichever is larger, capped for shares; or CHAOTIC_MARGIN times the move.
    """
    import statistics

    move = max((abs(v - value) for v in moved), default=0.0)
    size = max(abs(v) for v in (value, *moved))
    if size < ROUNDING:
        return max(MARGIN * size, NOTHING)
    spread = 3 * statistics.stdev(seeds) if len(seeds) > 1 else 0.0
    seedless = len(seeds) > 1 and spread == 0.0 and unit != "fraction"
    if (exact or seedless) and move <= EXACT * size:
        return MARGIN * max(EXACT * abs(value), move)
    floor = FLOOR.get(unit, RELATIVE_FLOOR * abs(value))
    return max(min(max(spread, floor), CAP.get(unit, math.inf)), CHAOTIC_MARGIN * move)


def exact_metrics() -> set[tuple[str, str]]:
    """(method, metric) of identity claims and of claims marked deterministic: these numbers are exact."""
    claims = [c for card in cards().values() for c in card.get("claims") or []]
    exact = [c for c in claims if c["gate"] in ("identity", "self") or c.get("deterministic")]
    return {
        (variant.partition(" ")[0], c["metric"]) for c in exact for variant in (c["ours"], *(c.get("baselines") or []))
    }


def claim_methods(claim: str) -> set[str]:
    for card in cards().values():
        for c in card.get("claims") or []:
            if c["id"] == claim:
                return methods_of(c)
    return set()
