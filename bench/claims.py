"""Claims of the cards against rows: a verdict for each, in whichever direction the data say, and why.

Verdicts: reproduced; within noise (no difference shown either way); better; worse; inconclusive (the smallest p that this many
units can give is above the threshold: says how many more); not attempted (why). Nothing is claimed beyond what is measured.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from bench.cards import cards
from bench.registry import did_you_mean
from bench.schema import SCALES

ALPHA = 0.05
LEAST_UNITS = 8  # an order claim on fewer paired units is never passed
UNIT = {"percent": 100.0, "fraction": 1.0}


@dataclass
class Verdict:
    """What may be said of one claim, or of one printed number without a claim."""

    id: str
    card: str
    paper: str
    gate: str
    statement: str
    table: str
    printed: str  # the paper's number, as printed
    ours: str
    verdict: str
    why: str
    command: str
    comparable: bool


def evaluate(records: Iterable[dict[str, Any]], only: Sequence[str] = ()) -> list[Verdict]:
    """Every claim of every card (or those named in `only`), judged on these records."""
    records = [r for r in records if r.get("status") == "done"]
    out = []
    for name, card in cards().items():
        for claim in card.get("claims") or []:
            if not only or claim["id"] in only:
                out.append(judge(name, card, claim, records))
    return out


def judge(name: str, card: dict[str, Any], claim: dict[str, Any], records: list[dict[str, Any]]) -> Verdict:
    """The verdict on one claim, on the best rows there are: larger scale first, then real before simulated."""
    base = Verdict(
        claim["id"],
        name,
        card["paper"]["title"],
        claim["gate"],
        claim["statement"],
        claim["source"],
        "",
        "",
        "not attempted",
        "",
        f"python bench/run.py experiment={claim['experiment']}",
        False,
    )
    if claim["gate"] == "parity":
        number = next(n for n in card["numbers"] if n["id"] == claim["number"])
        base = replace(base, printed=f"{printed(number)} ({number['id']})", table=card["tables"][number["table"]])
    found = _rows(claim, records)
    if not found:
        return replace(base, why="no rows of its experiment; the command makes them")
    scale, origin, rows = found
    if origin == "synthetic_twin":
        return replace(base, why="only rows on synthetic stand-in data, which satisfy no claim")
    if scale != "reduced":
        base.command += f" scale={scale}"
    known = {m["metric"] for r in rows for m in r["metrics"]}
    if claim["metric"] not in known:
        return replace(base, why=f"its rows have no metric {claim['metric']}{did_you_mean(claim['metric'], known)}")
    gaps = "" if claim["gate"] == "self" else lacking(claim, rows, scale)
    if gaps:
        return replace(
            base, verdict="inconclusive", why=f"not every cell has a row: {gaps} [{scale} scale, {origin} data]"
        )
    verdict = {"order": _order, "identity": _identity, "parity": _parity, "self": _self}[claim["gate"]](
        base, card, claim, rows, scale
    )
    finding = f" {claim['finding'].strip()}" if claim.get("finding") and verdict.verdict != "reproduced" else ""
    return replace(verdict, why=f"{verdict.why} [{scale} scale, {origin} data]{finding}")


def _rows(claim: dict[str, Any], records: list[dict[str, Any]]) -> tuple[str, str, list[dict[str, Any]]] | None:
    """(scale, origin, records) of the experiment's cells at the largest scale for which all methods of the claim have rows,
    and the same ones: a run at a larger scale that is under way does not hide what is known at a smaller one.

    `ours`, `baselines` and `data` of a claim name a preset, or a variant as the tables do: `gbw_rbn (theta=0.5)`.
    """
    from bench.table import variant_name

    needed = {claim["ours"], *(claim.get("baselines") or [])}
    records = [r for r in records if variant_name(r) in needed]
    if claim.get("data"):
        records = [r for r in records if variant_name(r, "data") == claim["data"]]
    if {variant_name(r) for r in records} != needed:
        return None
    partial = None
    for scale in [claim["scale"]] if claim.get("scale") else reversed(SCALES):
        keys = experiment_keys(claim["experiment"], scale, frozenset(r["seed"] for r in records))
        for origin in ("real", "simulated", "synthetic_twin"):
            rows = [r for r in records if r["key"] in keys and r["origin"] == origin]
            if {variant_name(r) for r in rows} != needed:
                continue
            if origin != "synthetic_twin" and not lacking(claim, rows, scale):
                return scale, origin, rows
            partial = partial or (scale, origin, rows)
    return partial


@functools.cache
def experiment_keys(experiment: str, scale: str, seeds: frozenset[int] = frozenset({0})) -> set[str]:
    """Keys of an experiment's cells at a scale, for these seeds and whatever the source of the data."""
    from bench import plan

    words = [f"experiment={experiment}", f"scale={scale}", f"seed=[{','.join(map(str, sorted(seeds)))}]"]
    return plan.keys_of(plan.expand(words, strict=False))


