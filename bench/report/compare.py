"""Ranks and paired differences of the methods of one table, as numbers for the pages: all statistics are bench.stats'."""

from __future__ import annotations

from typing import Any

from bench.schema import BenchError

MOST_RANKED = 30  # methods in one critical-difference diagram
MOST_PAIRED = 15  # methods up to which every pair is compared; beyond, each with the best


def critical_difference(group: dict[str, Any]) -> dict[str, Any]:
    """Average ranks and cliques over the units that all methods share, or {"why": a sentence} when there is no diagram.

    A method that has fewer than half of the units would take them from all others: it is left out and named.
    """
    from bench import stats

    if group["better"] not in ("higher", "lower"):
        return {"why": f"{group['metric']} has no better direction, so methods are not ranked by it."}
    units = {u for m in group["methods"] for u in m["units"]}
    ranked = [m for m in group["methods"] if 2 * len(m["units"]) >= len(units)]
    left_out = [m["label"] for m in group["methods"] if 2 * len(m["units"]) < len(units)]
    common = sorted(units.intersection(*(m["units"] for m in ranked)))
    if len(ranked) < 3:
        return {"why": f"A critical-difference diagram needs at least 3 methods; {len(ranked)} here."}
    if len(ranked) > MOST_RANKED:
        return {"why": f"{len(ranked)} methods; at most {MOST_RANKED} are drawn. Choose some on the command line."}
    if len(common) < 2:
        return {"why": f"The methods share {len(common)} group(s); ranks need at least 2 on which all have a value."}
    names = [m["label"] for m in ranked]
    try:
        cd = stats.critical_difference(
            [[m["units"][u] for m in ranked] for u in common], names, better=group["better"], alpha=0.05
        )
    except ValueError as error:
        raise BenchError(f"{group['title']}: {error}") from None
    comparisons = len(names) * (len(names) - 1) // 2
    return {
        "names": names,
        "ranks": [float(r) for r in cd.ranks],
        "cliques": [[names.index(n) for n in clique] for clique in cd.cliques],
        "rejected": cd.rejected,
        "chi2": cd.friedman.statistic,
        "p": cd.friedman.p,
        "w": cd.friedman.kendall_w,
        "n": len(common),
        "needed": stats.units_needed(0.05 / comparisons, "two-sided"),
        "dropped": sorted(units - set(common)),
        "left_out": left_out,
    }


def pairs(group: dict[str, Any]) -> dict[str, Any]:
    """Two-sided paired comparisons over common units, p-values adjusted by Holm over all comparisons given here.

    `a` and `b` are positions in the table's lines; gain, ci, dz and rank_biserial are positive when a is better.
    """
    from bench import stats

    methods = group["methods"]
    if group["better"] not in ("higher", "lower"):
        return {"why": f"{group['metric']} has no better direction, so differences are not tested.", "tests": []}
    tests: list[dict[str, Any]] = []
    firsts = range(len(methods)) if len(methods) <= MOST_PAIRED else range(1)
    for a in firsts:
        for b in range(a + 1, len(methods)):
            mine, other = methods[a]["units"], methods[b]["units"]
            if len(mine.keys() & other.keys()) < 2:
                continue
            c = stats.paired_comparison(mine, other, better=group["better"], alternative="different")
            tests.append(
                {
                    "a": a,
                    "b": b,
                    "n": len(c.units),
                    "gain": c.gain,
                    "ci": list(c.ci),
                    "dz": c.dz,
                    "rank_biserial": c.rank_biserial,
                    "p": c.test.p,
                    "p_min": c.test.p_min,
                    "exact": c.test.exact,
                }
            )
    if tests:
        for test, p in zip(tests, stats.holm([t["p"] for t in tests]), strict=True):
            test["holm"] = float(p)
    why = (
        "" if len(methods) <= MOST_PAIRED else f"More than {MOST_PAIRED} methods: only pairs with the first are tested."
    )
    return {"why": why, "tests": tests}
