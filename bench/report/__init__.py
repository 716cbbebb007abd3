"""What finished cells say, for people: Markdown and terminal tables, CSV, LaTeX, and one HTML file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import store
from bench.schema import BenchError
from bench.words import results_folder


def load_records(overrides: Sequence[str]) -> tuple[list[dict[str, Any]], list[str]]:
    """Records of the results folder that the overrides ask for, and a sentence for each file that could not be read."""
    from bench.table import select

    return select(store.all_records(results_folder(overrides)), overrides)


def write_files(
    files: Mapping[str, str | Path],
    records: list[dict[str, Any]],
    *,
    bad: Sequence[str] = (),
    out: Path | None = None,
    claims: Sequence[dict[str, Any]] | None = None,
    imported: Sequence[dict[str, Any]] = (),
) -> list[Path]:
    """Write the report in each form asked for: {"html" | "md" | "csv" | "rows" | "tex" | "per_group" | "moabb": file}; returns the files.

    `bad` are the sentences of `load_records`; `out` the results folder and `claims` the verdicts, both for HTML; `imported`
    what `bench.imported.read` gives, for Markdown and LaTeX.
    """
    written = []
    for form, name in files.items():
        path = Path(name).expanduser()
        try:
            if form == "html":
                from bench.report.html import write_html

                write_html(records, path, claims=claims, out=out, notes=bad)
            else:
                store.write_atomic(path, _text(form, records, imported).encode())
        except OSError as error:
            raise BenchError(
                f"--{form.replace('_', '-')} {path} cannot be written ({error.strerror}); choose another file"
            ) from None
        written.append(path)
    return written


def _text(form: str, records: list[dict[str, Any]], imported: Sequence[dict[str, Any]]) -> str:
    from bench.report.moabb import moabb_csv, per_group_csv
    from bench.report.tex import tex_text

    if form in ("md", "tex"):
        return {"md": markdown_text, "tex": tex_text}[form](records, imported)
    if form == "rows":
        return store.csv_text(records, short=True)
    return {"csv": store.csv_text, "per_group": per_group_csv, "moabb": moabb_csv}[form](records)


def markdown_text(records: list[dict[str, Any]], imported: Sequence[dict[str, Any]] = ()) -> str:
    """All tables, then what failed or was skipped and why: nothing is left out silently."""
    from bench.table import tables

    parts = [t.markdown() for t in tables(records, imported)]
    missing = [r for r in records if r.get("status") != "done"]
    if missing:
        lines = sorted(
            {
                f"- {r['status']}: {r['method']} on {r['data']} fold {r['fold']} seed {r['seed']}: {r.get('error')}"
                for r in missing
            }
        )
        parts.append("\n".join(["### Not in the tables", "", *lines]))
    return "\n\n".join(parts) if parts else "no finished cells here; run some with: bench run method=gbw_rbn data=bci"
