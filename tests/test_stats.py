"""Statistics against independent libraries, hand-worked cases and enumerated null distributions."""

import math
from itertools import product

import numpy as np
import pytest
from scipy import stats as sp

from bench import stats as st

SIDES = ["greater", "less", "two-sided"]


def sample(n, seed=1, shift=0.3, decimals=2):
    rng = np.random.default_rng(seed)
    return np.round(rng.normal(shift, 1, n), decimals), np.round(rng.normal(0, 1, n), decimals)


def flip_p(a, b, alternative):
    """p of the sign-flip test as SciPy enumerates it."""
    return sp.permutation_test(
        (a - b,), np.mean, permutation_type="samples", vectorized=True, n_resamples=np.inf, alternative=alternative
    ).pvalue


def test_summary_by_hand():
    s = st.summary([1.0, 2.0, 6.0])
    assert (s.n, s.mean) == (3, 3.0)
    assert s.sd == pytest.approx(math.sqrt(7))
    assert s.ci == st.bootstrap_ci([1.0, 2.0, 6.0])
    assert st.summary([0.7]) == st.Summary(1, 0.7, None, None)


def test_bootstrap_of_two_values_reaches_both():
    assert st.bootstrap_ci([0.0, 1.0]) == (0.0, 1.0)  # resampled means 0, 1/2, 1 with odds 1 : 2 : 1
    assert st.bootstrap_ci([0.0, 1.0], level=0.4) == (0.5, 0.5)
    assert st.bootstrap_ci([3.0, 3.0, 3.0]) == (3.0, 3.0)


def test_bootstrap_matches_scipy_and_repeats():
    x = sample(25)[0]
    ours = st.bootstrap_ci(x, level=0.9)
    theirs = sp.bootstrap((x,), np.mean, confidence_level=0.9, method="percentile", n_resamples=10000, rng=5)
    assert ours == pytest.approx(tuple(theirs.confidence_interval), abs=0.02)
    assert ours == st.bootstrap_ci(x, level=0.9)
    assert ours != st.bootstrap_ci(x, level=0.9, seed=1)


def test_bootstrap_in_chunks_has_every_resample():
    assert list(st._chunks(10, 4, budget=12)) == [3, 3, 3, 1]
    assert list(st._chunks(2, 100, budget=12)) == [1, 1]


@pytest.mark.parametrize(
    ("alternative", "p", "p_min"), [("greater", 1 / 32, 1 / 32), ("two-sided", 1 / 16, 1 / 16), ("less", 1.0, 1 / 32)]
)
def test_five_positive_differences(alternative, p, p_min):
    t = st.paired_permutation([1.1, 2.3, 3.2, 4.4, 5.9], [1, 2, 3, 4, 5], alternative)
    assert (t.p, t.p_min, t.n, t.n_nonzero, t.exact) == (p, p_min, 5, 5, True)
    assert t.effect == pytest.approx(1.9 / 5)


@pytest.mark.parametrize("alternative", SIDES)
@pytest.mark.parametrize("n", [2, 7, 12])
def test_exact_permutation_matches_scipy(n, alternative):
    a, b = sample(n, seed=n)
    t = st.paired_permutation(a, b, alternative)
    assert t.exact
    assert t.p == pytest.approx(flip_p(a, b, alternative), abs=1e-12)


@pytest.mark.parametrize("alternative", SIDES)
def test_monte_carlo_agrees_with_full_enumeration(alternative):
    a, b = sample(13, seed=3)
    t = st.paired_permutation(a, b, alternative)
    exact = flip_p(a, b, alternative)
    assert not t.exact
    assert 0.02 < exact < 0.98
    assert t.p == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / 9999))
    assert t == st.paired_permutation(a, b, alternative)
    assert t.p != st.paired_permutation(a, b, alternative, seed=1).p


def test_monte_carlo_never_gives_zero():
    t = st.paired_permutation(np.ones(40), np.zeros(40), "greater", n_resamples=199)
    assert t.p == t.p_min == 1 / 200


