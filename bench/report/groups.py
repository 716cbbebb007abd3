"""Rows by table: the lines of bench.table, with the numbers behind each line for plots and ranks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.table import labels, own_choices, tables, unit_means, variant, variant_name

COSTS = {
    "epoch_s": "seconds per epoch",
    "timed_s": "seconds of the timed region",
    "wall_s": "seconds of the whole cell",
    "rss_peak_mb": "peak memory, MB",
    "gpu_peak_mb": "peak GPU memory, MB",
    "energy_wh": "energy, Wh",
    "params": "parameters",
}


def groups(records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One dictionary per table of `bench.table.tables`, in its order; `cells` holds positions in `records`.

    Rows of different data, data choices, origin, scale or metric are never in one group.
    """
    found: dict[tuple[str, ...], list[int]] = {}
    for i, r in enumerate(records):
        if r.get("status") == "done" and r.get("metrics"):
            metric = r.get("main") or r["metrics"][0]["metric"]
            key = (r["data"], variant(own_choices(r, "data")), r["origin"], r["scale"], metric)
            found.setdefault(key, []).append(i)
    return [_group(key, cells, records) for key, cells in sorted(found.items())]


def _group(key: tuple[str, ...], cells: list[int], records: Sequence[dict[str, Any]]) -> dict[str, Any]:
    data, choices, origin, scale, metric = key
    rows = [records[i] for i in cells]
    [table] = tables(rows)
    first = next(m for m in rows[0]["metrics"] if m["metric"] == metric)
    by_label: dict[str, list[int]] = {}
    for i, label in zip(cells, labels(rows), strict=True):
        by_label.setdefault(label, []).append(i)
    return {
        "title": table.title,
        "data": data,
        "variant": choices,
        "origin": origin,
        "scale": scale,
        "metric": metric,
        "better": first["better"],
        "unit": first["unit"],
        "notes": table.notes,
        "header": table.header,
        "lines": table.lines,
        "methods": [_method(line[0], by_label[line[0]], records, metric) for line in table.lines],
    }


def _method(label: str, cells: list[int], records: Sequence[dict[str, Any]], metric: str) -> dict[str, Any]:
    """Mean and interval of a line as numbers, the value of each unit (seeds and folds averaged) and the mean costs."""
    from bench.stats import summary

    rows = [records[i] for i in cells]
    prefix = f"{variant_name(rows[0], 'data')} "  # the data are the table's title; a unit is the group within
    units = {unit.removeprefix(prefix): value for unit, value in sorted(unit_means(rows, metric).items())}
    s = summary(list(units.values()))
    return {
        "label": label,
        "method": rows[0]["method"],
        "mean": s.mean,
        "ci": list(s.ci) if s.ci else None,
        "units": units,
        "costs": _costs(rows),
        "cells": cells,
    }


def _costs(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Means over cells of what a method costs; a quantity that no cell knows is left out."""
    out = {}
    for name in COSTS:
        if name == "epoch_s":
            known = [r["timed_s"] / r["epochs"] for r in rows if r.get("timed_s") and r.get("epochs")]
        else:
            known = [r[name] for r in rows if r.get(name) is not None]
        if known:
            out[name] = sum(known) / len(known)
    return out
