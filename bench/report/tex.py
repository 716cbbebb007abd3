"""Tables as LaTeX, for booktabs; all text from rows is escaped."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from bench.table import Table, tables

NUMBER = re.compile(r"[-−]?\d[\d.,]*(e[-+]?\d+)?")
SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "−": "$-$",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    **{c: "\\" + c for c in "&%$#_{}"},
}


def escape(text: str) -> str:
    """Text that LaTeX prints as it stands; line ends and control characters become spaces."""
    text = "".join(c if c.isprintable() else " " for c in text)
    return "".join(SPECIAL.get(c, c) for c in text)


def latex(table: Table) -> str:
    """One table environment: caption above with the notes (origin and chance among them), numbers to the right."""
    columns = [[r[i] for r in table.lines if r[i]] for i in range(len(table.header))]
    number = [bool(c) and all(NUMBER.fullmatch(cell) for cell in c) for c in columns]
    lines = [
        r"% needs \usepackage{booktabs} and, for quotation marks, \usepackage[T1]{fontenc}",
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape(table.title)}. {' '.join(escape(n) for n in table.notes)}}}",
        rf"\begin{{tabular}}{{{''.join('r' if n else 'l' for n in number)}}}",
        r"\toprule",
        *(" & ".join(escape(c) for c in r) + r" \\" for r in [table.header]),
        r"\midrule",
        *(" & ".join(escape(c) for c in r) + r" \\" for r in table.lines),
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def tex_text(records: Iterable[dict[str, Any]], imported: Sequence[dict[str, Any]] = ()) -> str:
    """Every table of these rows, one environment each."""
    return "\n".join(latex(t) for t in tables(records, imported)) or "% no finished cells here\n"
