"""Augmented covariances: the paper's mathematics (arXiv 2302.04508), equality with pyriemann, scikit-learn and MOABB, float64."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from pyriemann.classification import MDM
from pyriemann.estimation import Covariances
from pyriemann.geometry.mean import mean_riemann
from pyriemann.tangentspace import TangentSpace
from scipy.linalg import solve_discrete_lyapunov
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC

from bench.schema import Arrays, BenchError, Bundle
from datasets.ar_sources.adapter import load, resonator, simulate
from datasets.ar_sources.config import Config as Resonators
from models.acm import delays
from models.acm.config import Config
from models.acm.grid import MinimumDistance, TangentSVM, pairs, search, stratified, unnested, vectors
from models.acm.karcher import karcher_mean, start_point
from models.acm.lagged import LaggedCovariances, augment, deficient
from models.acm.plugin import ACM, choose

GRID = {"orders": [1, 2, 3], "lags": [1, 4]}


class Context:
    """The little of the frame's context that a fit uses."""

    def __init__(self):
        self.checkpoint = SimpleNamespace(load=lambda: None, save=lambda state: None)
        self.figures = []

    def rng(self, purpose):
        return np.random.default_rng(7)

    def log(self, step, **values): ...

    def save_figure(self, name, figure):
        self.figures.append(name)

    def late(self):
        return False

    def check_deadline(self): ...


