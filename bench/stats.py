"""Paired tests, effect sizes, rank comparisons and chance levels for benchmark scores.

The unit of inference is what is independent, a subject or a data set, never a seed or a fold: repeats are
averaged inside a unit first. A result is significant when ``p <= alpha``. Every function raises `ValueError`,
in one sentence naming the argument and the remedy, for input that is empty, too short, not finite, of unequal
length or out of the stated range. Scores that agree to 13 significant digits of the largest are equal, so
rounding noise makes and breaks no ties. Resampling is seeded.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

EXACT_MAX = 12  # pairs up to which all 2**n sign vectors are enumerated
_SIDES = {"greater": np.positive, "less": np.negative, "two-sided": np.abs}
_CLAIMS = {"better": "greater", "worse": "less", "different": "two-sided"}
_BETTER = {"higher": 1.0, "lower": -1.0}


@dataclass(frozen=True)
class Summary:
    """Spread over groups; `sd` and `ci` are None for a single group."""

    n: int
    mean: float
    sd: float | None
    ci: tuple[float, float] | None


@dataclass(frozen=True)
class PairedTest:
    """A paired test: `n` pairs, `n_nonzero` of them unequal; `p_min` is the smallest attainable p."""

    name: str
    alternative: str
    p: float
    p_min: float
    n: int
    n_nonzero: int
    exact: bool
    effect: float


@dataclass(frozen=True)
class Friedman:
    """Friedman chi-square, its p, and Kendall's W (agreement of the rankings, 0 to 1)."""

    statistic: float
    p: float
    kendall_w: float


@dataclass(frozen=True, eq=False)
class CriticalDifference:
    """Methods `names`, their `ranks` (k,) and adjusted `p` (k, k); `cliques` holds names, best first."""

    names: tuple[str, ...]
    ranks: np.ndarray
    p: np.ndarray
    cliques: tuple[tuple[str, ...], ...]
    rejected: bool
    friedman: Friedman


@dataclass(frozen=True)
class Chance:
    """Accuracy `chance` of a guesser, and the `threshold` it exceeds with probability below alpha."""

    chance: float
    threshold: float


@dataclass(frozen=True)
class PairedComparison:
    """Method a against b over `units`; `gain`, `ci`, `dz`, `rank_biserial` are positive when a is better."""

    units: tuple
    missing_in_a: tuple
    missing_in_b: tuple
    mean_a: float
    mean_b: float
    gain: float
    ci: tuple[float, float]
    dz: float
    rank_biserial: float
    test: PairedTest

    def more_units(self, alpha: float = 0.05) -> int:
        """Further, unequal units without which the test cannot reach `alpha`; 0 if it already can."""
        return max(0, units_needed(alpha, self.test.alternative) - self.test.n_nonzero)


def _require(holds: bool, sentence: str) -> None:
    if not holds:
        raise ValueError(sentence)


def _array(
    name: str, values: Any, least: tuple[int, ...] = (1,), low: float = -math.inf, high: float = math.inf
) -> np.ndarray:
    """`values` as finite floats within [low, high], with at least `least` entries along each axis."""
    x = np.asarray(values, dtype=float)
    big_enough = x.ndim == len(least) and all(have >= want for have, want in zip(x.shape, least, strict=True))
    _require(big_enough, f"{name} has shape {x.shape}; give at least {' x '.join(map(str, least))} values.")
    _require(np.isfinite(x).all(), f"{name} holds NaN or infinite values; leave those out or score them.")
    _require(low <= x.min() and x.max() <= high, f"{name} must hold values from {low:g} to {high:g}.")
    return x


def _share(name: str, value: float) -> float:
    _require(0 < value < 1, f"{name} is {value}; give a number between 0 and 1, both excluded.")
    return value


def _choice(name: str, value: str, options: Mapping[str, Any]) -> Any:
    _require(value in options, f"{name} is {value!r}; use one of {', '.join(options)}.")
    return options[value]


def _snap(x: np.ndarray, scale: Any) -> tuple[np.ndarray, float]:
    """Round `x` to 13 significant digits of `scale`; returns the rounded values and the step of the grid."""
    inverse = 10.0 ** (13 - math.ceil(math.log10(max(scale, 1e-280))))
    return np.rint(x * inverse) / inverse, 1 / inverse


