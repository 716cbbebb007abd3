"""`bench list` and `bench plan`: what there is, what fits, what a command would do. Imports neither torch nor data."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import CONF, plan, registry
from bench import words as words_of
from bench.choices import default_data, owner, raw
from bench.schema import BenchError, describe
from bench.settings import folders


def listing(words: Sequence[str]) -> dict[str, Any]:
    """Methods, data sets and pairs; `method=<name>` or `data=<name>` narrows the answer and adds the fields."""
    parsed = {o.key_or_group: words_of.values_of(o) for o in words_of.parse(words)}
    for key in parsed:
        if key not in ("method", "data", "plugins", "root", "cache"):
            raise BenchError(f"bench list takes method=<name>, data=<name>, root= and cache=; {key} is none of them")
    _, root, cache = folders({k: parsed[k][0] for k in ("root", "cache") if k in parsed})
    out: dict[str, Any] = {"methods": [], "data": [], "detail": bool({"method", "data"} & parsed.keys())}
    configs = {}
    for group in ("method", "data"):
        for name in parsed.get(group, registry.options(group)):
            section = raw(group, name)
            cls = registry.config_class(group, owner(group, name))
            configs[group, name] = _instance(cls, {**section, "name": section.get("name", name)})
    for (group, name), config in configs.items():
        fields = [
            {"field": f, "default": _show(d), "set": _show(getattr(config, f)), "help": h}
            for f, d, h in describe(type(config))
        ]
        if group == "method":
            fit = {d: config.fits(c) for (g, d), c in configs.items() if g == "data"}
            out["methods"].append(
                {
                    "name": name,
                    "use": owner(group, name),
                    "accepts": list(config.accepts),
                    "data": default_data(name),
                    "title": _title(config),
                    "fits": [d for d, why in fit.items() if not why],
                    "not": {d: why for d, why in fit.items() if why},
                    "fields": fields,
                }
            )
        else:
            here = config.present(root, cache) if "real" in config.sources else None
            out["data"].append(
                {
                    "name": name,
                    "kind": config.kind,
                    "sources": list(config.sources),
                    "present": here,
                    "where": config.where(root, cache),
                    "folds": len(config.folds()),
                    "licence": config.licence,
                    "title": _title(config),
                    "fields": fields,
                }
            )
    return out


def _instance(cls: type, section: dict[str, Any]) -> Any:
    """The config with the YAML's plain values; enough for static facts (a run validates it in full)."""
    names = {f.name for f in dataclasses.fields(cls)}
    config = cls()
    for key, value in section.items():
        if key in names and not dataclasses.is_dataclass(getattr(config, key)):
            setattr(config, key, value)
    return config


def _title(config: Any) -> str:
    return (type(config).__doc__ or "").strip().splitlines()[0] if type(config).__doc__ else ""


def _show(value: Any) -> Any:
    return dataclasses.asdict(value) if dataclasses.is_dataclass(value) and not isinstance(value, type) else value


def usage() -> str:
    """`bench run --help`: the groups with their options, then the plain values of conf/run.yaml with their comments."""
    lines = ["usage: bench run [-m] [key=value ...]      (the same: python bench/run.py, python -m bench run)", ""]
    for group in ("method", "data", "trainer", "logger", "experiment", "suite"):
        lines.append(f"{group}=  {', '.join(sorted(registry.options(group)))}")
    lines.append("")
    for line in (CONF / "run.yaml").read_text().splitlines():
        if line.startswith("hydra:"):
            break
        if line[:1].isalpha() and not line.startswith("defaults:"):
            lines.append(line)
    lines += ["", "method.<field>= and data.<field>=: bench list method=<name> shows them with their defaults"]
    lines += [
        "-m, --multirun sweeps over comma-separated values; --cfg job shows a composed run; --hydra-help is Hydra's own"
    ]
    return "\n".join(lines)


