"""`bench gate suite=ci`: run what is missing or whose code changed, hold it against results/baseline.csv and the exact claims."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench import baseline, claims, plan
from bench.cards import cards, methods_of
from bench.execute import run_cells
from bench.rounding import by_other_kernels
from bench.schema import BenchError
from bench.words import absolute

DEFAULT = "suite=ci"


def gate_words(words: Sequence[str]) -> list[str]:
    """The words of a gate: suite=ci unless something else is asked for; cells whose code changed run again."""
    given = {w.partition("=")[0] for w in words}
    out = [*words] if given & {"suite", "experiment", "method"} else [DEFAULT, *words]
    return out if "reuse" in given else [*out, "reuse=fresh"]


def gate(words: Sequence[str], say: Callable[[str], None] = print) -> list[str]:
    """Returns a sentence for each thing that broke, with the command that reruns it; none when all holds."""
    cells = plan.expand(absolute(gate_words(words)), strict=False, download=False)
    if not cells:
        raise BenchError("bench gate: the suite has no cells")
    _, records = run_cells(cells)
    broken = [
        f"{c.method.name} on {c.data.name} fold {c.fold} did not finish; rerun: {c.command}"
        for c in cells
        if not c.skip and c.key not in {r["key"] for r in records}
    ]
    accepted = baseline.load()
    if not records:
        broken.append("no cell of this command gave a row, so nothing was held against anything")
    broken += [
        f"{c.method.name} on {c.data.name} fold {c.fold} is skipped now ({c.skip}) and has accepted numbers"
        for c in cells
        if c.skip and any(name.startswith(f"{c.method.name}/{c.data.name}/{c.fold}/") for name in accepted)
    ]
    if set(words) <= {DEFAULT}:  # the whole suite: an accepted number that nothing made is a loss
        made = {baseline.row_id(r, "") for r in records}
        gone = sorted({name.rpartition("/")[0] + "/" for name in accepted} - made)
        broken += [f"{name[:-1]} has accepted numbers and is no longer in the suite" for name in gone]
    for record in records:
        for drift in baseline.compare(record, accepted):
            if drift.accepted is None:
                broken.append(
                    f"{drift.text()}; accept it: bench baseline --accept '{drift.id}'; rerun: {drift.command}"
                )
            elif not drift.ok:
                broken.append(f"DRIFT {drift.text()}; rerun: {drift.command}")
    broken += _exact_claims(records, {c.method.name for c in cells})
    say(f"gate: {len(records)} cells, {len(broken)} broken")
    for sentence in broken:
        say(f"  {sentence}")
    return broken


def _exact_claims(records: list[dict[str, Any]], ran: set[str]) -> list[str]:
    """Identity, self and deterministic claims whose cells are all in this run must hold, or be a finding that the card states."""
    broken = []
    for name, card in cards().items():
        for claim in card.get("claims") or []:
            if claim["gate"] not in ("identity", "self") and not claim.get("deterministic"):
                continue
            if not methods_of(claim) <= ran:
                continue
            verdict = claims.judge(name, card, claim, records)
            if verdict.verdict in (
                "not attempted",
                "inconclusive",
            ):  # inconclusive: not all of its cells are in this run
                continue
            if verdict.verdict != claim.get("expected", "reproduced"):
                broken.append(
                    f"CLAIM {claim['id']} is {verdict.verdict}: {verdict.ours}; {verdict.why}; rerun: {verdict.command}"
                )
    return broken


def accept(words: Sequence[str], pattern: str, say: Callable[[str], None] = print) -> list[str]:
    """`bench baseline --accept <claim or id>`: run the suite, print old and new.

    Three seeds, and the first of them by the kernels of other processors, give the tolerance.
    """
    given = {w.partition("=")[0] for w in words}
    seeds = [] if "seed" in given else ["seed=0,1,2"]
    words = absolute([*gate_words(words), *seeds])
    cells = plan.expand(words, strict=False)
    chosen = [c for c in cells if _about(c, pattern)]
    if not chosen:
        raise BenchError(
            f"--accept {pattern}: no cell of this suite; give a claim id, method/data/fold/metric (wildcards allowed) or all"
        )
    _, records = run_cells(chosen)
    if len(records) < len(chosen):
        raise BenchError("some cells did not finish, so no tolerance can be told from their seeds; see the lines above")
    first = min(c.seed for c in chosen)
    elsewhere = by_other_kernels([c for c in chosen if c.seed == first and not c.skip], words)
    changes = baseline.accept(records, pattern, elsewhere)
    for line in changes:
        say(line)
    say(f"{len(changes)} rows of {Path('results') / 'baseline.csv'} changed")
    return changes


def _about(cell: plan.Cell, pattern: str) -> bool:
    import fnmatch

    head = pattern.rpartition("/")[0] or pattern
    return (
        pattern == "all"
        or cell.method.name in baseline.claim_methods(pattern)
        or fnmatch.fnmatch(f"{cell.method.name}/{cell.data.name}/{cell.fold}", head)
    )