def _differences(a: Any, b: Any) -> tuple[np.ndarray, float]:
    a, b = _array("a", a, (2,)), _array("b", b, (2,))
    _require(a.size == b.size, f"a and b hold {a.size} and {b.size} values; give one of each per unit.")
    return _snap(a - b, max(np.abs(a).max(), np.abs(b).max()))


def _matrix(scores: Any, methods: int) -> np.ndarray:
    s = _array("scores (data sets x methods)", scores, (2, methods))
    return np.stack([_snap(row, np.abs(row).max())[0] for row in s])


def _chunks(total: int, width: int, budget: int = 2_000_000) -> Iterator[int]:
    step = max(1, budget // width)
    return (min(step, total - start) for start in range(0, total, step))


def bootstrap_ci(values: Any, level: float = 0.95, n_boot: int = 10000, seed: int = 0) -> tuple[float, float]:
    """Percentile bootstrap interval (low, high) of the mean of `values` (n,), n >= 2, one per group.

    The limits are the ``(1 -/+ level) / 2`` quantiles of `n_boot` resampled means (Efron and Tibshirani
    1993). It is too narrow for few groups: it stays inside the data, so on symmetric data it covers at most
    ``1 - 2**(1 - n)``; on normal data 95 % limits cover 75, 83, 90 and 93 % at n = 3, 5, 10 and 20.
    """
    x, tail = _array("values", values, (2,)), (1 - _share("level", level)) / 2
    _require(n_boot >= 1, f"n_boot is {n_boot}; draw at least 1 resample.")
    rng = np.random.default_rng(seed)
    means = [x[rng.integers(0, x.size, (k, x.size))].mean(axis=1) for k in _chunks(n_boot, x.size)]
    low, high = np.quantile(np.concatenate(means), [tail, 1 - tail])
    return float(low), float(high)


def summary(values: Any) -> Summary:
    """`Summary` of `values` (n,), one per group: n, mean, sd (ddof 1) and 95 % `bootstrap_ci`."""
    x = _array("values", values)
    spread = (float(x.std(ddof=1)), bootstrap_ci(x)) if x.size > 1 else (None, None)
    return Summary(x.size, float(x.mean()), *spread)


def _sign_flip(
    x: np.ndarray, alternative: str, slack: float = 0.0, n_resamples: int = 9999, seed: int = 0
) -> tuple[float, bool]:
    """Sign-flip p of sum(x), and whether it is exact; sums closer than `slack` are ties."""
    side, rng, exact = _SIDES[alternative], np.random.default_rng(seed), x.size <= EXACT_MAX
    if exact:
        draws: Any = [np.arange(2**x.size)[:, None] >> np.arange(x.size) & 1]
    else:
        draws = (rng.integers(0, 2, (k, x.size), dtype=np.int8) for k in _chunks(n_resamples, x.size))
    hits = sum(int(np.sum(side((1 - 2 * flips) @ x) >= side(x.sum()) - slack)) for flips in draws)
    return (hits / 2**x.size if exact else (hits + 1) / (n_resamples + 1)), exact


def _smallest_p(n: int, alternative: str) -> float:
    return min(1.0, (2 if alternative == "two-sided" else 1) * 0.5**n)


def paired_permutation(
    a: Any, b: Any, alternative: str = "two-sided", n_resamples: int = 9999, seed: int = 0
) -> PairedTest:
    """Sign-flip permutation test of the mean of ``a - b``, each (n,), n >= 2; returns a `PairedTest`.

    p is the share of the 2**n sign vectors whose mean is at least as extreme as the observed one: as large
    ("greater"), as small ("less"), or as large in magnitude (Fisher 1935). All are enumerated up to n = 12;
    beyond, it is ``(hits + 1) / (n_resamples + 1)`` (Phipson and Smyth 2010). Zero differences stay in and
    change nothing; with m others `p_min` is ``2**-m``, two-sided ``2**(1 - m)``, and not below
    ``1 / (n_resamples + 1)`` by Monte Carlo. `effect` is the mean difference.
    """
    _choice("alternative", alternative, _SIDES)
    _require(n_resamples >= 1, f"n_resamples is {n_resamples}; draw at least 1 sign vector.")
    d, step = _differences(a, b)
    used = int(np.count_nonzero(d))
    p, exact = _sign_flip(d, alternative, d.size * step, n_resamples, seed)
    p_min = max(_smallest_p(used, alternative), 0 if exact else 1 / (n_resamples + 1))
    return PairedTest("sign-flip", alternative, p, p_min, d.size, used, exact, float(d.mean()))


def _wilcoxon_p(d: np.ndarray, alternative: str) -> Any:
    """Signed-rank p of non-zero differences, and whether it is exact."""
    from scipy import stats

    if d.size <= EXACT_MAX:
        return _sign_flip(np.sign(d) * stats.rankdata(np.abs(d)), alternative)
    exact = d.size <= 50 and np.unique(np.abs(d)).size == d.size
    result = stats.wilcoxon(d, alternative=alternative, method="exact" if exact else "asymptotic")
    return float(result.pvalue), exact


def wilcoxon(a: Any, b: Any, alternative: str = "two-sided") -> PairedTest:
    """Wilcoxon signed-rank test of ``a - b`` (Wilcoxon 1945), arguments and result as `paired_permutation`.

    Zero differences are dropped (Wilcoxon's rule), ties share their average rank. Exact up to 12 non-zero
    differences, or 50 if untied; otherwise normal, corrected for ties but not for continuity. `effect` is
    `rank_biserial`, `p_min` the p if all signs agreed; with only zeros p is 1.
    """
    _choice("alternative", alternative, _SIDES)
    d = _differences(a, b)[0]
    used = d[d != 0]
    p, exact = _wilcoxon_p(used, alternative)
    p_min, _ = _wilcoxon_p(-np.abs(used) if alternative == "less" else np.abs(used), alternative)
    return PairedTest("wilcoxon", alternative, p, p_min, d.size, used.size, exact, rank_biserial(a, b))


def holm(pvalues: Any) -> np.ndarray:
    """Holm step-down adjusted p-values, (m,) -> (m,) in the order given (Holm 1979).

    ``adj_(i) = min(1, max_{j <= i} (m - j + 1) p_(j))`` over the ascending ``p_(1), ..., p_(m)``.
    """
    p = _array("pvalues", pvalues, low=0, high=1)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(np.arange(p.size, 0, -1) * p[order]))
    return adjusted