def text(found: dict[str, Any]) -> str:
    lines = ["METHODS"]
    for m in found["methods"]:
        fits = ", ".join(m["fits"]) or "nothing here"
        takes = ", ".join(m["accepts"])
        lines.append(f"  {m['name']:<18} takes {takes}; default data {m['data'] or 'none'}; fits {fits}")
        if found["detail"]:
            lines += [f"      {m['title']}", *_fields(m["fields"], "method")]
    lines.append("DATA")
    for d in found["data"]:
        here = {True: "real files here", False: "real files absent", None: " or ".join(d["sources"])}[d["present"]]
        lines.append(f"  {d['name']:<18} {d['kind']}; {d['folds']} fold(s); {here}")
        if found["detail"]:
            lines += [
                f"      {d['title']}",
                f"      looked for in {d['where']}; licence: {d['licence']}",
                *_fields(d["fields"], "data"),
            ]
    reasons = Counter(why for m in found["methods"] for why in m["not"].values())
    if reasons:
        lines += ["DO NOT FIT", *(f"  {why}" for why in sorted(reasons))]
    return "\n".join(lines)


def _fields(fields: list[dict[str, Any]], prefix: str) -> list[str]:
    lines = []
    for f in fields:
        default = "" if f["set"] == f["default"] else f" (default {f['default']})"
        lines.append(f"      {prefix}.{f['field']} = {f['set']}{default}   {f['help']}")
    return lines


# ------------------------------------------------------------------------------------------ plan


def planned(words: Sequence[str]) -> dict[str, Any]:
    """Every cell of a command with its state, and an estimate of the time that is left, from past rows."""
    from bench import cell as cells
    from bench import store

    expanded = plan.expand(words_of.absolute(words), strict=True)
    out = Path(expanded[0].settings["out"]) if expanded else Path()
    past = _past(out)
    rows = []
    for c in expanded:
        status, record = ("skip", None) if c.skip else cells.state(c)
        if status in ("todo", "failed", "stale") and store.holder(c.folder):
            status = "running"
        guess = past.get((c.method.name, c.data.name, c.scale))
        will = status in ("todo", "failed") or (status == "stale" and c.settings["reuse"] == "fresh")
        rows.append(
            {
                "key": c.key,
                "method": c.method.name,
                "data": c.data.name,
                "source": c.source,
                "scale": c.scale,
                "seed": c.seed,
                "fold": c.fold,
                "state": status,
                "why": c.skip or (record or {}).get("error"),
                "will_run": will,
                "estimate_s": guess if will else 0.0,
                "note": c.note,
                "command": c.command,
            }
        )
    known = [r["estimate_s"] for r in rows if r["will_run"] and r["estimate_s"] is not None]
    return {
        "cells": rows,
        "counts": dict(Counter(r["state"] for r in rows)),
        "to_run": sum(r["will_run"] for r in rows),
        "estimate_s": sum(known),
        "without_estimate": sum(r["will_run"] and r["estimate_s"] is None for r in rows),
    }


def _past(out: Path) -> dict[tuple[str, str, str], float]:
    """Mean wall time of finished cells by (method, data, scale)."""
    from bench import store

    times: dict[tuple[str, str, str], list[float]] = {}
    for r in store.scan(out):
        if isinstance(r, dict) and r.get("status") == "done":
            times.setdefault((r["method"], r["data"], r["scale"]), []).append(r["wall_s"])
    return {k: sum(v) / len(v) for k, v in times.items()}


def plan_text(found: dict[str, Any]) -> str:
    lines = [f"{note}" for note in dict.fromkeys(f"{r['data']}: {r['note']}" for r in found["cells"] if r["note"])]
    for r in found["cells"]:
        why = f"  ({r['why']})" if r["why"] else ""
        what = f"{r['state']:<10} {r['method']:<16} {r['data']:<14} {r['source']:<10} {r['scale']:<8}"
        lines.append(f"{what} seed {r['seed']:<3} {r['fold']:<8} {r['key']}{why}")
    counts = ", ".join(f"{n} {s}" for s, n in sorted(found["counts"].items()))
    lines.append(f"{len(found['cells'])} cells: {counts or 'none'}; {found['to_run']} to run")
    if found["to_run"]:
        rest = f", and {found['without_estimate']} cells without past rows" if found["without_estimate"] else ""
        lines.append(f"estimate from past rows: {found['estimate_s']:.0f} s on one process{rest}")
    return "\n".join(lines)