def test_zero_differences_change_nothing():
    a, b = np.array([3.0, 5.0, 4.0, 9.0]), np.array([1.0, 2.0, 4.0, 9.0])
    t = st.paired_permutation(a, b, "greater")
    assert (t.p, t.p_min, t.n, t.n_nonzero) == (1 / 4, 1 / 4, 4, 2)
    same = st.paired_permutation(a, a)
    assert (same.p, same.p_min, same.effect) == (1.0, 1.0, 0.0)


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_rounding_noise_breaks_no_ties(scale):
    a, b = np.array([0.9, 0.3, 0.6, 0.7]), np.array([0.8, 0.2, 0.5, 0.8])  # differences .1 .1 .1 -.1
    assert len(set(np.abs(a - b))) > 1
    assert st.paired_permutation(a * scale, b * scale, "greater").p == 5 / 16
    assert st.wilcoxon(a * scale, b * scale, "greater").p == 5 / 16
    thirds = np.array([1 / 3, 1 / 3, 0.0]), np.array([0.0, 0.0, 2 / 3])  # sums to 0 only up to rounding
    assert st.paired_permutation(thirds[0] * scale, thirds[1] * scale, "greater").p == 5 / 8


@pytest.mark.parametrize("test", [st.paired_permutation, st.wilcoxon])
@pytest.mark.parametrize("alternative", SIDES)
@pytest.mark.parametrize("sizes", [[1, 2, 3, 4, 5, 6], [0.1, 0.1, 0.1, 7, 7, 30], [0, 0, 1, 1, 2, 9]])
def test_type_one_rate_over_every_sign_pattern(test, alternative, sizes):
    patterns = np.multiply(list(product([-1, 1], repeat=6)), sizes)
    p = np.array([test(d, np.zeros(6), alternative).p for d in patterns])
    for alpha in (1 / 64, 1 / 32, 0.05, 0.1, 0.25, 0.5):
        assert np.mean(p <= alpha + 1e-12) <= alpha + 1e-12
    outcome = test(sizes, np.zeros(6), "greater")
    assert outcome.p == outcome.p_min == 2.0**-outcome.n_nonzero
    assert p.min() == test(sizes, np.zeros(6), alternative).p_min


@pytest.mark.parametrize("alternative", SIDES)
@pytest.mark.parametrize(("n", "decimals", "exact"), [(9, 9, True), (30, 9, True), (30, 1, False), (60, 9, False)])
def test_wilcoxon_matches_scipy(n, decimals, exact, alternative):
    a, b = sample(n, seed=4, decimals=decimals)
    b[0] = a[0]
    d = np.round(a - b, 9)
    t = st.wilcoxon(a, b, alternative)
    theirs = sp.wilcoxon(d[d != 0], alternative=alternative, method="exact" if exact else "asymptotic")
    assert t.exact is exact
    assert t.n_nonzero == np.sum(d != 0) < t.n
    assert t.p == pytest.approx(theirs.pvalue, rel=1e-9)
    assert 0 < t.p_min <= t.p


@pytest.mark.parametrize("alternative", SIDES)
def test_tied_wilcoxon_matches_scipy_enumeration(alternative):
    d = np.array([1, 1, -1, 2, 2, -3, 4, 4.0])
    theirs = sp.wilcoxon(d, alternative=alternative, method=sp.PermutationMethod(n_resamples=np.inf))
    assert st.wilcoxon(d, np.zeros(8), alternative).p == pytest.approx(theirs.pvalue)


def test_wilcoxon_of_equal_methods():
    t = st.wilcoxon([1, 2, 3], [1, 2, 3])
    assert (t.p, t.p_min, t.effect, t.n_nonzero) == (1.0, 1.0, 0.0, 0)


def test_holm_by_hand():
    assert st.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert st.holm([0.6, 0.5]) == pytest.approx([1.0, 1.0])


