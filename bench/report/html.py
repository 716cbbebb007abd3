"""`bench report`'s page: one HTML file that works from a disk, without a network, on a phone and on paper.

Everything from rows is embedded as JSON in data blocks and put on the page as text; the page's only script and style are
this package's, and a Content-Security-Policy names them by their hashes, so nothing else in the file can run.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path
from string import Template
from typing import Any

from bench import __version__, store
from bench.report import arrays, cells, compare
from bench.report.groups import COSTS, groups
from bench.schema import BenchError

MOST_MB = 20.0  # above this, figures are linked instead of embedded
CELL_CURVES_MB = 4.0  # above this, the curves of single cells are left out; those of the tables stay
CELL_POINTS = 80
CLAIM = (
    "id",
    "card",
    "gate",
    "statement",
    "table",
    "ours",
    "verdict",
    "why",
    "command",
    "comparable",
    "origin",
    "scale",
)


def write_html(
    records: Iterable[Any],
    path: Path,
    *,
    claims: Sequence[dict[str, Any]] | None = None,
    out: Path | None = None,
    notes: Sequence[str] = (),
) -> Path:
    """Write the report of these rows as one file and return its path.

    Parameters
    ----------
    records : rows as `store.scan` yields them; a BenchError among them is told on the page.
    path : the HTML file.
    claims : one dictionary per claim, as `bench.claims.as_dicts` gives them: id, card, paper (its title), gate, statement,
        table, printed, ours, verdict, why, command, comparable; and, where known, origin and scale.
    out : the results folder, for curves and figures; without it the page has none and says so.
    notes : further sentences about what could not be read.
    """
    found = list(records)
    rows = [r for r in found if not isinstance(r, BenchError)]
    sentences = [*notes, *(str(r) for r in found if isinstance(r, BenchError))]
    data, curves = payload(rows, claims or [], out, sentences)
    figures = _figures(rows, out)
    size = len(_json(data)) + len(_json(curves)) + sum(p.stat().st_size * 4 / 3 for ps in figures.values() for p in ps)
    embed = size <= MOST_MB * 1e6
    images = {
        key: [
            {"name": p.stem, "src" if embed else "href": arrays.data_uri(p) if embed else arrays.link(p, path)}
            for p in ps
        ]
        for key, ps in figures.items()
    }
    if images and not embed:
        data["notes"].append(
            f"With its figures this file would hold more than {MOST_MB:g} MB: they are linked, and open while the results "
            "folder stays where it is."
        )
    store.write_atomic(path, page(data, curves, images).encode())
    return path


def payload(
    rows: list[dict[str, Any]], claims: Sequence[dict[str, Any]], out: Path | None, sentences: Sequence[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """(what every page shows, curves) as plain JSON values; all statistics are already computed in here."""
    tables = groups(rows)
    places = {i: (t, m["label"]) for t, g in enumerate(tables) for m in g["methods"] for i in m["cells"]}
    curves, unread = _curves(rows, tables, out)
    for g in tables:
        g["cd"], g["pairs"] = compare.critical_difference(g), compare.pairs(g)
        for m in g["methods"]:
            m["n_cells"] = len(m.pop("cells"))
    prefix = f"{out}/" if out else ""
    notes = [s.replace(prefix, "") if prefix else s for s in (*sentences, *unread)]
    data = {
        "version": __version__,
        "newest": max((r.get("finished") or "" for r in rows), default=""),
        "notes": notes,
        "tables": tables,
        "cells": cells.pack(rows, places),
        "claims": [_claim(c) for c in claims],
        "papers": _papers({str(c.get("card")) for c in claims}),
        "costs": COSTS,
    }
    return cells.plain(data), cells.plain(curves)


def page(data: dict[str, Any], curves: dict[str, Any], figures: dict[str, Any]) -> str:
    """The whole file as text."""
    folder = resources.files("bench.report")
    script, style = ((folder / f"report.{kind}").read_text("utf-8") for kind in ("js", "css"))
    # data: for embedded figures; nothing may be loaded from anywhere, and only this very script and style may act
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    return Template((folder / "report.html").read_text("utf-8")).substitute(
        policy=html.escape(policy),
        style=style,
        script=script,
        version=html.escape(__version__),
        data=_json(data),
        curves=_json(curves),
        figures=_json(figures),
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _json(value: Any) -> str:
    """JSON that can stand inside a script element: ASCII (so no U+2028) and without `<` (no `</script`, no `<!--`)."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _curves(
    rows: list[dict[str, Any]], tables: list[dict[str, Any]], out: Path | None
) -> tuple[dict[str, Any], list[str]]:
    """({"tables": per table and line, "cells": per key, "note"}, sentences on files that could not be read)."""
    if out is None:
        return {"tables": [], "cells": {}, "note": "No results folder was given: there are no curves."}, []
    read: list[arrays.Curves] = []
    unread, single = [], {}
    for r in rows:
        folder = arrays.folder_of(out, r)
        try:
            read.append(arrays.read_curves(folder) if folder else {})
        except ValueError as error:
            unread.append(f"{error}; delete the cell and run it again")
            read.append({})
        if read[-1]:
            single[r["key"]] = {name: arrays.thin(x, y, CELL_POINTS) for name, (x, y) in read[-1].items()}
    bands = [
        {m["label"]: s for m in g["methods"] if (s := arrays.summarise([(rows[i], read[i]) for i in m["cells"]]))}
        for g in tables
    ]
    note = ""
    if len(_json(single)) > CELL_CURVES_MB * 1e6:
        note, single = "The curves of single cells are left out to keep this file small; they are in curves.npz.", {}
    return {"tables": bands, "cells": single, "note": note}, unread