def coloured(n: int = 40, d: int = 3, t: int = 200, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two classes of mixed autoregressive noise, weakly different, with an offset."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    pole = np.where(y == 0, 0.12, 0.16)[:, None] + rng.normal(0, 0.01, (n, d))
    x = resonator(rng.standard_normal((n, d, t)), pole, 0.8)
    return (np.eye(d) + 0.3 * rng.standard_normal((d, d))) @ x + 5.0, y


def bundle(x, y, test_x=None, test_y=None) -> Bundle:
    test = Arrays(x if test_x is None else test_x, y if test_y is None else test_y)
    return Bundle("eeg_trials", Arrays(x, y), None, test, int(y.max()) + 1, x.shape[1:], "S", "simulated", "0" * 64)


def run(x, y, test_x, test_y=None, **choices):
    method = ACM(Config(name="acm", **choices))
    test_y = np.zeros(len(test_x), dtype=int) if test_y is None else test_y
    ctx = Context()
    data = bundle(x, y, test_x, test_y)
    method.fit(data, ctx)
    return method, method.evaluate(data, ctx), ctx


# --- the embedding and its covariance
# ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("order", "lag"), [(1, 3), (2, 1), (4, 5), (10, 10)])
def test_embedding_is_moabbs(order, lag):
    """(N, d p, T - p tau), block k = X shifted by k tau, exactly; equal to MOABB's transformer."""
    from moabb.pipelines.features import AugmentedDataset

    x = np.random.default_rng(0).standard_normal((3, 4, 250))
    z = augment(x, order, lag)
    length = 250 if order == 1 else 250 - order * lag
    assert z.shape == (3, 4 * order, length)
    for k in range(order):
        assert np.array_equal(z[:, 4 * k : 4 * k + 4], x[:, :, k * lag : k * lag + length])
    assert np.array_equal(z, AugmentedDataset(order, lag).transform(x))


@pytest.mark.parametrize("drift", [0.0, 1.0])
def test_shared_products_equal_direct_covariances(drift):
    """Every order and lag from shared sums = covariance of the embedded trial to 1e-12 relative, also with drift and offset."""
    x = np.random.default_rng(1).standard_normal((5, 3, 240))
    x = x + drift * (x.cumsum(-1) + 1e3)
    shared = LaggedCovariances(x, 10)
    for lag in (1, 2, 7, 11, 12, 13, 19):
        for order in range(1, 11):
            if 240 - order * lag < 2 or deficient(3, 240, order, lag):
                continue
            direct = Covariances("cov").transform(augment(x, order, lag))
            assert np.abs(shared(order, lag) - direct).max() <= 1e-12 * np.abs(direct).max(), (order, lag)


def test_principal_block_is_covariance_of_its_window():
    x, _ = coloured()
    c = LaggedCovariances(x, 4)(4, 3)
    for i in range(4):
        window = Covariances("cov").transform(x[:, :, 3 * i : 200 - (4 - i) * 3])
        np.testing.assert_allclose(c[:, 3 * i : 3 * i + 3, 3 * i : 3 * i + 3], window, rtol=1e-12)


def vector_ar(a: list[np.ndarray], t: int, seed: int) -> np.ndarray:
    """One trial (1, d, t) of x_t = sum_k a_k x_{t-k} + e_t, e standard normal, after burn-in."""
    d, p = len(a[0]), len(a)
    e = np.random.default_rng(seed).standard_normal((t + 500, d))
    for s in range(p, len(e)):
        for k in range(p):
            e[s] += a[k] @ e[s - 1 - k]
    return e[500:].T[None]


def test_var1_converges_to_block_toeplitz():
    """Gamma_0 solves the Lyapunov equation, Gamma_h = A^h Gamma_0; relative Frobenius error below 2 % at T = 2e5."""
    a = np.array([[0.6, 0.2, 0.0], [-0.3, 0.5, 0.1], [0.0, 0.2, 0.4]])
    x = vector_ar([a], 200_000, 0)
    gamma = solve_discrete_lyapunov(a, np.eye(3))
    order, lag = 3, 2
    step = np.linalg.matrix_power(a, lag)
    want = np.zeros((9, 9))
    for i in range(order):
        for j in range(order):  # E x(s + i tau) x(s + j tau)^T
            block = np.linalg.matrix_power(step, abs(i - j)) @ gamma
            want[3 * i : 3 * i + 3, 3 * j : 3 * j + 3] = block if i >= j else block.T
    got = LaggedCovariances(x, order)(order, lag)[0]
    assert np.linalg.norm(got - want) < 0.02 * np.linalg.norm(want)
    assert np.linalg.norm(got[:3, 3:6] - want[3:6, :3]) > 0.02 * np.linalg.norm(want), "Gamma_{-h} is not Gamma_h"


def test_yule_walker_recovers_var_coefficients():
    """[A_1 .. A_p] = [Gamma_1 .. Gamma_p] Gamma_aug^-1 from the blocks of the ACM of order p + 1; error below 0.05 at T = 1e5."""
    a = [np.array([[0.5, 0.2], [-0.1, 0.4]]), np.array([[-0.3, 0.1], [0.0, -0.2]])]
    c = LaggedCovariances(vector_ar(a, 100_000, 1), 3)(3, 1)[0]
    # blocks (0, 1, 2) are x(t), x(t+1), x(t+2); x(t+2) is regressed on x(t+1), x(t)
    past = [2, 3, 0, 1]
    coefficients = np.linalg.solve(c[np.ix_(past, past)], c[np.ix_(past, [4, 5])]).T
    np.testing.assert_allclose(coefficients, np.hstack(a), atol=0.05)


# --- the mean
# ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("logs", [True, False])
def test_mean_is_pyriemanns(logs):
    x, _ = coloured()
    for order in (1, 4):
        c = LaggedCovariances(x, order)(order, 2)
        theirs = mean_riemann(c, tol=1e-11)
        for start in (None, start_point(c, np.linalg.inv(c))):
            mean = karcher_mean(c, start, logs=logs)
            assert np.linalg.norm(mean.point - theirs) < 1e-8 * np.linalg.norm(theirs)
            assert np.linalg.norm(mean.log(c).mean(0)) <= 1e-8
            assert (mean.logs is None) != logs


def test_mean_of_two_is_geometric_and_of_scaled_is_scaled():
    """start_point is exact for two matrices; the mean scales with units (EEG in volts has covariances of 1e-12)."""
    c = LaggedCovariances(coloured()[0], 2)(2, 1)[:2]
    assert np.linalg.norm(karcher_mean(c, start_point(c, np.linalg.inv(c))).logs.mean(0)) < 1e-8
    assert karcher_mean(c, start_point(c, np.linalg.inv(c))).iterations == 1
    np.testing.assert_allclose(karcher_mean(1e-12 * c).point, 1e-12 * karcher_mean(c).point, rtol=1e-7)


def test_tangent_vectors_have_zero_mean_and_pyriemanns_values():
    """Oracle: the logarithms at the Frechet mean sum to zero (1e-6); vectors equal TangentSpace."""
    c = LaggedCovariances(coloured()[0], 3)(3, 2)
    v = vectors(karcher_mean(c).logs)
    assert np.linalg.norm(v.sum(0)) < 1e-6
    np.testing.assert_allclose(v, TangentSpace(metric="riemann").fit_transform(c), atol=1e-7)


# --- the classifiers against scikit-learn's grid search
# ------------------------------------------------------------------------------------------------------


class Augment(BaseEstimator, TransformerMixin):
    def __init__(self, order=1, lag=1):
        self.order, self.lag = order, lag

    def fit(self, x, y=None):
        return self

    def transform(self, x):
        return augment(x, self.order, self.lag)


def peer(steps, grid, y):
    inner = StratifiedKFold(3, shuffle=True, random_state=42)
    scoring = "roc_auc" if len(set(y)) == 2 else "accuracy"
    space = {"augment__order": GRID["orders"], "augment__lag": GRID["lags"], **grid}
    pipeline = Pipeline([("augment", Augment()), ("cov", Covariances("cov")), *steps])
    return GridSearchCV(pipeline, space, cv=inner, scoring=scoring)


def classes(n_classes: int):
    x, y = coloured(54, seed=3)
    if n_classes == 3:
        y = np.arange(54) % 3
        x[y == 2] *= np.array([1.0, 1.3, 0.9])[:, None]
    return x, y


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("kind", ["ts_svm", "mdm"])
def test_grid_scores_equal_gridsearchcv(kind, n_classes):
    """Each candidate's mean inner score, the choice among them, and the test predictions are those of the full peer."""
    x, y = classes(n_classes)
    train, test = np.arange(36), np.arange(36, 54)
    if kind == "ts_svm":
        steps = [("ts", TangentSpace(metric="riemann")), ("svc", SVC())]
        grid = {"svc__C": [0.5, 1.0, 1.5], "svc__kernel": ["linear", "rbf"]}
    else:
        steps, grid = [("mdm", MDM(metric="riemann"))], {}
    theirs = peer(steps, grid, y).fit(x[train], y[train])
    method, result, ctx = run(x[train], y[train], x[test], y[test], classifier=kind, **GRID)
    ours = method.found
    names = {"augment__order", "augment__lag"}
    for params, score in zip(theirs.cv_results_["params"], theirs.cv_results_["mean_test_score"], strict=True):
        order = params["augment__order"]
        lag = GRID["lags"][0] if order == 1 else params["augment__lag"]
        own = {k.partition("__")[2].lower(): v for k, v in params.items() if k not in names}
        mine = ours.scores[order, lag][ours.candidates.index(own)]
        assert mine == pytest.approx(score, abs=1e-12), params
    best = theirs.best_params_
    assert (method.order, method.lag) == (best["augment__order"], best["augment__lag"])
    score = result.predictions["y_score"]
    assert np.array_equal(score.argmax(1), theirs.predict(x[test]))
    if kind == "ts_svm":
        decision = theirs.decision_function(x[test])
        np.testing.assert_allclose(score[:, 1] - score[:, 0] if n_classes == 2 else score, decision, atol=1e-6)
    assert result.n_trials == 5 * len(ours.candidates), "order 1 has one lag"
    assert ctx.figures == ["grid"]


def test_order_one_is_the_plain_pipeline_bit_for_bit():
    x, y = coloured()
    a = [run(x[:30], y[:30], x[30:], selection="fixed", order=1, lag=lag)[1].predictions["y_score"] for lag in (1, 7)]
    assert np.array_equal(*a)
    assert np.array_equal(LaggedCovariances(x, 10)(1, 7), Covariances("cov").transform(x))


def test_grid_tries_order_one_once():
    assert len(pairs(range(1, 11), range(1, 11))) == 91
    assert pairs([1, 2], [3, 5]) == [(1, 3), (2, 3), (2, 5)]


def test_mixing_of_channels_changes_nothing():
    """AIM: x -> W x maps the ACM by I_p kron W; MDM predictions equal, linear SVM decisions equal to 1e-6."""
    x, y = coloured(seed=5)
    w = np.array([[2.0, 0.3, -0.5], [0.1, 0.5, 0.4], [-1.0, 0.2, 3.0]])
    for kind in ("mdm", "ts_svm"):
        fixed = {"classifier": kind, "selection": "fixed", "order": 3, "lag": 2, "c": [1.0], "kernels": ["linear"]}
        one, two = (run(z[:30], y[:30], z[30:], **fixed)[1].predictions["y_score"] for z in (x, w @ x))
        assert np.array_equal(one.argmax(1), two.argmax(1))
        np.testing.assert_allclose(one, two, atol=1e-6)


def test_sign_of_lag_one_correlation_is_seen_by_the_acm_only():
    """AR(1) with +a and -a at equal variance: plain MDM at chance, ACM (order 2, lag 1) separates perfectly."""
    rng = np.random.default_rng(0)
    y = np.arange(200) % 2
    x = rng.standard_normal((200, 2, 300))
    for t in range(1, 300):
        x[:, :, t] = np.where(y == 0, 0.6, -0.6)[:, None] * x[:, :, t - 1] + 0.8 * x[:, :, t]
    auc = []
    for order in (1, 2):
        s = run(x[:100], y[:100], x[100:], classifier="mdm", selection="fixed", order=order, lag=1)[1].predictions[
            "y_score"
        ]
        auc.append(roc_auc_score(y[100:], s[:, 1] - s[:, 0]))
    assert abs(auc[0] - 0.5) < 0.2 and auc[1] == 1.0


# --- selection without leaks
# ------------------------------------------------------------------------------------------------------


def test_nested_choice_does_not_see_test_labels_and_unnested_does():
    x, y = coloured(60, seed=8)
    x, y = x + np.random.default_rng(0).normal(0, 3, x.shape), y
    permuted = np.random.default_rng(1).permutation(y[40:])
    for selection, same in (("nested", True), ("unnested", False)):
        found = [
            run(x[:40], y[:40], x[40:], labels, selection=selection, orders=[1, 2, 4], lags=[1, 3])
            for labels in (y[40:], permuted)
        ]
        (a, ra, _), (b, rb, _) = found
        assert (a.found.scores == b.found.scores) is same
        assert np.array_equal(ra.predictions["y_score"], rb.predictions["y_score"]) or not same
        assert ra.transductive is (selection == "unnested")


def test_unnested_splits_hold_the_test_set_as_one_part():
    y = np.arange(50) % 2
    parts = unnested(40, y, 0)
    assert len(parts) == 5 and np.array_equal(parts[0][1], np.arange(40, 50))
    assert np.array_equal(np.sort(np.concatenate([b for _, b in parts])), np.arange(50))
    assert all(np.array_equal(np.sort(np.concatenate(p)), np.arange(50)) for p in parts)


def test_search_goes_on_from_scored_pairs():
    x, y = coloured()
    grid, splits = pairs([1, 2], [1, 2]), stratified(y, 3, 42)
    full = search(LaggedCovariances(x, 2), y, splits, grid, MinimumDistance())
    some = dict(list(full.scores.items())[:2])
    new = []
    rest = search(LaggedCovariances(x, 2), y, splits, grid, MinimumDistance(), done=some, tick=lambda f: new.append(1))
    assert rest.scores == full.scores and rest.best() == full.best() and len(new) == 1


def test_ties_fall_to_the_first_candidate_and_other_c_share_a_fit():
    found = search(
        LaggedCovariances(coloured()[0], 1),
        coloured()[1],
        stratified(coloured()[1], 3, 42),
        [(1, 1)],
        TangentSVM([1.0, 1.5], ["linear"]),
    )
    found.scores = {(1, 1): [0.5, 0.7], (2, 1): [0.7, 0.7]}
    assert found.best() == (1, 1, {"c": 1.5, "kernel": "linear"}, 0.7)


# --- bad input
# ------------------------------------------------------------------------------------------------------


def test_too_few_samples_raise_or_shrink_never_nan():
    x = np.random.default_rng(0).standard_normal((20, 6, 60))
    y = np.arange(20) % 2
    assert deficient(6, 60, 8, 2)
    with pytest.raises(ValueError, match="lower the order"):
        LaggedCovariances(x, 8)(8, 2)
    for fallback in ("lwf", "oas"):
        c = LaggedCovariances(x, 8, fallback=fallback)(8, 2)
        assert np.linalg.eigvalsh(c).min() > 0
        _, result, _ = run(x[:14], y[:14], x[14:], selection="fixed", order=8, lag=2, deficient=fallback)
        assert np.isfinite(result.predictions["y_score"]).all()
    with pytest.raises(BenchError, match=r"acm on S: order=8, lag=2"):
        run(x[:14], y[:14], x[14:], selection="fixed", order=8, lag=2)
    method, _, _ = run(x[:14], y[:14], x[14:], orders=[1, 8], lags=[2], deficient="leave_out")
    assert list(method.found.scores) == [(1, 2)]
    with pytest.raises(BenchError, match="left out"):
        run(x[:14], y[:14], x[14:], orders=[8], lags=[2], deficient="leave_out")


def test_bad_trials_are_named():
    x, y = coloured()
    for change, word in (((3, 1, 5, np.nan), "NaN"), ((4, 2, slice(None), 1.0), "constant in channel 2 of trial 4")):
        bad = x.copy()
        bad[change[:3]] = change[3]
        with pytest.raises(BenchError, match=word):
            run(bad, y, x, **GRID)
    twice = np.concatenate([x, x[:, :1] - x[:, 1:2]], axis=1)
    with pytest.raises(BenchError, match=r"singular|not positive definite"):
        run(twice, y, twice, **GRID)
    with pytest.raises(BenchError, match="too few for 3 inner folds"):
        run(x[:5], np.array([0, 0, 0, 0, 1]), x, **GRID)
    with pytest.raises(ValueError, match="lower order or lag"):
        augment(x, 10, 20)
    for wrong in ({"orders": [0, 1]}, {"lags": []}, {"c": [-1.0]}, {"kernels": ["poly"]}):
        with pytest.raises(BenchError):
            Config(name="acm", **wrong).check()


# --- order and lag from the signals
# ------------------------------------------------------------------------------------------------------


def henon(n: int) -> np.ndarray:
    x = np.empty(n + 100)
    x[:2] = 0.1
    for i in range(2, len(x)):
        x[i] = 1 - 1.4 * x[i - 1] ** 2 + 0.3 * x[i - 2]
    return x[100:]


def lorenz(n: int, dt: float) -> np.ndarray:
    from scipy.integrate import solve_ivp

    def flow(_, s):
        return [10 * (s[1] - s[0]), s[0] * (28 - s[2]) - s[1], s[0] * s[1] - 8 / 3 * s[2]]

    t = np.arange(n) * dt + 20
    return solve_ivp(flow, (0, t[-1] + dt), [1.0, 1.0, 20.0], t_eval=t, rtol=1e-8, atol=1e-8).y[0]


def test_mutual_information_of_known_signals():
    """A sine: first minimum at a quarter period. White noise: near the bias of the estimate. Lag 0: the entropy of equal bins."""
    rng = np.random.default_rng(0)
    phase = rng.uniform(0, 2 * np.pi, (20, 1))
    sine = np.sin(2 * np.pi * np.arange(500) / 40 + phase) + 0.1 * rng.standard_normal((20, 500))
    curve = delays.mutual_information(sine, 20)
    assert abs(delays.first_minimum(curve) - 10) <= 1
    noise = delays.mutual_information(rng.standard_normal((20, 500)), 5)
    assert noise[0] == pytest.approx(np.log(10), abs=1e-3)
    assert noise[1:].max() < 2 * 81 / (2 * 500)  # Miller-Madow: (bins - 1)^2 / (2 n)
    np.testing.assert_allclose(delays.mutual_information(np.exp(sine), 20), curve)


def test_cao_finds_the_dimension_of_henon_and_lorenz():
    """E1 saturates at 2 for the Henon map and at 3 for the Lorenz system; white noise does not saturate early."""
    assert delays.saturated(delays.cao_e1(henon(1500)[None], 1, 6), 0.1) == 2
    assert delays.saturated(delays.cao_e1(lorenz(2000, 0.02)[None], 8, 6), 0.1) == 3
    noise = np.random.default_rng(0).standard_normal((2, 800))
    assert delays.saturated(delays.cao_e1(noise, 1, 8), 0.1) > 4


def test_mdop_on_known_systems():
    """A sine: beta is largest a quarter period away and one delay unfolds it; Lorenz needs two delays or more; noise is not unfolded."""
    rng = np.random.default_rng(0)
    t = np.arange(600)
    sine = np.sin(2 * np.pi * t / (40 + np.sqrt(2)) + rng.uniform(0, 6, (4, 1)))
    taken, false = delays.mdop(sine, 20, 5)
    assert abs(taken[0] - 10.35) <= 2
    assert len(taken) <= 3 and false <= 0.05
    taken, false = delays.mdop(lorenz(1500, 0.02)[None], 20, 8)
    assert 2 <= len(taken) <= 4 and false <= 0.05
    _, left = delays.mdop(rng.standard_normal((2, 400)), 10, 2)
    assert left > 0.05


def test_rules_stay_inside_their_bounds_and_need_no_labels():
    x, y = coloured(20)
    for rule in ("mdop", "ami_fnn"):
        order, lag = choose(x.reshape(-1, 200), rule, 4, 6, 0.05, 0.1)
        assert 1 <= order <= 4 and 1 <= lag <= 6
        picks = [
            run(x[:14], labels, x[14:], selection=rule, orders=[4], lags=[6])[0] for labels in (y[:14], 1 - y[:14])
        ]
        assert len({(p.order, p.lag) for p in picks}) == 1
    with pytest.raises(ValueError, match="lower"):
        delays.cao_e1(x[:, 0, :50], 10, 10)
    with pytest.raises(ValueError, match="lower the largest lag"):
        delays.mdop(x[:, 0, :50], 30, 3)


# --- the data
# ------------------------------------------------------------------------------------------------------


def test_resonator_has_unit_variance_and_its_spectrum():
    e = np.random.default_rng(0).standard_normal((4, 200_300))
    f = np.array([10.0, 12.0, 21.0, 24.0]) / 250
    s = resonator(e, f, 0.93)[:, 300:]
    np.testing.assert_allclose(s.var(-1), 1.0, rtol=0.03)
    r = 0.93  # Yule-Walker of AR(2): rho_1 = a / (1 + r^2)
    rho = (s[:, 1:] * s[:, :-1]).mean(-1) / s.var(-1)
    np.testing.assert_allclose(rho, 2 * r * np.cos(2 * np.pi * f) / (1 + r * r), atol=0.01)


def test_classes_have_one_covariance_and_permutation_keeps_it():
    config = Resonators(name="ar_sources", trials=150)
    x, y, mixing = simulate(config, 1)
    assert np.linalg.cond(mixing) == pytest.approx(10, rel=1e-10)
    c = Covariances("cov").transform(x)
    want = mixing @ mixing.T + 0.25 * np.eye(4)
    for k in (0, 1):
        assert np.linalg.norm(c[y == k].mean(0) - want) < 0.05 * np.linalg.norm(want)
    permuted, _, _ = simulate(Resonators(name="ar_sources", trials=150, permute=True), 1)
    np.testing.assert_allclose(Covariances("cov").transform(permuted), c, rtol=1e-8, atol=1e-10)
    lagged = LaggedCovariances(permuted, 2)(2, 1)[:, :4, 4:].mean(0)
    assert np.linalg.norm(lagged) < 0.05 * np.linalg.norm(want)
    assert not np.array_equal(simulate(config, 2)[2], mixing)


def test_folds_partition_a_subject(tmp_path):
    config = Resonators(name="ar_sources", trials=10, subjects=2)
    parts = [
        load(config, fold=f, source="simulated", root=tmp_path, cache=tmp_path) for f in config.folds() if "S02" in f
    ]
    assert [b.group for b in parts] == ["S02"] * 5
    assert len({t.tobytes() for b in parts for t in b.test.x}) == 20
    assert all((np.bincount(b.test.y) == 2).all() and b.val is None for b in parts)
    for wrong in ({"telling": [20.0]}, {"common": [200.0]}, {"trials": 3}):
        with pytest.raises(BenchError):
            Resonators(name="ar_sources", **wrong).check()


def test_acm_separates_what_plain_covariances_cannot():
    """The card's experiment on one fold: fixed (4, 4) at ROC-AUC 1 within 0.02; the plain covariance below 0.75; permuted too."""
    auc = {}
    for permute, order in ((False, 4), (False, 1), (True, 4)):
        x, y, _ = simulate(Resonators(name="ar_sources", permute=permute), 1)
        train, test = next(StratifiedKFold(5, shuffle=True, random_state=42).split(x, y))
        s = run(x[train], y[train], x[test], selection="fixed", order=order, lag=4)[1].predictions["y_score"]
        auc[permute, order] = roc_auc_score(y[test], s[:, 1] - s[:, 0])
    assert auc[False, 4] >= 0.98 and auc[False, 1] < 0.75 and auc[True, 4] < 0.75