def test_holm_matches_statsmodels():
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    for seed in range(20):
        p = np.round(np.random.default_rng(seed).beta(0.4, 2, 9), 2)
        assert st.holm(p) == pytest.approx(multitest.multipletests(p, method="holm")[1])


def test_cohens_dz():
    assert st.cohens_dz([3, 5, 7], [2, 3, 4]) == pytest.approx(2.0)  # differences 1 2 3
    a, b = sample(15)
    assert st.cohens_dz(a, b) == pytest.approx(sp.ttest_rel(a, b).statistic / math.sqrt(15))
    assert st.cohens_dz([0.9, 0.3, 0.6], [0.8, 0.2, 0.5]) == math.inf
    assert st.cohens_dz([0.8, 0.2], [0.9, 0.3]) == -math.inf
    assert st.cohens_dz([1, 2], [1, 2]) == 0.0


def test_rank_biserial_by_hand():
    zeros = np.zeros(4)
    assert st.rank_biserial([1, -2, 3, 4], zeros) == pytest.approx((8 - 2) / 10)
    assert st.rank_biserial([1, -1, 0, 5], zeros) == pytest.approx((4.5 - 1.5) / 6)
    assert st.rank_biserial(zeros, [1, 2, 3, 4]) == -1.0


def test_stouffer_matches_scipy():
    p, n = [0.01, 0.2, 0.6], [4, 9, 100]
    for weights in (None, [1.0, 2.0, 5.0]):
        theirs = sp.combine_pvalues(p, "stouffer", weights=weights)
        assert st.stouffer(p, weights) == pytest.approx(theirs.pvalue)
    assert st.stouffer(p, n=n) == pytest.approx(sp.combine_pvalues(p, "stouffer", weights=[2, 3, 10]).pvalue)
    assert st.stouffer(p, n=n) != pytest.approx(st.stouffer(p))


def test_stouffer_clips_certainty():
    assert st.stouffer([0.0, 1.0]) == pytest.approx(0.5, abs=1e-3)
    assert st.stouffer([1.0, 0.03], clip=[1 / 32, 1 / 64]) == pytest.approx(st.stouffer([31 / 32, 0.03]))


def test_stouffer_of_sign_flip_tests_keeps_its_level():
    sizes = (3, 4, 4)  # without tied sums the null p is uniform on k / 2**n
    grids = [np.arange(1, 2**n + 1) / 2**n for n in sizes]
    p = np.array([st.stouffer(ps, n=sizes, clip=[2.0**-n for n in sizes]) for ps in product(*grids)])
    rates = {alpha: np.mean(p <= alpha) for alpha in (0.01, 0.05, 0.1)}
    assert all(0 < rate <= alpha for alpha, rate in rates.items()), rates


SCORES = np.array([[0.9, 0.8, 0.8, 0.1], [0.7, 0.9, 0.5, 0.2], [0.6, 0.5, 0.4, 0.3]])


def test_average_ranks_by_hand():
    assert st.average_ranks(SCORES) == pytest.approx([4 / 3, 5.5 / 3, 8.5 / 3, 4])
    assert st.average_ranks(SCORES, "lower") == pytest.approx(5 - st.average_ranks(SCORES))
    assert st.average_ranks([[0.1 + 0.2, 0.3], [1e9, 2e9]]) == pytest.approx([1.75, 1.25])
    assert st.average_ranks([[1e-6, 2e-6], [1e9, 2e9]]) == pytest.approx([2, 1])


def test_friedman_by_its_formula():
    s = np.random.default_rng(2).normal([0, 0.3, 0.6, 2], 1, (10, 4))
    ranks = (s[:, :, None] >= s[:, None, :]).sum(2).mean(0)
    f = st.friedman(s)
    assert f.statistic == pytest.approx(12 * 10 / (4 * 5) * np.sum((ranks - 2.5) ** 2))
    assert f.p == pytest.approx(sp.chi2.sf(f.statistic, 3))
    assert f.kendall_w == pytest.approx(12 * np.var(10 * ranks) * 4 / (10**2 * (4**3 - 4)))
    assert st.friedman(np.ones((4, 3))) == st.Friedman(0.0, 1.0, 0.0)
    assert st.friedman([[1, 2, 3]] * 5).kendall_w == pytest.approx(1.0)


