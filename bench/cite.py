"""`bench cite`: BibTeX of what a table shows: its methods, baselines and data, and this harness."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from bench import __version__
from bench.schema import BenchError

ENTRY = re.compile(r"@(\w+)\s*\{\s*([^\s,{}\"#%'()=~\\]+)\s*,")
DOI = re.compile(r"\b(?:doi:?\s*|https?://doi\.org/)?(10\.\d{4,9}/[^\s;,]*[^\s;,.)])", re.IGNORECASE)
ARXIV = re.compile(r"\barxiv:?\s*(\d{4}\.\d{4,5})(?:v\d+)?", re.IGNORECASE)
YEAR = re.compile(r"\b(?:19|20)\d\d\b")
LABEL = re.compile(r"\s*([A-Za-z][\w:.+/-]*):\s+(.+)", re.DOTALL)
GENERIC = ("data", "dataset", "paper", "code", "software")  # labels that say what is cited and are no key
HARNESS = "holonomy"


@dataclass
class Entry:
    """One BibTeX entry; `marks` tell a work under another key: its DOI, arXiv number and title; `of` what cites it."""

    kind: str
    key: str
    text: str
    marks: frozenset[str]
    of: list[str] = field(default_factory=list)


# ------------------------------------------------------------------------------------------ BibTeX


def parse(text: str) -> list[Entry]:
    """The entries of a BibTeX text. Raises ValueError, saying what is wrong, when it is not readable as such."""
    entries, at = [], 0
    while (start := text.find("@", at)) >= 0:
        head = ENTRY.match(text, start)
        if head is None:
            raise ValueError(f"no entry type and key after {text[start : start + 20]!r}")
        depth, at = 1, head.end()
        while depth and at < len(text):
            depth += (text[at] == "{") - (text[at] == "}")
            at += 1
        if depth:
            raise ValueError(f"the braces of {head[2]} are not balanced")
        fields = _fields(text[head.end() : at - 1], head[2])
        entries.append(Entry(head[1].lower(), head[2], text[start:at], _marks(fields)))
    if not entries:
        raise ValueError("there is no entry in it")
    return entries


def _fields(body: str, key: str) -> dict[str, str]:
    """name -> value, of `name = {value}`, `name = "value"` or `name = word`, separated by commas outside of braces."""
    fields: dict[str, str] = {}
    depth, quoted, part = 0, False, ""
    for c in body + ",":
        if c == "," and not depth and not quoted:
            if part.strip():
                name, equals, value = part.partition("=")
                if not equals or not re.fullmatch(r"\s*[A-Za-z][\w-]*\s*", name) or not value.strip():
                    raise ValueError(f"{key} has no name = value in {part.strip()[:30]!r}")
                fields[name.strip().lower()] = value.strip().strip('"')
            part = ""
            continue
        depth += (c == "{") - (c == "}")
        quoted ^= c == '"' and not depth
        part += c
    if quoted:
        raise ValueError(f"{key} has a quotation mark without its partner")
    return fields


def _marks(fields: dict[str, str]) -> frozenset[str]:
    plain = {name: value.translate(str.maketrans("", "", "{}\\")).strip() for name, value in fields.items()}
    marks = {f"title {re.sub(r'[^a-z0-9]+', '', plain.get('title', '').lower())}"} - {"title "}
    if doi := DOI.search(plain.get("doi", "") or plain.get("url", "")):
        marks.add(f"doi {doi[1].lower()}")
    if re.fullmatch(r"\d{4}\.\d{4,5}(v\d+)?", plain.get("eprint", "")):
        marks.add(f"arxiv {plain['eprint'].partition('v')[0]}")
    return frozenset(marks)


def escape(text: str) -> str:
    """Plain text as the value of a field: TeX's special characters escaped, braces taken out."""
    text = " ".join(re.sub(r"[{}\\]", "", text).split())
    return re.sub(r"([&%$#_])", r"\\\1", text).replace("~", r"\textasciitilde{}").replace("^", r"\textasciicircum{}")


def misc(key: str, fields: dict[str, str]) -> Entry:
    """A @misc entry from plain text; empty fields are left out."""
    lines = [f"  {name} = {{{escape(value)}}}" for name, value in fields.items() if value]
    [entry] = parse(f"@misc{{{key},\n" + ",\n".join(lines) + "}")
    return entry