def _dz(d: np.ndarray) -> float:
    mean, sd = float(d.mean()), float(d.std(ddof=1)) if np.ptp(d) else 0.0
    return mean / sd if sd else math.copysign(math.inf, mean) if mean else 0.0


def cohens_dz(a: Any, b: Any) -> float:
    """Paired standardised mean difference ``mean(a - b) / sd(a - b)``, ddof 1, each (n,) (Lakens 2013).

    Equal differences (sd 0) give signed infinity, or 0 if they are all zero.
    """
    return _dz(_differences(a, b)[0])


def rank_biserial(a: Any, b: Any) -> float:
    """Matched-pairs rank-biserial correlation ``(W+ - W-) / (W+ + W-)`` of ``a - b``, each (n,) (Kerby 2014).

    W are the rank sums of positive and of negative differences, zeros dropped; 0 if none is left.
    """
    from scipy.stats import rankdata

    d = _differences(a, b)[0]
    ranks = rankdata(np.abs(d[d != 0]))
    return float(np.sign(d[d != 0]) @ ranks / ranks.sum()) if ranks.size else 0.0


def stouffer(p: Any, weights: Any = None, n: Any = None, clip: Any = 1e-12) -> float:
    """Combine the one-sided `p` (k,) of independent data sets: ``Phi(-sum(w z) / sqrt(sum(w**2)))``.

    ``z = -Phi^-1(p)`` (Stouffer et al. 1949; Whitlock 2005); w is `weights` (k,), else ``sqrt(n)`` for unit
    counts `n` (k,), else 1. p is first clipped to ``[clip, 1 - clip]``, `clip` scalar or (k,), at most 0.5.
    For sign-flip tests pass each test's `p_min`, or a single p of 1 outweighs everything.
    """
    from scipy.stats import norm

    p = _array("p", p, low=0, high=1)
    n = np.ones(p.size) if n is None else _array("n", n, low=1)
    w = _array("weights", np.sqrt(n) if weights is None else weights, low=1e-300)
    clip = _array("clip", np.full(p.size, clip) if np.ndim(clip) == 0 else clip, low=1e-300, high=0.5)
    _require(p.size == w.size == clip.size, f"weights, n and clip must hold one value per p, {p.size} each.")
    return float(norm.sf(w @ norm.isf(np.clip(p, clip, 1 - clip)) / math.sqrt(w @ w)))