def _figures(rows: list[dict[str, Any]], out: Path | None) -> dict[str, list[Path]]:
    if out is None:
        return {}
    found = {r["key"]: arrays.figure_files(out, r) for r in rows if r.get("figures")}
    return {key: paths for key, paths in found.items() if paths}


def _claim(claim: dict[str, Any]) -> dict[str, Any]:
    """A claim under the names that the page reads: `title` of the paper, and `paper` its number.

    `bench.claims` calls these two `paper` and `printed`; `paper title` and `paper value` are understood too.
    """
    c = {str(k).replace(" ", "_"): v for k, v in claim.items()}
    if "printed" in c:
        c |= {"title": c.get("paper"), "paper": c["printed"]}
    title, paper = c.get("title", c.get("paper_title")), c.get("paper", c.get("paper_value"))
    return {n: c.get(n) for n in CLAIM} | {"title": title, "paper": paper}


def _papers(names: set[str]) -> dict[str, list[dict[str, str]]]:
    """Links of the cards that claims name: DOI and arXiv only, built from identifiers and never taken as addresses."""
    from bench.cards import cards as read

    known = read()
    return {n: links for n in sorted(names) if n in known and (links := _links(known[n]))}


def _links(card: dict[str, Any]) -> list[dict[str, str]]:
    paper = card.get("paper") if isinstance(card.get("paper"), dict) else {}
    out = []
    for key, pattern, base in (
        ("arxiv", r"(?:arxiv:)?(\d{4}\.\d{4,5}(?:v\d+)?|[a-z-]+/\d{7})", "https://arxiv.org/abs/"),
        ("doi", r"(?:https://doi\.org/|doi:)?(10\.\d{4,9}/[\w.()/:;-]+)", "https://doi.org/"),
    ):
        match = re.fullmatch(
            pattern, str(card.get(key) or (paper or {}).get(key) or "").strip(), re.IGNORECASE | re.ASCII
        )
        if match:
            out.append({"text": f"{'arXiv' if key == 'arxiv' else 'doi'} {match[1]}", "href": base + match[1]})
    return out
