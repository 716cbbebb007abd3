"""The cards: models/<name>/card.yaml, what a paper printed and what is claimed of it here. Read only where numbers are needed.

A card is a mapping with
  paper           key, title, authors, venue, year, arxiv, code, code_licence, bibtex
  accepts         kinds of data
  protocol        notes on how the numbers are made
  tables          short name -> where the numbers were read (title, table)
  numbers         printed numbers: id, table, dataset, method, metric, value, unit, better; std, note, and `cell: {method, data}` where
                  a method and data set of this project stand for it
  claims          id, statement, source, gate (identity | order | parity | self) and the gate's own fields, see FIELDS; `finding`
                  says what was found, and `expected` the verdict that is known not to be `reproduced`
  not_reproduced  what, why
  speed           command, result: where ratios are printed
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench import ROOT
from bench.registry import FOLDER, conf_dirs, did_you_mean, options
from bench.schema import SCALES, BenchError

CARD = ("paper", "accepts", "protocol", "tables", "numbers", "claims", "not_reproduced", "speed")
PAPER = ("key", "title", "authors", "venue", "year", "arxiv", "code", "code_licence", "bibtex")
NUMBER = ("id", "table", "dataset", "method", "metric", "value", "std", "unit", "better", "cell", "note", "n")
COMMON = ("id", "statement", "source", "gate", "experiment", "metric", "note", "finding", "expected", "scale", "data")
FIELDS = {  # beside COMMON; the required ones have no "?"
    "order": ("ours", "baselines", "factor?", "deterministic?", "counted?"),
    "identity": ("ours", "tolerance", "target?"),
    "parity": ("ours", "number", "tolerance"),
    "self": ("ours",),
}
VERDICTS = ("reproduced", "within noise", "better", "worse", "inconclusive", "not attempted")
KINDS: dict[str, str] = {  # of every field that is not a text
    "paper": "mapping", "tables": "mapping", "cell": "mapping", "speed": "mapping",
    "accepts": "texts", "protocol": "texts", "baselines": "texts",
    "numbers": "mappings", "claims": "mappings", "not_reproduced": "mappings",
    "value": "number", "std": "number", "n": "number", "factor": "number", "tolerance": "number", "target": "number",
    "year": "number", "deterministic": "flag", "counted": "flag",
}  # fmt: skip
KNOWN = {
    "what",
    "why",
    "command",
    "result",
    *CARD,
    *PAPER,
    *NUMBER,
    *COMMON,
    *(f.rstrip("?") for own in FIELDS.values() for f in own),
}
NAMES = {"mapping": "a mapping", "texts": "a list of texts", "mappings": "a list of mappings", "number": "a finite number",
         "flag": "true or false", "text": "a text"}  # fmt: skip


@functools.cache
def cards() -> dict[str, dict[str, Any]]:
    """Folder name -> card, linted, of this project and of plugin packages."""
    out: dict[str, dict[str, Any]] = {}
    for path in card_files():
        out[path.parent.name] = read(path)
    twice = [i for i, n in Counter(c["id"] for card in out.values() for c in card.get("claims") or []).items() if n > 1]
    if twice:
        raise BenchError(f"the claim id {twice[0]} occurs in more than one card; ids are <card>/<name>, one of a kind")
    return out


def card_files() -> list[Path]:
    parents = [ROOT, *(conf.parent for conf in conf_dirs()[1:])]
    return [path for parent in parents for path in sorted((parent / FOLDER["method"]).glob("*/card.yaml"))]


def read(path: Path) -> dict[str, Any]:
    """One card, linted. Raises BenchError with a sentence that names the file, the entry and what is missing."""
    import yaml

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        card = yaml.load(path.read_text(), loader)
    except yaml.YAMLError as error:
        raise BenchError(f"{path}: not readable as YAML ({str(error).splitlines()[0]}); mend that line") from None
    for sentence in lint(card):
        raise BenchError(f"{path}: {sentence}")
    return card


def methods_of(claim: dict[str, Any]) -> set[str]:
    """Names of the methods of a claim; `ours` and `baselines` may name variants, as tables do: `gbw_rbn (theta=0.5)`."""
    return {str(name).partition(" (")[0] for name in [claim.get("ours"), *(claim.get("baselines") or [])] if name}


def lint(card: Any) -> Iterator[str]:
    """A sentence for each thing that is wrong: no number without provenance, unit and direction; no field without a meaning."""
    if not isinstance(card, dict):
        yield f"a card is a mapping with {', '.join(CARD)}"
        return
    yield from _unknown(card, CARD, "the card")
    faults = [*_types(card, "the card")]
    for part in ("paper", "tables", "speed"):
        if not faults:
            faults += _types(card.get(part) or {}, part, "text" if part == "tables" else "anything")
    for part, label in (("numbers", "number"), ("claims", "claim"), ("not_reproduced", "not_reproduced")):
        if not faults:
            faults += (f for e in card.get(part) or [] for f in _types(e, f"{label} {e.get('id', e)}"))
    if faults:  # the rest of the lint, and every reader, relies on the types
        yield from faults
        return
    paper = card.get("paper") or {}
    yield from _unknown(paper, PAPER, "paper")
    yield from (f"paper has no {f}; add it" for f in ("key", "title", "venue", "code_licence") if not paper.get(f))
    if not card.get("accepts"):
        yield "accepts is empty; name the kinds of data"
    tables = card.get("tables") or {}
    yield from _numbers(card.get("numbers") or [], tables)
    yield from _claims(card.get("claims") or [], {n.get("id") for n in card.get("numbers") or []})
    for entry in card.get("not_reproduced") or []:
        if set(entry) != {"what", "why"}:
            yield f"not_reproduced {entry}: each entry says what and why"


def _types(mapping: dict[str, Any], where: str, other: str = "anything") -> Iterator[str]:
    """A sentence for each field whose value is of another kind than KINDS says; null is always admitted."""
    for field, value in mapping.items():
        kind = KINDS.get(str(field), "text" if field in KNOWN else other)
        if value is not None and not _is(kind, value):
            bad = (
                next((v for v in value if not _is("text", v)), value)
                if kind == "texts" and isinstance(value, list)
                else value
            )
            yield f"{where} has {field}={bad!r}; it must be {NAMES[kind]}"
    cell = mapping.get("cell")
    if isinstance(cell, dict) and (set(cell) != {"method", "data"} or not all(_is("text", v) for v in cell.values())):
        yield f"{where} has cell={cell!r}; it names a method and a data set of this project"


def _is(kind: str, value: Any) -> bool:
    if kind == "anything":  # an unknown field, which is told elsewhere
        return True
    if kind in ("texts", "mappings"):
        return isinstance(value, list) and all(isinstance(v, str if kind == "texts" else dict) for v in value)
    if kind == "number":
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    return isinstance(value, {"mapping": dict, "flag": bool, "text": str}[kind])


def _unknown(mapping: dict[str, Any], known: tuple[str, ...], where: str) -> Iterator[str]:
    for key in mapping:
        if key not in known:
            yield f"{where} has an unknown field {key!r}{did_you_mean(key, known)}"


def _numbers(numbers: list[dict[str, Any]], tables: dict[str, Any]) -> Iterator[str]:
    seen = set()
    for n in numbers:
        name = f"number {n.get('id', n)}"
        yield from _unknown(n, NUMBER, name)
        for f in ("id", "table", "dataset", "method", "metric", "unit"):
            if not n.get(f):
                yield f"{name} has no {f}; a number without provenance is not kept"
        if n.get("value") is None:
            yield f"{name} has no value; give a number"
        if n.get("better") not in ("higher", "lower", "none"):
            yield f"{name} has better={n.get('better')!r}; say higher, lower or none"
        if n.get("table") and n["table"] not in tables:
            yield f"{name} names the table {n['table']!r}, which `tables` does not explain{did_you_mean(n['table'], tables)}"
        if n.get("id") in seen:
            yield f"{name} occurs twice; ids are one of a kind"
        seen.add(n.get("id"))


def _claims(claims: list[dict[str, Any]], numbers: set[Any]) -> Iterator[str]:
    seen = set()
    for c in claims:
        name = f"claim {c.get('id', c)}"
        gate = c.get("gate")
        if gate not in FIELDS:
            yield f"{name} has gate={gate!r}; use one of {', '.join(FIELDS)}"
            continue
        own = tuple(f.rstrip("?") for f in FIELDS[gate])
        yield from _unknown(c, (*COMMON, *own), name)
        for f in (
            "id",
            "statement",
            "source",
            "experiment",
            "metric",
            *(f for f in FIELDS[gate] if not f.endswith("?")),
        ):
            if c.get(f) in (None, "", []):
                yield f"{name} has no {f}; a {gate} claim needs it"
        if c.get("experiment") and c["experiment"] not in options("experiment"):
            yield f"{name} names the experiment {c['experiment']}, which is missing{did_you_mean(c['experiment'], options('experiment'))}"
        for method in methods_of(c):
            if method not in options("method"):
                yield f"{name} names the method {method}, which is missing{did_you_mean(method, options('method'))}"
        for f, known in (("scale", SCALES), ("expected", VERDICTS)):
            if c.get(f) and c[f] not in known:
                yield f"{name} has {f}={c[f]!r}; use one of {', '.join(known)}"
        if c.get("expected", "reproduced") != "reproduced" and not c.get("finding"):
            yield f"{name} expects {c['expected']} and has no finding; say what was found"
        if gate == "parity" and c.get("number") not in numbers:
            yield f"{name} names the number {c.get('number')}, which this card does not print"
        if c.get("id") in seen:
            yield f"{name} occurs twice; claim ids are one of a kind"
        seen.add(c.get("id"))