def expected(claim: dict[str, Any], scale: str) -> set[tuple[str, str]]:
    """(data, fold) of every cell of a claim's experiment that runs its own method."""
    from bench import plan
    from bench.schema import ORIGIN
    from bench.table import variant_name

    out = set()
    for cell in plan.expand([f"experiment={claim['experiment']}", f"scale={scale}"], strict=False):
        names = {"method": cell.method.name, "data": cell.data.name}
        row = {**names, "scale": scale, "origin": ORIGIN[cell.source], "identity": cell.identity()}
        data = variant_name(row, "data")
        if variant_name(row) == claim["ours"] and claim.get("data") in (None, data):
            out.add((data, cell.fold))
    return out


def lacking(claim: dict[str, Any], rows: list[dict[str, Any]], scale: str) -> str:
    """Which cells of the claim have no row, as text; empty when every method has the same (data, fold, seed).

    A method that fails on hard units must not win by their absence. A deterministic or counted claim is about every group of
    its experiment, so there all of them are wanted.
    """
    from bench.table import variant_name

    have: dict[str, set[tuple[str, str, int]]] = {}
    for r in rows:
        have.setdefault(variant_name(r), set()).add((variant_name(r, "data"), r["fold"], r["seed"]))
    wanted = set().union(*have.values())
    if _of_every_unit(claim):
        wanted |= {(d, f, s) for d, f in expected(claim, scale) for s in {s for _, _, s in wanted}}
    gaps = {m: sorted(wanted - cells) for m, cells in have.items() if wanted - cells}
    parts = []
    for method, cells in gaps.items():
        some = ", ".join(f"{fold} seed {seed}" for _, fold, seed in cells[:4])
        parts.append(f"{method} lacks {some}{' and more' if len(cells) > 4 else ''}")
    return "; ".join(parts)


def _units(rows: Iterable[dict[str, Any]], method: str, metric: str) -> dict[str, float]:
    from bench.table import unit_means, variant_name

    return unit_means([r for r in rows if variant_name(r) == method], metric)


def _direction(rows: list[dict[str, Any]], metric: str) -> str:
    return next((m["better"] for r in rows for m in r["metrics"] if m["metric"] == metric), "higher")


# ------------------------------------------------------------------------------------------ gates