def test_critical_difference_pairs_match_scikit_posthocs():
    posthocs = pytest.importorskip("scikit_posthocs")
    s = np.random.default_rng(6).normal([0, 0.2, 1, 1.2], 1, (15, 4))
    theirs = posthocs.posthoc_wilcoxon(list(s.T), p_adjust="holm").to_numpy()
    ours = st.critical_difference(s, "abcd")
    assert ours.p == pytest.approx(theirs)
    assert np.unique(ours.p).size > 3


def two_tiers(n=12):
    """Methods a, b far above c, d; inside a tier the winner alternates."""
    x = np.arange(n)
    inside = (-1.0) ** x * (x + 1) / 100
    return np.stack([10 + inside + x, 10 - inside + x, inside + x, -inside + x], axis=1)


@pytest.mark.parametrize("better", ["higher", "lower"])
def test_cliques_of_two_tiers(better):
    result = st.critical_difference(two_tiers(), ["a", "b", "c", "d"], better)
    tiers = [{"a", "b"}, {"c", "d"}]
    assert [set(c) for c in result.cliques] == (tiers if better == "higher" else tiers[::-1])
    assert result.rejected
    assert result.p[0, 2] == pytest.approx(6 * 2.0**-11)
    assert result.p == pytest.approx(result.p.T)
    assert result.names[int(np.argmin(result.ranks))] == result.cliques[0][0]


def test_one_clique_unless_friedman_rejects():
    result = st.critical_difference([[1, 2, 3], [2, 3, 1], [3, 1, 2]], "xyz")
    assert not result.rejected
    assert result.cliques == (("x", "y", "z"),)
    gap = np.append([-0.1, -0.2, -0.3, -0.4], np.arange(1, 11))  # few, small losses: ranks alone do not tell
    masked = st.critical_difference(np.stack([gap, gap / 2, 0 * gap], axis=1), "xyz")
    assert not masked.rejected
    assert masked.p[0, 2] < 0.05
    assert [set(c) for c in masked.cliques] == [set("xyz")]
    few = st.critical_difference(two_tiers(4), "abcd")  # Friedman rejects, no pair of 4 data sets can
    assert few.rejected
    assert [set(c) for c in few.cliques] == [set("abcd")]


@pytest.mark.parametrize(
    ("differ", "runs"),
    [
        ([(0, 2), (0, 3), (1, 3)], [[0, 1], [1, 2], [2, 3]]),
        ([(0, 3)], [[0, 1, 2], [1, 2, 3]]),
        ([(1, 2)], [[0, 1], [2, 3]]),
        ([(0, 1)], [[1, 2, 3]]),
        ([(0, 1), (1, 2), (2, 3)], []),
        ([], [[0, 1, 2, 3]]),
    ],
)
def test_bars_by_hand(differ, runs):
    alike = np.ones((4, 4), dtype=bool)
    for i, j in differ:
        alike[i, j] = alike[j, i] = False
    assert [list(r) for r in st._bars(np.arange(4), alike)] == runs


def binomial_tail(n, q, c):
    """P(X > c), term by term."""
    return sum(math.comb(n, k) * q**k * (1 - q) ** (n - k) for k in range(c + 1, n + 1))


def test_chance_level():
    assert st.chance_level(20, 2) == st.Chance(0.5, 14 / 20)  # P(X > 13) = .058, P(X > 14) = .021
    assert st.chance_level(4, 2).threshold == 1.0  # even 4 of 4 has p = 1/16
    for n, k, alpha, priors in [(100, 4, 0.05, None), (37, 3, 0.01, None), (50, 2, 0.05, [0.8, 0.2])]:
        level = st.chance_level(n, k, alpha, priors)
        c = round(level.threshold * n)
        assert level.chance == (max(priors) if priors else 1 / k)
        assert binomial_tail(n, level.chance, c) < alpha <= binomial_tail(n, level.chance, c - 1)


