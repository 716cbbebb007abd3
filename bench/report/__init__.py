"""What finished cells say, for people: Markdown and terminal tables, CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import ROOT, store


def load_records(overrides: Sequence[str]) -> tuple[list[dict[str, Any]], list[str]]:
    """Records of the results folder that the overrides ask for, and a sentence for each file that could not be read."""
    from bench.plan import check_overrides
    from bench.table import select

    checked = check_overrides(overrides)
    out = next((w.partition("=")[2] for w in checked if w.startswith("out=")), "")
    return select(store.scan(Path(out) if out not in ("", "null") else ROOT / "results"), overrides)


def markdown_text(records: list[dict[str, Any]]) -> str:
    """All tables, then what failed or was skipped and why: nothing is left out silently."""
    from bench.table import tables

    parts = [t.markdown() for t in tables(records)]
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


def csv_text(records: list[dict[str, Any]]) -> str:
    """Rows in long format, one per (cell, metric), with the fixed columns."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, store.COLUMNS, lineterminator="\n")
    writer.writeheader()
    for r in records:
        for row in store.rows(r):
            flat = {**row, "versions": " ".join(f"{k}={v}" for k, v in (row["versions"] or {}).items())}
            writer.writerow(flat)
    return buffer.getvalue()