def average_ranks(scores: Any, better: str = "higher") -> np.ndarray:
    """Mean rank of each method, 1 the best, ties averaged; `scores` (data sets, methods) -> (methods,)."""
    from scipy.stats import rankdata

    return rankdata(-_choice("better", better, _BETTER) * _matrix(scores, 2), axis=1).mean(axis=0)


def friedman(scores: Any) -> Friedman:
    """Friedman test, `scores` (N >= 2 data sets, k >= 3 methods), corrected for ties (Friedman 1937).

    Without ties ``chi2 = 12 N / (k (k + 1)) sum_j (R_j - (k + 1) / 2)**2`` for mean ranks R, with k - 1
    degrees of freedom; ``W = chi2 / (N (k - 1))``. If every data set ties all methods, chi2 is 0 and p is 1.
    """
    from scipy.stats import friedmanchisquare

    s = _matrix(scores, 3)
    statistic, p = friedmanchisquare(*s.T) if np.ptp(s, axis=1).any() else (0.0, 1.0)
    return Friedman(float(statistic), float(p), float(statistic / (s.shape[0] * (s.shape[1] - 1))))


def _bars(order: Any, alike: Any) -> list[tuple[int, ...]]:
    """Maximal runs of at least two neighbours in `order` that are pairwise `alike`."""
    runs: list[Any] = []
    for start in range(len(order)):
        end = start + 1
        while end < len(order) and alike[order[end], order[start:end]].all():
            end += 1
        if end - start > 1 and not (runs and runs[-1][-1] == order[end - 1]):
            runs.append(order[start:end])
    return runs


def critical_difference(
    scores: Any, names: Sequence[str], better: str = "higher", alpha: float = 0.05
) -> CriticalDifference:
    """Average ranks with bars, for `scores` (N >= 2 data sets, k >= 3 methods) and k distinct `names`.

    Friedman's test, then two-sided Wilcoxon tests of all pairs with Holm's adjustment (Demsar 2006; Benavoli
    et al. 2016). A clique is a maximal run of neighbours in rank order of which no two differ, as a bar is
    drawn; if Friedman does not reject, all methods are one. No adjusted p can be significant unless N is at
    least ``units_needed(alpha / (k (k - 1) / 2), "two-sided")``.
    """
    omnibus, ranks, s = friedman(scores), average_ranks(scores, better), np.asarray(scores, dtype=float)
    k, rejected = s.shape[1], omnibus.p <= _share("alpha", alpha)
    _require(len(names) == len(set(names)) == k, f"names must hold {k} distinct names, one per column.")
    rows, columns = np.triu_indices(k, 1)
    p = np.ones((k, k))
    p[rows, columns] = holm([wilcoxon(s[:, i], s[:, j]).p for i, j in zip(rows, columns, strict=True)])
    p[columns, rows] = p[rows, columns]
    order = np.argsort(ranks, kind="stable")
    runs = _bars(order, p > alpha) if rejected else [order]
    cliques = tuple(tuple(names[i] for i in run) for run in runs)
    return CriticalDifference(tuple(names), ranks, p, cliques, rejected, omnibus)


def chance_level(n_trials: int, n_classes: int, alpha: float = 0.05, priors: Any = None) -> Chance:
    """`Chance` of a guesser on `n_trials` trials (Combrisson and Jerbi 2015).

    `chance` is ``1 / n_classes``, or ``max(priors)`` for the majority class; `threshold` is the smallest
    ``c / n_trials`` with ``P(Binomial(n_trials, chance) > c) < alpha``. Only an accuracy strictly above it
    beats chance, so a threshold of 1 means too few trials.
    """
    from scipy.stats import binom

    _require(n_trials >= 1 and n_classes >= 2, "n_trials must be at least 1 and n_classes at least 2.")
    q = _array("priors", np.full(n_classes, 1 / n_classes) if priors is None else priors, low=0)
    fits = q.size == n_classes and abs(q.sum() - 1) < 1e-6
    _require(fits, f"priors must hold {n_classes} shares that sum to 1; divide class counts by their sum.")
    correct = np.argmax(binom.sf(np.arange(n_trials + 1), n_trials, q.max()) < _share("alpha", alpha))
    return Chance(float(q.max()), float(correct / n_trials))


