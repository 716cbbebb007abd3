"""Objectives: derivatives against automatic differentiation of their definitions, known minima, data and files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from bench.schema import BenchError, MissingData
from datasets.objectives import libsvm
from datasets.objectives.classification import adapter as classification
from datasets.objectives.classification.config import Config as Classification
from datasets.objectives.separable.adapter import construct
from datasets.objectives.separable.adapter import load as load_separable
from datasets.objectives.separable.config import Config as Separable
from datasets.objectives.separable_sets import adapter as sets
from datasets.objectives.separable_sets.config import Config as Sets
from datasets.objectives.simulated.adapter import load as load_simulated
from datasets.objectives.simulated.config import FUNCTIONS
from datasets.objectives.simulated.config import Config as Simulated
from models.geometry.objectives import (
    ChebyshevResidual,
    Curvature,
    LinearResidual,
    Logistic,
    LogSumExp,
    Metric,
    PowerResidual,
    Rosenbrock,
    RosenbrockResidual,
    Softmax,
)
from models.geometry.objectives.curvature import NotPositiveDefinite
from models.geometry.objectives.trace import band, check_start, draw_bands

RNG = np.random.default_rng(0)
A, B = RNG.uniform(-1, 1, (9, 5)), RNG.uniform(-1, 1, 9)
SIGNS, INDEX = np.where(RNG.random(9) < 0.5, -1, 1), np.arange(9) % 3
HERE = {"fold": "split0", "root": Path(), "cache": Path()}


def t(a):
    return torch.as_tensor(a, dtype=torch.float64)


def power(p):
    return lambda u: torch.linalg.vector_norm(u) ** p / p


CASES = {  # the objective and its definition in torch
    "log_sum_exp": (LogSumExp(A, B, 0.3, centred=False), lambda x: 0.3 * torch.logsumexp((t(A) @ x - t(B)) / 0.3, 0)),
    "linear": (LinearResidual(A, B, 3.0), lambda x: power(3)(t(A) @ x - t(B))),
    "linear_p2": (LinearResidual(A, B, 2.0), lambda x: power(2)(t(A) @ x - t(B))),
    "rosenbrock_residual": (
        RosenbrockResidual(5.0),
        lambda x: power(5)(torch.stack([1 - x[0], 10 * (x[1] - x[0] ** 2)])),
    ),
    "chebyshev": (
        ChebyshevResidual(6, 4.0),
        lambda x: power(4)(torch.cat([(1 - x[:1]) / 2, x[1:] - 2 * x[:-1] ** 2 + 1])),
    ),
    "rosenbrock": (Rosenbrock(4), lambda x: (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()),
    "logistic": (
        Logistic(A, SIGNS, 0.1),
        lambda x: torch.nn.functional.softplus(-t(SIGNS) * (t(A) @ x)).mean() + 0.05 * (x @ x),
    ),
    "softmax": (
        Softmax(A, INDEX, 3, 0.1),
        lambda x: torch.nn.functional.cross_entropy(t(A) @ x.reshape(3, 5).T, torch.as_tensor(INDEX)) + 0.05 * (x @ x),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_derivatives_equal_those_of_the_definition(name):
    """Value, gradient, Hessian and Hessian-vector product, at single points and at a batch of them."""
    f, definition = CASES[name]
    points = np.random.default_rng(1).normal(size=(3, f.dim))
    v = np.random.default_rng(2).normal(size=f.dim)
    for x in points:
        assert_allclose(f.value(x), float(definition(t(x))), rtol=1e-12)
        g = torch.func.grad(definition)(t(x)).numpy()
        h = torch.func.hessian(definition)(t(x)).numpy()
        size = np.abs(h).max()
        assert_allclose(f.gradient(x), g, rtol=1e-10, atol=1e-11 * np.abs(g).max())
        assert_allclose(f.hessian(x), h, rtol=1e-9, atol=1e-11 * size)
        assert_allclose(f.second_order(x, "exact").matrix(), h, rtol=1e-9, atol=1e-11 * size)
        assert_allclose(f.hvp(x, v), h @ v, rtol=1e-9, atol=1e-10 * size)
    batch = points.reshape(1, 3, f.dim)
    for call in (f.value, f.gradient, f.hessian):
        assert_allclose(call(batch)[0], np.stack([call(x) for x in points]), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", [n for n, (f, _) in CASES.items() if f.minimiser is not None])
def test_known_minimum(name):
    """At x* the gradient vanishes and f = f*; f is nowhere smaller."""
    f, _ = CASES[name]
    assert_allclose(f.gradient(f.minimiser), 0, atol=1e-9)
    assert abs(float(f.value(f.minimiser)) - f.minimum) < 1e-12
    assert (f.value(f.minimiser + RNG.normal(size=(200, f.dim))) >= f.minimum).all()


def test_centred_log_sum_exp_has_its_minimum_at_zero():
    f = LogSumExp(A, B, 0.2)
    assert_allclose(f.gradient(np.zeros(5)), 0, atol=1e-15)
    assert f.minimum == float(f.value(np.zeros(5)))
    shift = CASES["log_sum_exp"][0].a - LogSumExp(A, B, 0.3).a  # centring subtracts grad f(0) from every row
    assert_allclose(shift, np.tile(LogSumExp(A, B, 0.3, centred=False).gradient(np.zeros(5)), (9, 1)), atol=1e-15)


def test_gauss_newton_of_log_sum_exp_lacks_the_gradient_term():
    """Weighted Gauss-Newton minus exact Hessian = g g^T / mu (card, oracle 6)."""
    f = CASES["log_sum_exp"][0]
    for x in RNG.normal(size=(5, 5)):
        g = f.gradient(x)
        gap = f.second_order(x, "gauss_newton").matrix() - f.hessian(x)
        assert_allclose(gap, np.outer(g, g) / f.mu, atol=1e-12)


@pytest.mark.parametrize("name", [n for n, (f, _) in CASES.items() if isinstance(f, PowerResidual)])
def test_fisher_term_of_a_power_residual(name):
    """(p - 2) g g^T / ||u||^p (card, oracle 6); Gauss-Newton is J^T h''(u) J with h = ||.||^p / p."""
    f, _ = CASES[name]
    x = RNG.normal(size=f.dim)
    u, g, p = f.residual(x), f.gradient(x), f.p
    s = np.linalg.norm(u)
    fisher = f.second_order(x, "fisher").matrix()
    assert_allclose(fisher, (p - 2) * np.outer(g, g) / s**p, rtol=1e-12, atol=1e-12 * np.abs(fisher).max())
    jac = np.stack([f.pullback(x, e) for e in np.eye(len(u))])
    h = s ** (p - 2) * np.eye(len(u)) + (p - 2) * s ** (p - 4) * np.outer(u, u)
    assert_allclose(f.second_order(x, "gauss_newton").matrix(), jac.T @ h @ jac, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("name", ["linear", "chebyshev", "rosenbrock_residual"])
def test_power_residual_at_its_zero(name):
    """At u = 0 nothing is divided by 0: gradient and, for p > 2, every second-order model are 0."""
    f = LinearResidual(A[:4], A[:4] @ np.ones(5), 3.0) if name == "linear" else CASES[name][0]
    if name == "linear":
        f.b = f.residual(np.ones(5)) + f.b  # A 1 = b exactly
    x = np.ones(f.dim)
    assert not f.residual(x).any()
    assert not f.gradient(x).any() and not any(f.second_order(x, k).matrix().any() for k in f.kinds)


def test_empirical_fisher_of_finite_sums():
    """(1/n) sum grad f_i grad f_i^T over the single samples, without the ridge, plus ridge I."""
    x = RNG.normal(size=5)
    single = np.stack([Logistic(A[i : i + 1], SIGNS[i : i + 1]).gradient(x) for i in range(9)])
    fisher = CASES["logistic"][0].second_order(x, "fisher").matrix()
    assert_allclose(fisher, single.T @ single / 9 + 0.1 * np.eye(5), atol=1e-14)
    x = RNG.normal(size=15)
    single = np.stack([Softmax(A[i : i + 1], INDEX[i : i + 1], 3).gradient(x) for i in range(9)])
    fisher = CASES["softmax"][0].second_order(x, "fisher").matrix()
    assert_allclose(fisher, single.T @ single / 9 + 0.1 * np.eye(15), atol=1e-14)


def test_logistic_is_softmax_with_two_classes():
    x = RNG.normal(size=5)
    two = Softmax(A, (SIGNS + 1) // 2, 2)
    assert_allclose(two.value(np.r_[-x / 2, x / 2]), Logistic(A, SIGNS).value(x), rtol=1e-13)


@pytest.mark.parametrize("scale", [1e3, 1e6])
def test_far_from_the_minimum_nothing_overflows(scale):
    for name in ("log_sum_exp", "logistic", "softmax"):
        f, _ = CASES[name]
        x = scale * np.ones(f.dim)
        assert np.isfinite(f.value(x)) and np.isfinite(f.gradient(x)).all() and np.isfinite(f.hessian(x)).all()


@pytest.mark.parametrize("kind", ["dense", "bands", "rank_one", "bands_and_rank_one"])
@pytest.mark.parametrize("with_metric", [False, True])
def test_structured_solve_equals_the_dense_one(kind, with_metric):
    """Banded Cholesky and Sherman-Morrison against one Cholesky of the sum (card, oracle 7, relative 1e-8)."""
    d, draw = 7, np.random.default_rng(3)
    m = draw.normal(size=(d, d))
    b = m @ m.T + np.eye(d) if with_metric else None
    parts = {}
    if "bands" in kind:
        parts["bands"] = np.stack([np.r_[0, draw.normal(size=d - 1)], 4 + draw.random(d)])
    if "rank_one" in kind:
        parts |= {"vector": draw.normal(size=d), "coefficient": 2.5}
    if kind == "dense":
        parts["dense"] = m.T @ m
    h, metric, g = Curvature(d, **parts), Metric(b, d), draw.normal(size=d)
    expected = np.linalg.solve(h.matrix() + 0.3 * metric.dense(), g)
    for structured in (True, False):
        assert_allclose(h.solve(0.3, metric, g, structured), expected, rtol=1e-8)
    assert_allclose(h.dot(g), h.matrix() @ g, rtol=1e-12)
    assert_allclose(metric.dual(g) ** 2, g @ np.linalg.solve(metric.dense(), g), rtol=1e-12)


def test_indefinite_matrices_are_noticed():
    for h in (
        Curvature(2, dense=np.diag([1.0, -2.0])),
        Curvature(2, bands=np.array([[0.0, 0.0], [1.0, -2.0]])),
        Curvature(2, vector=np.array([0.0, 1.0]), coefficient=-2.0),
    ):
        with pytest.raises(NotPositiveDefinite):
            h.solve(1.0, Metric(None, 2), np.ones(2))
        assert_allclose(h.solve(3.0, Metric(None, 2), np.ones(2)), np.linalg.solve(h.matrix() + 3 * np.eye(2), [1, 1]))


# --- bad input
# ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: Logistic(A, INDEX), "-1 and \\+1"),
        (lambda: Softmax(A, SIGNS), "class indices"),
        (lambda: Softmax(A, INDEX, 2), "classes=2"),
        (lambda: Logistic(A, SIGNS[:4]), "a has 9, y has 4"),
        (lambda: Logistic(np.where(A > 0.9, np.nan, A), SIGNS), "NaN"),
        (lambda: Logistic(A, SIGNS, -1.0), "ridge"),
        (lambda: LogSumExp(A, B, 0.0), "mu=0"),
        (lambda: LinearResidual(A, B, 1.5), "p=1.5"),
        (lambda: Rosenbrock(1), "dim=1"),
        (lambda: LogSumExp(A, B).second_order(np.zeros(5), "fisher"), "fisher"),
        (lambda: Metric(-np.eye(3), 3), "positive definite"),
        (lambda: Metric(np.eye(2), 3), "\\(3, 3\\)"),
        (lambda: check_start(Rosenbrock(), np.array([np.nan, 0])), "NaN"),
        (lambda: check_start(Rosenbrock(), np.zeros(3)), "shape"),
        (lambda: check_start(Rosenbrock(), np.full(2, 1e200)), "not finite"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow")
def test_bad_input_is_named(call, word):
    with pytest.raises(ValueError, match=word):
        call()


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("+1 1:0.5 2:abc", "'2:abc'"),
        ("spam 1:0.5", "label 'spam'"),
        ("+1 3:0.5 2:1", "index 2 comes after 3"),
        ("+1 1:nan", "'1:nan'"),
        ("inf 1:1", "label 'inf'"),
        ("+1 7:1", "index 7 is beyond data.features=3"),
        ("+1 12", "'12'"),
    ],
)
def test_bad_lines_of_a_libsvm_file_are_named(line, word, tmp_path):
    path = tmp_path / "bad.txt"
    path.write_text(f"+1 1:1 3:2\n\n-1 2:1 # fine\n{line}\n")
    with pytest.raises(BenchError, match=f"line 4: .*{word}"):
        libsvm.read(path, features=3)


def test_libsvm_file(tmp_path):
    path = tmp_path / "good.txt"
    path.write_text("# a comment\n2 1:1.5 4:-2 # x\n1 2:1e-3\n")
    x, y = libsvm.read(path)
    assert_allclose(x, [[1.5, 0, 0, -2], [0, 1e-3, 0, 0]])
    assert y.tolist() == [2, 1]
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(BenchError, match="no samples"):
        libsvm.read(tmp_path / "empty.txt")
    with pytest.raises(MissingData, match="no file"):
        libsvm.read(tmp_path / "absent.txt")


def test_a_file_of_ones_own(tmp_path, bench):
    """Any labels; the larger of two becomes +1; an edited file is another cell, a bad one a failed run that names the line."""
    path = tmp_path / "mine.txt"
    path.write_text("".join(f"{1 + i % 2} 1:{i % 2 + 0.1 * (i % 3)} 2:{i}\n" for i in range(12)))
    config = Classification(name="logistic", set="file", file=str(path))
    b = classification.load(config, source="real", **HERE)
    assert sorted(set(b.train.y)) == [-1, 1] and b.train.x.shape == (12, 3) and b.origin == "real"
    before = config.declared()
    path.write_text(path.read_text() + "2 1:x\n")
    assert config.declared() != before
    code, out, err = bench(
        "run", "method=gns", "data=logistic", "data.set=file", f"data.file={path}", f"out={tmp_path}"
    )
    assert code == 1 and "line 13" in out + err
    code, out, err = bench("plan", "method=gns", "data=logistic", "data.set=file", f"out={tmp_path}")
    assert code == 2 and "data.file" in err


@pytest.mark.parametrize(("lines", "word"), [("0.37 1:1\n1 1:2\n", "0.37"), ("1 1:1\n1 1:2\n", "one class")])
def test_labels_that_are_no_classes_are_refused(lines, word, tmp_path):
    (tmp_path / "y.txt").write_text(lines)
    with pytest.raises(BenchError, match=word):
        classification.load(Classification(name="x", set="file", file=str(tmp_path / "y.txt")), source="real", **HERE)


# --- data sets
# ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("function", FUNCTIONS)
def test_simulated(function):
    config = Simulated(function=function, n=None if function == "rosenbrock_residual" else 6, mu=0.5, draws=[1, 2])
    config.check()
    one, other = (load_simulated(config, fold=f, source="simulated", root=Path(), cache=Path()) for f in config.folds())
    f = one.meta["objective"]
    assert f.minimum is not None and float(f.value(one.meta["start"])) > f.minimum
    assert (one.fingerprint != other.fingerprint) == (not function.startswith("rosenbrock"))
    Metric(one.meta["metric"], f.dim)


def test_the_published_draw():
    """A (n x m) is drawn before b; a_i are its columns and B = A A^T."""
    config = Simulated(function="log_sum_exp", n=4, m=6, mu=0.2)
    bundle = load_simulated(config, fold="draw3124", source="simulated", root=Path(), cache=Path())
    draw = np.random.RandomState(3124)
    a, b = draw.uniform(-1, 1, (4, 6)), draw.uniform(-1, 1, 6)
    assert_allclose(bundle.train.x, a.T)
    assert_allclose(bundle.train.y, b)
    assert_allclose(bundle.meta["metric"], a @ a.T)


@pytest.mark.parametrize("name", ["breast_cancer", "wine", "digits"])
def test_tables_of_scikit_learn(name):
    b = classification.load(Classification(name="x", set=name), source="real", **HERE)
    n, k, classes = {"breast_cancer": (569, 30, 2), "wine": (178, 13, 3), "digits": (1797, 64, 10)}[name]
    assert b.train.x.shape == (n, k + 1) and b.n_out == classes and b.origin == "real"
    assert_allclose(b.train.x[:, :-1].mean(0), 0, atol=1e-12)
    assert_allclose(b.meta["objective"].value(b.meta["start"]), np.log(classes))


def test_shares_do_not_leak():
    config = Classification(name="x", set="digits", standardise=False, shares=[0.6, 0.2, 0.2], splits=[0, 1])
    b = classification.load(config, source="real", **HERE)
    other = classification.load(config, source="real", **{**HERE, "fold": "split1"})
    parts = [len(s) for s in (b.train, b.val, b.test)]
    assert sum(parts) == 1797 and abs(parts[0] / 1797 - 0.6) < 0.01 and abs(parts[1] / 1797 - 0.2) < 0.01
    assert b.fingerprint != other.fingerprint
    rows = [{r.tobytes() for r in s.x} for s in (b.train, b.val, b.test)]
    assert not rows[0] & rows[2] and not rows[1] & rows[2] and not rows[0] & rows[1]


@pytest.mark.parametrize("name", ["breast_cancer", "wine"])
def test_stand_in_has_a_known_truth(name):
    """Fitting the stand-in recovers the planted weights, up to what softmax cannot see."""
    from scipy.optimize import minimize

    config = Classification(name="x", set=name, standardise=False, bias=False)
    b = classification.load(config, source="synthetic", **HERE)
    f = b.meta["objective"]
    found = minimize(lambda x: f.value_and_gradient(x), np.zeros(f.dim), jac=True).x
    w = classification.planted_weights(b.shape[0], b.n_out, 0)
    if b.n_out == 2:
        truth = w[1] - w[0]
    else:
        truth, found = (w - w.mean(0)).ravel(), (found.reshape(w.shape) - found.reshape(w.shape).mean(0)).ravel()
    assert b.origin == "synthetic_twin"
    assert found @ truth / np.linalg.norm(found) / np.linalg.norm(truth) > 0.9


def test_stand_in_of_pairs_is_separated_by_its_normal():
    x, label = sets.stand_in(20, 3, 5)
    side = np.where(label == 3, 1, -1)
    assert (side * (x @ sets.stand_in_normal(20, 3, 5)) >= 1 - 1e-12).all() and len(set(label)) == 2


def test_constructed_separable_data():
    x, y = construct(Separable(), "n1000")
    assert (x[y > 0] == [0.5, -1]).all() and (x[y < 0] == [-0.5, -1]).all() and (y > 0).sum() == 1 and len(y) == 1000
    x, y = construct(Separable(construction="two_sample"), "two")
    assert x.tolist() == [[1, -1], [-1, -4]] and y.tolist() == [1, -1]
    draw = np.random.default_rng(0).normal(size=10)
    x, y = construct(Separable(construction="gaussian", gap=0.1), "draw0")
    assert (y * (x @ draw) / np.linalg.norm(draw) >= 0.1).all()
    b = load_separable(Separable(copies=3), fold="n1000", source="simulated", root=Path(), cache=Path())
    assert len(b.train) == 3000


def test_pairs_of_digits():
    config = Sets(name="x", first=5)
    b = sets.load(config, fold="1v8", source="real", root=Path(), cache=Path())
    assert (b.train.y > 0).sum() == 5 and len(b.train) == 179 and b.shape == (65,)
    assert (b.train.x[:, -1] == 1).all() and b.train.x.max() == 1
    with pytest.raises(BenchError, match="3v3"):
        Sets(name="x", pairs=["3v3"]).check()


def test_real_files_where_they_are():
    import os

    root = Path(os.environ.get("BENCH_DATA", "absent"))
    config = Classification(name="a9a", set="a9a", standardise=False)
    if not config.present(root, Path()):
        pytest.skip("a9a is not under BENCH_DATA")
    b = classification.load(config, **{**HERE, "root": root}, source="real")
    assert b.train.x.shape == (32561, 124) and (b.train.y > 0).sum() == 7841
    assert len(b.test) == 16281 and (b.test.y > 0).sum() == 3846


# --- traces
# ------------------------------------------------------------------------------------------------------


def test_band_over_runs_of_unequal_length():
    """A run that ended keeps its last value; median and quartiles on the union of the budgets."""
    x = [np.array([0.0, 1, 2]), np.array([0.0, 2, 4]), np.array([0.0, 1])]
    y = [np.array([3.0, 2, 1]), np.array([9.0, 6, 3]), np.array([5.0, 5])]
    grid, mid, low, high = band(x, y)
    assert grid.tolist() == [0, 1, 2, 4]
    assert mid.tolist() == [5, 5, 5, 3] and low.tolist() == [4, 3.5, 3, 2] and high.tolist() == [7, 7, 5.5, 4]


def test_curves_of_an_experiment(tmp_path, bench, capsys):
    """The script draws median and band of finished cells against any budget, and says when there is nothing to draw."""
    from scripts.curves import collect, main

    words = ["method=gns", "data=log_sum_exp", "data.draws=[1,2,3]", "scale=smoke", f"out={tmp_path}"]
    assert bench("run", *words)[0] == 0
    (name,) = groups = collect(words, "solves", "gap")
    ((method, runs),) = groups[name].items()
    assert len(runs) == 3 and method == "gns" and all((np.diff(x) > 0).all() and len(x) == len(y) for x, y in runs)
    png = tmp_path / "curves.png"
    assert main([*words, "--x", "solves", "--png", str(png)]) == 0
    assert png.read_bytes()[:4] == b"\x89PNG" and "| gns | 3 |" in capsys.readouterr().out
    assert main([*words, "--x", "seconds", "--linear", "--png", str(png)]) == 0
    runs = {"a": [(np.arange(3), np.array([0.0, 0.5, 0.0]))] * 2}
    for scale in ("log", "linear"):
        assert draw_bands(runs, "x", "y", scale=scale).axes[0].get_yscale() == scale
    assert main([*words, "--y", "spam"]) == 2 and "spam" in capsys.readouterr().err