def _order(
    base: Verdict, card: dict[str, Any], claim: dict[str, Any], rows: list[dict[str, Any]], scale: str
) -> Verdict:
    """Ours better than each baseline: exact one-sided paired tests, Holm over the baselines of the claim.

    Units of several data sets are tested within each, and Stouffer's method weighs the p-values by the root of their number.
    """
    from bench.stats import holm, paired_comparison

    better = _direction(rows, claim["metric"])
    ours = _units(rows, claim["ours"], claim["metric"])
    others = {b: _units(rows, b, claim["metric"]) for b in claim["baselines"]}
    if _of_every_unit(claim):
        return _every_unit(base, claim, better, ours, others)
    if any(len(ours.keys() & o.keys()) < 2 for o in others.values()):
        return replace(base, verdict="inconclusive", why=f"fewer than 2 paired units; needs at least {LEAST_UNITS}")
    tests = {b: paired_comparison(ours, o, better=better) for b, o in others.items()}
    within = {b: _by_data(rows, claim, b, better, "better") for b in others}
    against = {b: _by_data(rows, claim, b, better, "worse") for b in others}
    if not all(w for w in within.values()):
        return replace(
            base, verdict="inconclusive", why="a data set has fewer than 2 paired units; it needs at least 2"
        )
    p = dict(zip(tests, holm([_combined(w)[0] for w in within.values()]), strict=True))
    p_worse = dict(zip(against, holm([_combined(w)[0] for w in against.values()]), strict=True))
    sets = len(next(iter(within.values())))
    parts = [
        f"{b}: {t.gain:+.3f} (95 % interval {t.ci[0]:+.3f} to {t.ci[1]:+.3f}, dz {t.dz:+.2f}, p {p[b]:.3g})"
        for b, t in tests.items()
    ]
    first = next(iter(tests.values()))
    n = min(len(t.units) for t in tests.values())
    combined = f" in {sets} data sets, p combined by Stouffer's method" if sets > 1 else ""
    text = f"{claim['metric']} {first.mean_a:.3f}; gain over {'; '.join(parts)}; n = {n}{combined}"
    base = replace(base, ours=text, comparable=True)
    floor = max(holm([_combined(w)[1] for w in within.values()]))  # the smallest adjusted p that these units can give
    if n < LEAST_UNITS or floor > ALPHA:
        more = max(LEAST_UNITS - n, max(t.more_units(ALPHA / len(tests)) for t in tests.values()))
        return replace(
            base, verdict="inconclusive", why=f"{n} paired units cannot reach p <= {ALPHA} here; {more} more are needed"
        )
    if all(v <= ALPHA for v in p.values()):
        return replace(base, verdict="reproduced", why=f"better than every baseline, Holm-adjusted p <= {ALPHA}")
    # a second one-sided family: "worse" is said at the same level, on its own
    if any(v <= ALPHA for v in p_worse.values()):
        worse = ", ".join(b for b, v in p_worse.items() if v <= ALPHA)
        return replace(base, verdict="worse", why=f"worse than {worse}, Holm-adjusted p <= {ALPHA}")
    unclear = [b for b, v in p.items() if v > ALPHA]
    needed = "; ".join(_needed(b, ours, others[b], better, ALPHA / len(tests)) for b in unclear)
    return replace(base, verdict="within noise", why=f"no difference shown from {', '.join(unclear)}; {needed}")


def _by_data(rows: list[dict[str, Any]], claim: dict[str, Any], baseline: str, better: str, side: str) -> list[Any]:
    """One paired comparison per data set; empty when a data set has fewer than 2 paired units."""
    from bench.stats import paired_comparison
    from bench.table import variant_name

    out = []
    for data in sorted({variant_name(r, "data") for r in rows}):
        own = [r for r in rows if variant_name(r, "data") == data]
        a, b = _units(own, claim["ours"], claim["metric"]), _units(own, baseline, claim["metric"])
        if len(a.keys() & b.keys()) < 2:
            return []
        out.append(paired_comparison(a, b, better=better, alternative=side))
    return out


def _combined(tests: list[Any]) -> tuple[float, float]:
    """(p, the smallest p that these units can give) of one comparison over its data sets."""
    from bench.stats import stouffer

    p, least, n = [t.test.p for t in tests], [t.test.p_min for t in tests], [len(t.units) for t in tests]
    if len(tests) == 1:
        return p[0], least[0]
    clip = [min(0.5, x) for x in least]
    return stouffer(p, n=n, clip=clip), stouffer(least, n=n, clip=clip)


def _needed(baseline: str, ours: dict[str, float], theirs: dict[str, float], better: str, alpha: float) -> str:
    """How many units would show a difference of the size seen, for planning: as uncertain as that size."""
    from bench.stats import power_units

    sign = -1.0 if better == "lower" else 1.0
    units = power_units([sign * (ours[u] - theirs[u]) for u in sorted(ours.keys() & theirs.keys())], alpha=alpha)
    if units is None:
        return f"the difference from {baseline} is not in the claim's direction"
    return f"about {units} units would show the difference from {baseline} seen here with a probability of 0.8"


def _of_every_unit(claim: dict[str, Any]) -> str:
    """ "deterministic" (nothing in the experiment is random), "counted" (the statement is about every single draw) or ""."""
    return next((word for word in ("deterministic", "counted") if claim.get(word)), "")


