"""Tables from rows: per data set, origin and scale, one line per method, with intervals over groups and the paper's number."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from bench.schema import BenchError, DataConfig


@dataclass
class Table:
    title: str
    notes: list[str]
    header: list[str]
    lines: list[list[str]]

    def markdown(self) -> str:
        """Aligned, so that the same text reads well on a terminal and as Markdown."""
        width = [max(len(r[i]) for r in [self.header, *self.lines]) for i in range(len(self.header))]
        rows = [self.header, ["-" * w for w in width], *self.lines]
        body = "\n".join("| " + " | ".join(c.ljust(w) for c, w in zip(r, width, strict=True)) + " |" for r in rows)
        return "\n".join([f"### {self.title}", "", *self.notes, "", body])


HEADER = ["method", "mean", "95 % interval", "groups", "seeds", "s/epoch", "paper", "paper versus ours"]


def tables(records: Iterable[dict[str, Any]], imported: Sequence[dict[str, Any]] = ()) -> list[Table]:
    """One table per (data set, data choices, origin, scale): rows that differ in any of these are never side by side.

    Within a table, seeds and folds are averaged inside a group (a subject) first; the interval is over groups. `imported`
    (`bench.imported.read`) adds marked lines to tables of real data with the same choices and metric.
    """
    from bench.imported import beside

    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for r in records:
        if r.get("status") == "done" and r.get("metrics"):
            choices = variant(own_choices(r, "data"))
            groups.setdefault(
                (r["data"], choices, r["origin"], r["scale"], r.get("main") or r["metrics"][0]["metric"]), []
            ).append(r)
    return [beside(_table(key, rs), key, imported) for key, rs in sorted(groups.items())]


def variant(chosen: dict[str, Any]) -> str:
    """Choices as one short text, for telling variants of a method or data set apart."""
    return ", ".join(f"{k}={v}" for k, v in sorted(chosen.items()))


@functools.cache
def preset(group: str, name: str, scale: str) -> dict[str, Any]:
    """The choices that an option's own YAML makes at a scale; empty when there is no such option here."""
    from bench.choices import chosen, raw, typed

    try:
        section = {k: v for k, v in raw(group, name).items() if k != "defaults"}
        return chosen(typed(group, section, scale))
    except BenchError:
        return {}


def own_choices(record: dict[str, Any], group: str) -> dict[str, Any]:
    """What a row chose beside its preset: nothing that can change a number is left out of a table."""
    chosen, usual = record["identity"][group][2], preset(group, record[group], record["scale"])
    stand_in = {"twin"} if record["origin"] == "real" else set()
    own = {k: v for k, v in chosen.items() if usual.get(k) != v}
    return own | {k: "default" for k in usual if k not in chosen and k not in stand_in}


def variant_name(record: dict[str, Any], group: str = "method") -> str:
    """The name of a row's method (or data), and what tells its variant from the preset: `gbw_rbn (theta=0.5)`."""
    own = own_choices(record, group)
    return record[group] + (f" ({variant(own)})" if own else "")


def data_config(record: dict[str, Any]) -> DataConfig | None:
    """The data choices of a row as their dataclass, for what it says of itself; None where its code is not here."""
    from bench.choices import raw, typed

    try:
        own = {k: v for k, v in raw("data", record["data"]).items() if k in ("name", "use")}
        return typed("data", own | record["identity"]["data"][2], record["scale"])
    except BenchError:
        return None


def labels(rows: Sequence[dict[str, Any]]) -> list[str]:
    """The name of each row's line in its table; rows that adapted to unlabelled test data say so."""
    return [variant_name(r) + (" (transductive)" if r.get("transductive") else "") for r in rows]


def unit_means(records: Iterable[dict[str, Any]], metric: str) -> dict[str, float]:
    """Mean of a metric by unit of inference, a group of one data set: its seeds and folds are averaged first."""
    units: dict[str, list[float]] = {}
    for r in records:
        values = [m["value"] for m in r["metrics"] if m["metric"] == metric]
        units.setdefault(f"{variant_name(r, 'data')} {r['group'] or r['fold']}", []).extend(values)
    return {u: sum(v) / len(v) for u, v in units.items() if v}


def _table(key: tuple[str, ...], records: list[dict[str, Any]]) -> Table:
    data, choices, origin, scale, metric = key
    first = next(m for m in records[0]["metrics"] if m["metric"] == metric)
    by_method: dict[str, list[dict[str, Any]]] = {}
    for label, r in zip(labels(records), records, strict=True):
        by_method.setdefault(label, []).append(r)
    sign = -1 if first["better"] == "higher" else 1
    lines = sorted((_line(name, rs, metric) for name, rs in by_method.items()), key=lambda x: sign * x[0])
    title = f"{data}{f' ({choices})' if choices else ''}: {metric}, {origin.replace('_', ' ')} data, scale {scale}"
    return Table(title, _notes(records, metric, first, origin), HEADER, [line for _, line in lines])