def from_text(text: str, name: str) -> list[Entry]:
    """Entries of a citation that is BibTeX, or plain text "key: authors, title, year, doi; data: ...; a remark".

    Parts are separated by semicolons. A part labelled data, code, ... or not at all gets the key <name>_<label>; one that
    holds neither a label nor a DOI, an arXiv number or a year is a remark on the part before it.
    """
    if text.lstrip().startswith("@"):
        return parse(text)
    parts: list[tuple[str, str, list[str]]] = []
    for part in filter(str.strip, text.split(";")):
        label = LABEL.fullmatch(part)
        named = label is not None and not label[1].lower().startswith(("doi", "http", "arxiv"))
        if parts and not named and not any(p.search(part) for p in (DOI, ARXIV, YEAR)):
            parts[-1][2].append(part.strip())
        elif named and label is not None:
            parts.append((label[1], label[2].strip(), []))
        else:
            parts.append(("", part.strip(), []))
    return [_from_part(*part, name=name) for part in parts]


def _from_part(label: str, text: str, remarks: list[str], *, name: str) -> Entry:
    doi, arxiv = DOI.search(text), ARXIV.search(text)
    rest = re.sub(r"[\s,.]+$", "", re.sub(r"\s*,\s*(?=,|$)", "", ARXIV.sub("", DOI.sub("", text))))
    year = YEAR.findall(rest)
    key = f"{name}_{label.lower() or 'data'}" if label.lower() in ("", *GENERIC) else label
    fields = {
        "title": rest or f"Data set {name}",
        "year": year[-1] if year else "",
        "doi": doi[1] if doi else "",
        "eprint": arxiv[1] if arxiv else "",
        "archivePrefix": "arXiv" if arxiv else "",
        "note": "; ".join(remarks),
    }
    return misc(re.sub(r"[^\w:.+/-]", "_", key), fields)


# ------------------------------------------------------------------------------------------ what a table cites