def test_units_needed_is_what_the_test_can_reach():
    assert [st.units_needed(p) for p in (0.5, 0.05, 1 / 32, 0.01)] == [2, 5, 5, 7]
    assert st.units_needed(0.05, "two-sided") == 6
    for threshold, side in product((0.05, 0.01, 0.001), SIDES):
        n = st.units_needed(threshold, side)
        sign = -1 if side == "less" else 1
        assert st.paired_permutation(sign * np.ones(n), np.zeros(n), side).p <= threshold
        assert st.paired_permutation(sign * np.ones(n - 1), np.zeros(n - 1), side).p > threshold


def test_power_units():
    half = [0.0, 1.0, 2.0, 0.5 - math.sqrt(2.75)]
    half = (np.array(half) - np.mean(half)) / np.std(half, ddof=1) + 0.5  # dz of exactly one half
    assert st.power_units(half) == 25  # (1.6449 + 0.8416)**2 / 0.25 = 24.7
    assert st.power_units(half, alternative="two-sided") == 32
    assert st.power_units(half, alternative="less") is None
    assert st.power_units(-half, alternative="less") == 25
    assert st.power_units([0.1, 0.1]) == 5
    assert st.power_units([1.0, -1.0]) is None


def test_power_units_is_near_the_t_test_power():
    power = pytest.importorskip("statsmodels.stats.power")
    d = sample(40)[0]
    dz = d.mean() / d.std(ddof=1)
    n = power.TTestPower().solve_power(dz, alpha=0.05, power=0.8, alternative="larger")
    assert st.power_units(d) == pytest.approx(n, abs=3)


def test_comparison_averages_repeats_and_aligns_units():
    a = {"s2": [0.8, 0.9], "s1": 0.7, "s3": [0.6], "s9": 0.1}
    b = {"s1": [0.5, 0.7], "s2": 0.8, "s3": 0.5, "s4": 0.4}
    c = st.paired_comparison(a, b)
    assert (c.units, c.missing_in_a, c.missing_in_b) == (("s1", "s2", "s3"), ("s4",), ("s9",))
    d = np.array([0.1, 0.05, 0.1])
    assert c.gain == pytest.approx(d.mean()) == c.mean_a - c.mean_b
    assert c.dz == pytest.approx(d.mean() / d.std(ddof=1))
    assert (c.test.p, c.test.p_min, c.test.n, c.rank_biserial) == (1 / 8, 1 / 8, 3, 1.0)
    assert c.ci == pytest.approx(st.bootstrap_ci(d))
    assert c.more_units() == 2
    assert c.more_units(0.5) == 0
    assert c == st.paired_comparison(dict(reversed(a.items())), b)


def test_equal_units_do_not_count_towards_those_needed():
    c = st.paired_comparison([1, 2, 3, 4, 5, 6], [0, 0, 0, 0, 0, 6])
    assert (c.test.p, c.more_units(0.05), c.more_units(0.02)) == (1 / 32, 0, 1)


def test_repeats_are_not_units():
    rng = np.random.default_rng(0)
    units = np.repeat([1, 2, 3], 20)
    a = rng.normal(1, 0.1, 60)
    c = st.paired_comparison(a, np.zeros(60), units=units)
    assert c.test.p == 1 / 8
    assert c == st.paired_comparison({u: a[units == u] for u in (1, 2, 3)}, {1: 0, 2: 0, 3: 0})


def test_comparison_directions():
    a, b = sample(9, shift=1)
    up, down = st.paired_comparison(a, b), st.paired_comparison(a, b, better="lower")
    assert up.gain == pytest.approx(-down.gain)
    assert up.test.p == st.paired_permutation(a, b, "greater").p != down.test.p
    assert down.test.p == st.paired_comparison(a, b, alternative="worse").test.p
    both = st.paired_comparison(a, b, alternative="different")
    assert both.test.p == pytest.approx(2 * min(up.test.p, down.test.p))
    assert (down.dz, down.ci[0] < down.gain < down.ci[1]) == (pytest.approx(-up.dz), True)