def units_needed(p_threshold: float, alternative: str = "greater") -> int:
    """Fewest pairs, at least 2, with which the sign-flip test can give ``p <= p_threshold``.

    The smallest p of n pairs is ``2**-n``, two-sided ``2**(1 - n)``.
    """
    _choice("alternative", alternative, _SIDES)
    n, _ = 2, _share("p_threshold", p_threshold)
    while _smallest_p(n, alternative) > p_threshold:
        n += 1
    return n


def power_units(diffs: Any, alpha: float = 0.05, power: float = 0.8, alternative: str = "greater") -> int | None:
    """Estimated number of pairs for `power` at the effect in `diffs` (n,), n >= 2; at least `units_needed`.

    ``((z_{1 - alpha} + z_power) / dz)**2``, two-sided with ``alpha / 2`` (Cohen 1988), ``dz = mean / sd``;
    None if the effect is zero or against the alternative. It is as uncertain as dz: a planning aid only.
    """
    from scipy.stats import norm

    x, least = _array("diffs", diffs, (2,)), units_needed(alpha, alternative)
    dz = float(_SIDES[alternative](_dz(_snap(x, np.abs(x).max())[0])))
    z = norm.isf(alpha / (2 if alternative == "two-sided" else 1)) + norm.ppf(_share("power", power))
    return max(least, math.ceil((max(z, 0) / dz) ** 2)) if dz > 0 else None


def unit_means(name: str, values: Any, units: Any = None) -> dict[Any, float]:
    """Mean of the repeats of each unit, as a dict; `name` is the argument that errors speak of.

    `values` maps units to a number or its repeats, or is a sequence (m,) with labels `units` (m,); without
    labels each position is a unit.
    """
    if isinstance(values, Mapping):
        return {u: float(_array(f"{name}[{u!r}]", np.atleast_1d(v)).mean()) for u, v in values.items()}
    groups: dict[Any, Any] = {}
    x = _array(name, values)
    labels = range(x.size) if units is None else units
    _require(len(labels) == x.size, f"units holds {len(labels)} labels; give one per value, {x.size} in all.")
    for unit, value in zip(labels, x, strict=True):
        groups.setdefault(unit, []).append(value)
    return {u: float(np.mean(v)) for u, v in groups.items()}


def paired_comparison(
    a: Any, b: Any, better: str = "higher", alternative: str = "better", units: Any = None
) -> PairedComparison:
    """`PairedComparison` of method a with b by `paired_permutation`, repeats averaged inside a unit first.

    `a` and `b` are mappings from unit to value or repeats, of which the common units (at least 2) are
    compared and the others listed; or sequences (m,) in the same order, labelled by `units` (m,) or holding
    one value per unit. `unit_means` makes a mapping of a sequence. `better` is "higher" or "lower",
    `alternative` what is claimed of a: "better", "worse" or "different".
    """
    sign, side = _choice("better", better, _BETTER), _choice("alternative", alternative, _CLAIMS)
    mapped = isinstance(a, Mapping)
    alike = mapped == isinstance(b, Mapping) and (units is None if mapped else len(a) == len(b))
    _require(alike, "a and b must be two mappings without units, or two sequences of equal length.")
    of_a, of_b = unit_means("a", a, units), unit_means("b", b, units)
    common, only_a, only_b = (
        tuple(sorted(found, key=str))
        for found in (of_a.keys() & of_b.keys(), of_a.keys() - of_b.keys(), of_b.keys() - of_a.keys())
    )
    _require(len(common) > 1, f"a and b share {len(common)} unit(s); score both on at least 2 common units.")
    x, y = np.array([of_a[u] for u in common]), np.array([of_b[u] for u in common])
    pair = sign * x, sign * y
    test = paired_permutation(*pair, alternative=side)
    return PairedComparison(
        common,
        only_b,
        only_a,
        float(x.mean()),
        float(y.mean()),
        test.effect,
        bootstrap_ci(pair[0] - pair[1]),
        cohens_dz(*pair),
        rank_biserial(*pair),
        test,
    )