def cite(records: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """{"entries": [...] by key, "missing": sentences} of the methods and data of finished records, and the harness.

    An entry is one work: the same key, DOI, arXiv number or title is cited once, as BibTeX where one of them is.
    """
    done = [r for r in records if r.get("status") == "done" and r.get("metrics")]
    entries: dict[str, Entry] = {}
    missing: list[str] = []
    first = {(r["method"], "method"): r for r in reversed(done)} | {(r["data"], "data"): r for r in reversed(done)}
    for (name, group), record in sorted(first.items(), key=lambda x: (x[0][1] != "method", x[0][0])):
        found = [(w, t) for w, t in (_of_method(record) if group == "method" else _of_data(record, done)) if t.strip()]
        if not found:
            what = "no card with a bibtex" if group == "method" else "no citation in its config"
            missing.append(f"{group} {name}: {what}")
        for where, text in found:
            try:
                for entry in parse(text) if group == "method" else from_text(text, name):
                    _add(entries, entry, f"{group} {name}")
            except ValueError as error:
                missing.append(f"{group} {name}: the citation of {where} is not readable as BibTeX: {error}")
    _add(entries, _harness(done), "this harness")
    return {
        "entries": [{"key": e.key, "type": e.kind, "of": e.of, "bibtex": e.text} for _, e in sorted(entries.items())],
        "missing": missing,
    }


def _add(entries: dict[str, Entry], entry: Entry, of: str) -> None:
    """Add a work, or note that a known one is cited again; another work under a taken key gets a letter."""
    known = next((e for e in entries.values() if _same(e, entry)), None)
    same_key = entries.get(entry.key)
    if known is None:
        if same_key is not None:
            letter = next(c for c in "bcdefghijklmnopqrstuvwxyz" if entry.key + c not in entries)
            renamed = re.sub(
                r"(@\w+\s*\{\s*)" + re.escape(entry.key), rf"\g<1>{entry.key}{letter}", entry.text, count=1
            )
            entry = Entry(entry.kind, entry.key + letter, renamed, entry.marks)
        known = entries[entry.key] = entry
    elif known.kind == "misc" and entry.kind != "misc":
        del entries[known.key]
        known = entries[entry.key] = Entry(entry.kind, entry.key, entry.text, known.marks | entry.marks, known.of)
    if of not in known.of:
        known.of.append(of)


def _same(one: Entry, other: Entry) -> bool:
    """Whether two entries are one work. A key with a text, as in a data config, names what a card gives in full."""
    dois = [{m for m in e.marks if m.startswith("doi ")} for e in (one, other)]
    if dois[0] and dois[1]:
        return dois[0] == dois[1]
    return bool(one.marks & other.marks) or (one.key == other.key and "misc" in (one.kind, other.kind))


def _of_method(record: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """(card, its bibtex) of a method: its own, its folder's, and those of the parts that it runs."""
    from bench.cards import cards

    folders = dict.fromkeys([record["method"], _use("method", record), *_parts(record)])
    for folder in folders:
        if folder in cards():
            yield f"models/{folder}/card.yaml", str((cards()[folder].get("paper") or {}).get("bibtex") or "")


def _use(group: str, record: dict[str, Any]) -> str:
    """The folder that owns the code: as the row says, else as the YAML does, else the name itself."""
    from bench.choices import owner

    config = record.get("config" if group == "method" else "data_config") or {}
    try:
        return str(config.get("use") or owner(group, record[group]))
    except BenchError:  # a name of a plugin that is not loaded
        return str(record[group])


def _parts(record: dict[str, Any]) -> tuple[str, ...]:
    from bench.choices import typed

    name = record["method"]
    try:
        chosen = {"name": name, "use": _use("method", record), **record["identity"]["method"][2]}
        return tuple(typed("method", chosen, record["scale"]).parts())
    except (BenchError, KeyError):
        return ()


def _of_data(record: dict[str, Any], done: Iterable[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """(where, citation): of the data config, and DOIs that only the cards of the bundles know."""
    from bench.choices import typed

    name = record["data"]
    try:  # the choices count: one folder may read several published data sets
        chosen = {"name": name, "use": _use("data", record), **record["identity"]["data"][2]}
        text = str(typed("data", chosen, record["scale"]).citation)
    except (BenchError, KeyError):  # a row of choices that are gone: what the folder says of all its data
        text = _class_citation(record)
    yield "its config", text
    known = {doi.lower() for doi in DOI.findall(text)}
    for r in sorted((r for r in done if r["data"] == name), key=lambda r: str(r["key"])):
        for doi in DOI.findall(str((r.get("card") or {}).get("citation") or "")):
            if doi.lower() not in known:
                known.add(doi.lower())
                title = (r.get("data_config") or {}).get("dataset") or name
                yield "the card of its bundle", f"data: Data set {title}, doi {doi}"


def _class_citation(record: dict[str, Any]) -> str:
    from bench.registry import config_class

    try:
        return str(config_class("data", _use("data", record)).citation)
    except BenchError:
        return ""


def _harness(done: list[dict[str, Any]]) -> Entry:
    shas = sorted({str(r["git_sha"])[:10] for r in done if r.get("git_sha")})
    return misc(
        HARNESS,
        {
            "title": "Holonomy: geometric machine-learning methods side by side, held against their papers",
            "year": max((str(r.get("finished") or "")[:4] for r in done), default=""),
            "note": f"version {__version__}" + (f", commit {', '.join(shas)}" if shas else ""),
        },
    )


def bibtex(found: dict[str, Any]) -> str:
    """The entries, and a comment line for each thing that has none."""
    comments = [f"% no citation: {' '.join(sentence.split()).replace('@', ' at ')}" for sentence in found["missing"]]
    return "\n\n".join([*(["\n".join(comments)] if comments else []), *(e["bibtex"] for e in found["entries"])])


def main(argv: list[str]) -> int:
    """`bench cite [overrides] [--json]`: for the records that `bench report` would show; exit code 1 when there are none."""
    from bench.cli import _words
    from bench.report import load_records
    from bench.words import absolute

    words, flags = _words(argv)
    records, bad = load_records(absolute(words))
    for sentence in bad:
        print(f"note: {sentence}", file=sys.stderr)
    found = cite(records)
    print(json.dumps(found, indent=1) if flags.json else bibtex(found))
    if len(found["entries"]) == 1 and not found["missing"]:
        print("note: no finished cells here, so only the harness is cited; run some first", file=sys.stderr)
        return 1
    return 0