NAN = float("nan")
BAD = [
    (st.summary, "values", [[]]),
    (st.summary, "values", [[1, NAN]]),
    (st.bootstrap_ci, "values", [[1.0]]),
    (st.bootstrap_ci, "level", [[1, 2], 1.0]),
    (st.bootstrap_ci, "n_boot", [[1, 2], 0.9, 0]),
    (st.paired_permutation, "b has", [[1, 2], [1]]),
    (st.paired_permutation, "a and b", [[1, 2], [1, 2, 3]]),
    (st.paired_permutation, "a has", [[1], [1]]),
    (st.paired_permutation, "b holds", [[1, 2], [1, math.inf]]),
    (st.paired_permutation, "alternative", [[1, 2], [1, 3], "up"]),
    (st.paired_permutation, "n_resamples", [[1, 2], [1, 3], "less", 0]),
    (st.wilcoxon, "a has", [[], []]),
    (st.wilcoxon, "alternative", [[1, 2], [2, 1], "up"]),
    (st.cohens_dz, "a holds", [[1, NAN], [1, 2]]),
    (st.rank_biserial, "a has", [[[1, 2]], [1, 2]]),
    (st.holm, "pvalues", [[0.1, NAN]]),
    (st.holm, "pvalues", [[]]),
    (st.holm, "pvalues", [[0.1, 1.2]]),
    (st.stouffer, "p must", [[-0.1]]),
    (st.stouffer, "weights", [[0.1, 0.2], [1]]),
    (st.stouffer, "weights", [[0.1], [-1]]),
    (st.stouffer, "n must", [[0.1], None, [0]]),
    (st.stouffer, "clip", [[0.1], None, None, 0]),
    (st.average_ranks, "scores", [[1, 2]]),
    (st.average_ranks, "better", [SCORES, "best"]),
    (st.friedman, "scores", [[[1, 2], [3, 4]]]),
    (st.friedman, "scores", [[[1, 2, 3], [3, 4, NAN]]]),
    (st.critical_difference, "names", [SCORES, "abc"]),
    (st.critical_difference, "names", [SCORES, "abca"]),
    (st.critical_difference, "alpha", [SCORES, "abcd", "higher", 0]),
    (st.chance_level, "n_trials", [0, 2]),
    (st.chance_level, "n_classes", [9, 1]),
    (st.chance_level, "alpha", [9, 2, 1.0]),
    (st.chance_level, "priors", [9, 2, 0.05, [0.5, 0.6]]),
    (st.chance_level, "priors", [9, 3, 0.05, [0.5, 0.5]]),
    (st.units_needed, "p_threshold", [0]),
    (st.units_needed, "alternative", [0.1, "up"]),
    (st.power_units, "diffs", [[1]]),
    (st.power_units, "power", [[1, 2], 0.05, 1]),
    (st.unit_means, "units", ["a", [1, 2], [1]]),
    (st.unit_means, "s1", ["a", {"s1": [NAN]}]),
    (st.paired_comparison, "share 1", [{1: 1, 2: 2}, {2: 1, 3: 1}]),
    (st.paired_comparison, "mapping", [{1: 1}, [1]]),
    (st.paired_comparison, "without units", [{1: 1, 2: 2}, {1: 1, 2: 2}, "higher", "better", [1, 2]]),
    (st.paired_comparison, "length", [[1, 2], [1, 2, 3]]),
    (st.paired_comparison, "better", [[1, 2], [1, 2], "up"]),
    (st.paired_comparison, "alternative", [[1, 2], [1, 2], "higher", "up"]),
]


@pytest.mark.parametrize(("function", "word", "arguments"), BAD)
def test_bad_input_is_one_sentence_that_names_it(function, word, arguments):
    with pytest.raises(ValueError, match=word) as caught:
        function(*arguments)
    text = str(caught.value)
    assert text.endswith(".")
    assert "\n" not in text