def _every_unit(
    base: Verdict, claim: dict[str, Any], better: str, ours: dict[str, float], others: dict[str, dict[str, float]]
) -> Verdict:
    """No test: ours must be better, by `factor` where one is stated, in every group and against every baseline."""
    factor = float(claim.get("factor", 1.0))

    def beats(mine: float, theirs: float, by: float) -> bool:
        return mine * by < theirs if better == "lower" else mine > theirs * by

    pairs = [(ours[u], theirs[u]) for theirs in others.values() for u in sorted(ours)]
    lines = [
        f"{b}: " + ", ".join(f"{u} {ours[u]:g} against {theirs[u]:g}" for u in sorted(ours))
        for b, theirs in others.items()
    ]
    base = replace(base, ours=f"{claim['metric']}, {'; '.join(lines)}", comparable=True)
    by = f" by a factor {factor:g}" if factor != 1 else ""
    word = _of_every_unit(claim)
    if all(beats(mine, theirs, factor) for mine, theirs in pairs):
        return replace(base, verdict="reproduced", why=f"{word}; better{by} in every group")
    if all(beats(mine, theirs, 1.0) for mine, theirs in pairs):
        return replace(base, verdict="within noise", why=f"{word}; better in every group, but not{by}")
    return replace(base, verdict="worse", why=f"{word}; not better in every group")


def _identity(
    base: Verdict, card: dict[str, Any], claim: dict[str, Any], rows: list[dict[str, Any]], scale: str
) -> Verdict:
    """A theorem: the metric is within `tolerance` of `target` (0) in every row."""
    target, tolerance = float(claim.get("target", 0.0)), float(claim["tolerance"])
    values = [m["value"] for r in rows for m in r["metrics"] if m["metric"] == claim["metric"]]
    if not values:
        return replace(base, why=f"its rows have no metric {claim['metric']}")
    worst = max(abs(v - target) for v in values)
    return replace(
        base,
        ours=f"largest deviation {worst:.3g} in {len(values)} rows",
        comparable=True,
        verdict="reproduced" if worst <= tolerance else "worse",
        why=f"tolerance {tolerance:g} around {target:g}",
    )


def _parity(
    base: Verdict, card: dict[str, Any], claim: dict[str, Any], rows: list[dict[str, Any]], scale: str
) -> Verdict:
    """The printed number itself, within a stated tolerance; only at the paper's scale."""
    from bench.stats import summary

    number = next(n for n in card["numbers"] if n["id"] == claim["number"])
    values = _units(rows, claim["ours"], claim["metric"])
    factor = UNIT.get(number["unit"], 1.0)
    s = summary([v * factor for v in values.values()])
    interval = f", 95 % interval {s.ci[0]:.4g} to {s.ci[1]:.4g}" if s.ci else ""
    base = replace(
        base,
        ours=f"{s.mean:.4g} {number['unit']}{interval}",
    )
    if scale != "paper":
        return replace(
            base,
            verdict="not attempted",
            why=f"rows at {scale} scale only; a printed number is held against scale=paper",
        )
    difference = s.mean - number["value"]
    text = f"difference {difference:+.4g} {number['unit']}, tolerance {claim['tolerance']:g}"
    base = replace(base, comparable=True, why=text)
    if abs(difference) <= float(claim["tolerance"]):
        return replace(base, verdict="reproduced")
    if s.ci and s.ci[0] <= number["value"] <= s.ci[1]:
        return replace(base, verdict="within noise", why=f"{text}; the printed value lies in our interval")
    return replace(base, verdict="better" if (difference > 0) == (number["better"] == "higher") else "worse")


def _self(
    base: Verdict, card: dict[str, Any], claim: dict[str, Any], rows: list[dict[str, Any]], scale: str
) -> Verdict:
    """No drift from results/baseline.csv."""
    from bench.baseline import compare, load

    drifts = [d for r in rows for d in compare(r, load()) if d.metric == claim["metric"]]
    if not drifts:
        return replace(base, why="no row of it in results/baseline.csv")
    bad = [d for d in drifts if not d.ok]
    return replace(
        base,
        ours="; ".join(d.text() for d in drifts),
        comparable=True,
        verdict="worse" if bad else "reproduced",
        why="drifted from results/baseline.csv" if bad else "no drift from results/baseline.csv",
    )


# ------------------------------------------------------------------------------------------ the whole account


def printed(number: dict[str, Any]) -> str:
    spread = "" if number.get("std") is None else f" ± {number['std']:g}"
    return f"{number['value']:g}{spread} {number['unit']}"