def _line(name: str, records: list[dict[str, Any]], metric: str) -> tuple[float, list[str]]:
    from bench.stats import summary

    s = summary(list(unit_means(records, metric).values()))
    epochs = [r["timed_s"] / r["epochs"] for r in records if r.get("timed_s") and r.get("epochs")]
    printed, why = paper(records[0], metric)
    verdict = (f"not comparable: {why}" if printed else why) if why else "see results/REPRODUCTION.md"
    interval = f"{_digits(s.ci[0])} to {_digits(s.ci[1])}" if s.ci else "one group"
    seeds = len({r["seed"] for r in records})
    pace = f"{sum(epochs) / len(epochs):.2f}" if epochs else ""
    return s.mean, [name, _digits(s.mean), interval, str(s.n), str(seeds), pace, printed, verdict]


def _digits(value: float) -> str:
    """Three decimals for shares, four significant digits for what is larger or much smaller."""
    return f"{value:.3f}" if value == 0 or 1e-2 <= abs(value) < 10 else f"{value:.4g}"


def _notes(records: list[dict[str, Any]], metric: str, first: dict[str, Any], origin: str) -> list[str]:
    from bench.stats import chance_level

    notes = [
        f"{first['better']} is better; unit {first['unit']}." if first["better"] != "none" else f"unit {first['unit']}."
    ]
    if metric in ("accuracy", "balanced_accuracy") and records[0].get("n_out") and records[0].get("n_test"):
        c = chance_level(records[0]["n_test"], records[0]["n_out"])
        notes.append(
            f"Chance {c.chance:.3f}; a guesser exceeds {c.threshold:.3f} in one group of {records[0]['n_test']} trials "
            "with probability below 0.05."
        )
    if origin == "synthetic_twin":
        notes.append("SYNTHETIC stand-in data: these numbers say nothing about the real data set.")
    if origin == "simulated":
        notes.append("Simulated data.")
    config = data_config(records[0])
    if config and (how := config.signal(origin)):
        notes.append(f"Signal: {how}.")
    ill = [r["facts"]["ill_share"] for r in records if "ill_share" in (r.get("facts") or {})]
    if ill:
        notes.append(f"Share of trials with a covariance of condition number above 1e5: {sum(ill) / len(ill):.3f}.")
    machines = sorted({f"{r['cpu']}, {r['threads']} thread(s), torch {r['versions'].get('torch')}" for r in records})
    shas = sorted({(r["git_sha"] or "no git")[:10] + ("+" if r["dirty"] else "") for r in records})
    notes.append(f"{len(records)} cells; {'; '.join(machines)}; code {', '.join(shas)}.")
    return notes


def paper(record: dict[str, Any], metric: str) -> tuple[str, str]:
    """(the printed number with its source, why this row's own is not comparable with it; empty when it is)."""
    n = next(
        (
            n
            for n in printed_numbers()
            if (n["cell"]["method"], n["cell"]["data"], n["metric"]) == (record["method"], record["data"], metric)
        ),
        None,
    )
    own = {**own_choices(record, "method"), **own_choices(record, "data")}
    if own:
        return "", f"a variant ({variant(own)}), not printed"
    if n is None:
        return "", "no printed number is known"
    spread = "" if n.get("std") is None else f" ± {n['std']:g}"
    text = f"{n['value']:g}{spread} {n['unit']}, {n['source']}"
    reasons = [n["note"]] if n.get("note") else []
    if record["scale"] != "paper":
        reasons.insert(0, f"{record['scale']} scale")
    if record["origin"] == "synthetic_twin":
        reasons.insert(0, "synthetic stand-in data")
    return text, "; ".join(reasons)


@functools.cache
def printed_numbers() -> list[dict[str, Any]]:
    """Numbers of all cards that name one of our cells."""
    from bench.cards import cards

    return [
        {**n, "source": card["tables"][n["table"]].partition(",")[0]}
        for card in cards().values()
        for n in card.get("numbers") or []
        if n.get("cell")
    ]


def select(records: Iterable[Any], overrides: Sequence[str]) -> tuple[list[dict[str, Any]], list[str]]:
    """Records that an invocation (experiment=..., method=..., ...) asks for, all when it asks for none; and what could not be read."""
    from bench import plan

    found = list(records)
    good = [r for r in found if not isinstance(r, BenchError)]
    bad = [r for r in found if isinstance(r, BenchError)]
    asked = [w for w in overrides if not w.startswith(("out=", "root=", "cache="))]
    if asked:
        keys = plan.keys_of(plan.expand(overrides, strict=False))
        good = [r for r in good if r["key"] in keys]
    return good, [str(b) for b in bad]