def numbers(records: Iterable[dict[str, Any]]) -> list[Verdict]:
    """Every printed number of every card that no claim covers: what ours is, or why there is none."""
    records = [r for r in records if r.get("status") == "done"]
    out = []
    for name, card in cards().items():
        covered = {c.get("number") for c in card.get("claims") or []}
        for n in card.get("numbers") or []:
            if n["id"] not in covered:
                out.append(_number(name, card, n, records))
    return out


def _number(name: str, card: dict[str, Any], n: dict[str, Any], records: list[dict[str, Any]]) -> Verdict:
    from bench.stats import summary
    from bench.table import own_choices, unit_means

    base = Verdict(
        n["id"],
        name,
        card["paper"]["title"],
        "number",
        f"{n['method']} on {n['dataset']}, {n['metric']}",
        card["tables"][n["table"]],
        printed(n),
        "",
        "not attempted",
        "",
        "",
        False,
    )
    cell = n.get("cell")
    if not cell:
        return replace(base, why="no method and data set of this project stand for it")
    base.command = f"python bench/run.py method={cell['method']} data={cell['data']} scale=paper"
    rows = [
        r
        for r in records
        if r["method"] == cell["method"] and r["data"] == cell["data"] and r["origin"] in ("real", "simulated")
        if not own_choices(r, "method") and not own_choices(r, "data")  # the preset itself, no variant of it
    ]
    for scale in reversed(SCALES):
        values = unit_means([r for r in rows if r["scale"] == scale], n["metric"])
        if values:
            s = summary([v * UNIT.get(n["unit"], 1.0) for v in values.values()])
            note = n.get("note") or ("no tolerance is stated for it" if scale == "paper" else "not comparable")
            return replace(
                base, ours=f"{s.mean:.4g} {n['unit']} at {scale} scale, {s.n} groups", why=f"{scale} scale: {note}"
            )
    return replace(base, why="no rows; the command makes them")


def as_dicts(verdicts: Iterable[Verdict]) -> list[dict[str, Any]]:
    return [asdict(v) for v in verdicts]


def markdown(records: list[dict[str, Any]]) -> str:
    """REPRODUCTION.md: every claim and every printed number of every card, nothing left out."""
    from collections import Counter

    verdicts, rest = evaluate(records), numbers(records)
    counts = Counter(v.verdict for v in verdicts)
    lines = [
        "# Paper versus ours",
        "",
        "Generated by `bench claims --md results/REPRODUCTION.md` from the rows under results/. A claim is judged by the statistics, in",
        "whichever direction the data say; a printed number is held only against rows at scale=paper on real or simulated data.",
        "",
        f"{len(verdicts)} claims: "
        + (", ".join(f"{n} {v}" for v, n in counts.most_common()) or "none")
        + f"; {len(rest)} printed numbers without a claim of their own are listed below each card.",
        "",
    ]
    for name, card in cards().items():
        paper = card["paper"]
        where = f", arXiv {paper['arxiv']}" if paper.get("arxiv") else ""
        lines += [f"## {name}: {paper['title']} ({paper['venue']}{where})", ""]
        own = [v for v in verdicts if v.card == name]
        lines += _markdown_table(
            ["claim", "gate", "printed", "ours", "verdict", "why", "command"],
            [
                [f"`{v.id}` {v.statement}", v.gate, v.printed, v.ours, f"**{v.verdict}**", v.why, f"`{v.command}`"]
                for v in own
            ],
        )
        for entry in card.get("not_reproduced") or []:
            lines.append(f"- Not reproduced: {entry['what']}. Why: {entry['why']}.")
        own = [v for v in rest if v.card == name]
        if own:
            lines += ["", f"<details><summary>{len(own)} printed numbers</summary>", ""]
            lines += _markdown_table(
                ["number", "of", "read in", "printed", "ours", "verdict", "why"],
                [[v.id, v.statement, v.table, v.printed, v.ours, v.verdict, v.why] for v in own],
            )
            lines += ["</details>"]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _markdown_table(header: list[str], rows: list[list[str]]) -> list[str]:
    def line(cells: list[str]) -> str:
        return "| " + " | ".join(c.replace("|", "\\|").replace("\n", " ") for c in cells) + " |"

    return [line(header), line(["---"] * len(header)), *map(line, rows), ""] if rows else []
