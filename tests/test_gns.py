"""GNS: the step rule's theorems, the trajectories of the published experiments, baselines, and the torch optimiser."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from torch import nn

from bench import cell as cells
from bench import plan
from bench.schema import BenchError
from datasets.objectives.classification.adapter import load as load_table
from datasets.objectives.classification.config import Config as Table
from datasets.objectives.simulated.adapter import load as load_simulated
from datasets.objectives.simulated.config import Config as Simulated
from models.geometry.objectives import LinearResidual, Logistic, LogSumExp, Metric, Objective
from models.geometry.objectives.trace import Goal, Trace
from models.gns import GNS, Problem, baselines, gns
from models.gns.config import Config
from models.gns.scipy_methods import scipy_minimise


def bundle(function: str, **fields):
    config = Simulated(name="x", function=function, **fields)
    return load_simulated(config, fold="draw3124", source="simulated", root=Path(), cache=Path())


def problem(b, norm: bool = True, gap: float = 1e-8, gradient: float = 0.0) -> Problem:
    f, metric = b.meta["objective"], Metric(b.meta["metric"], b.meta["objective"].dim)
    goal = Goal(f.minimum, metric, gap, gradient)
    return Problem(f, b.meta["start"], metric if norm else Metric(None, f.dim), goal)


def solve(p: Problem, limit: int, algorithm=gns, **options) -> Trace:
    trace = Trace()
    algorithm(p, trace, limit, **options)
    return trace


# --- theorems of the step
# ------------------------------------------------------------------------------------------------------


def quadratic(d: int = 8) -> Problem:
    a = np.random.default_rng(0).normal(size=(d + 4, d))
    f = LinearResidual(a, np.ones(d + 4), 2.0)
    metric = Metric(None, d)
    return Problem(f, 5 * np.ones(d), metric, Goal(f.minimum, metric, 1e-13))


def test_on_a_quadratic_every_trial_is_accepted():
    """Exact H: one solve per iteration, gamma doubles every time, and the gradient falls faster than linearly (oracle 2)."""
    gammas = []
    trace = solve(quadratic(), 60, watch=lambda step, gamma, shift: gammas.append(gamma))
    assert trace.status == "reached" and trace.solves[-1] == trace.iterations
    assert_allclose(gammas, 2.0 ** np.arange(len(gammas)))
    ratio = np.asarray(trace.gradient_norm[1:]) / trace.gradient_norm[:-1]
    assert (np.diff(ratio) < 0).all() and ratio[-1] < 1e-3 * ratio[0]


@pytest.mark.parametrize("norm", [True, False])
def test_without_curvature_it_is_normalised_gradient_descent(norm):
    """H = 0: step = -gamma B^-1 g / ||g||_* (oracle 3), up to the guard 1e-8 in lambda."""
    p = problem(bundle("log_sum_exp", n=12, mu=0.2), norm)
    steps = []
    solve(p, 20, curvature="zero", watch=lambda step, gamma, shift: steps.append((step, gamma)))
    x = p.start
    for step, gamma in steps:
        g = p.objective.gradient(x)
        assert_allclose(step, -gamma * p.metric.inverse(g) / p.metric.dual(g), rtol=1e-6, atol=1e-12)
        x = x + step
    assert len(steps) == 20


@pytest.mark.parametrize("curvature", ["exact", "gauss_newton"])
@pytest.mark.parametrize("function", ["log_sum_exp", "linear_residual"])
def test_steps_are_bounded_and_decrease_is_as_asked(function, curvature):
    """||d||_B <= gamma for H >= 0 (oracle 4); f_k - f_{k+1} >= ||g_{k+1}||_*^2 / (8 lambda_k), so f is monotone (oracle 5)."""
    p = problem(bundle(function, n=15, m=18 if function == "log_sum_exp" else 12, mu=0.1))
    seen, points = [], [p.start]

    def watch(step, gamma, shift):
        seen.append((p.metric.norm(step), gamma, shift))
        points.append(points[-1] + step)

    trace = solve(p, 40, curvature=curvature, watch=watch)
    assert len(seen) > 8
    for k, (length, gamma, shift) in enumerate(seen):
        assert length <= gamma * (1 + 1e-7)
        dual = p.metric.dual(p.objective.gradient(points[k + 1]))
        assert trace.value[k] - trace.value[k + 1] >= dual**2 / (8 * shift)


def test_sherman_morrison_and_dense_fisher_traces_agree():
    """Oracle 7: the same sequence, the rank-one solve and one Cholesky of the sum."""
    p = problem(bundle("linear_residual", n=40, m=20), gap=0.0)
    structured, dense = (solve(p, 15, curvature="fisher", structured=s) for s in (True, False))
    assert_allclose(structured.value, dense.value, rtol=1e-6)
    assert structured.solves == dense.solves


def test_affine_covariance():
    """x -> M x with B -> M^-T B M^-1 gives the same sequence of f (oracle 8)."""
    draw = np.random.default_rng(1)
    a, b, m = draw.uniform(-1, 1, (20, 6)), draw.uniform(-1, 1, 20), draw.normal(size=(6, 6)) + 3 * np.eye(6)
    inverse = np.linalg.inv(m)
    plain, moved = LogSumExp(a, b, 0.2, centred=False), LogSumExp(a @ inverse, b, 0.2, centred=False)
    metric, other = Metric(a.T @ a, 6), inverse.T @ (a.T @ a) @ inverse
    other = Metric((other + other.T) / 2, 6)
    one = solve(Problem(plain, np.ones(6), metric, Goal(None, metric)), 8)
    two = solve(Problem(moved, m @ np.ones(6), other, Goal(None, other)), 8)
    assert_allclose(one.value, two.value, rtol=1e-9)


class Saddle(Objective):
    """f = x^4/4 - x^2/2 + y^2/2: the Hessian at the start is indefinite."""

    dim, convex, minimum = 2, False, -0.25

    def value_and_gradient(self, x):
        return x[0] ** 4 / 4 - x[0] ** 2 / 2 + x[1] ** 2 / 2, np.array([x[0] ** 3 - x[0], x[1]])

    def hessian(self, x):
        return np.diag([3 * x[0] ** 2 - 1, 1.0])


@pytest.mark.parametrize("parity", [False, True])
@pytest.mark.parametrize("algorithm", ["gns", "super_newton", "cubic_newton"])
def test_indefinite_hessian(algorithm, parity):
    """A failed Cholesky is a rejected trial (also at the very first one): the run goes down to the minimum."""
    metric = Metric(None, 2)
    p = Problem(Saddle(), np.array([0.1, 1.0]), metric, Goal(-0.25, metric, 1e-10))
    assert np.linalg.eigvalsh(p.objective.hessian(p.start))[0] < 0
    if algorithm == "gns":
        trace = solve(p, 200, gamma=1e3, official_parity=parity)
        assert trace.n_solves > trace.n_evaluations - 1  # at least one factorisation failed
    else:
        trace = solve(p, 200, getattr(baselines, algorithm), first=1e-3)
    assert trace.status == "reached"


def test_where_no_trial_is_accepted_the_run_says_so():
    """At the rounding of f nothing decreases: stalled, and the point stays; the released code moves on."""
    p = problem(bundle("log_sum_exp", n=10, mu=1.0), gap=0.0)
    trace = solve(p, 500)
    assert trace.status == "stalled" and trace.iterations < 500
    assert trace.value[-1] - p.objective.minimum < 1e-13
    parity = solve(p, 500, official_parity=True)
    assert parity.status != "stalled" and parity.value[: len(trace.value)] == trace.value


# --- the published trajectories
# ------------------------------------------------------------------------------------------------------


def test_log_sum_exp_iterations():
    """n = m = 100, mu = 0.2: 50 iterations with the exact Hessian, 122 with weighted Gauss-Newton; gradient methods not in 1000."""
    b = bundle("log_sum_exp", n=100, mu=0.2)
    assert [solve(problem(b), 1000, curvature=c).iterations for c in ("exact", "gauss_newton")] == [50, 122]
    for norm, gap in ((True, 1.652e-2), (False, 2.4e-2)):
        trace = solve(problem(b, norm), 1000, baselines.gradient)
        assert trace.status == "max_iter"
        assert_allclose(trace.value[-1] - b.meta["objective"].minimum, gap, rtol=0.03)


def test_log_sum_exp_at_mu_one():
    """n = m = 200, mu = 1: exact 18, weighted Gauss-Newton 30, gradient in the norm B 74."""
    b = bundle("log_sum_exp", n=200, mu=1.0)
    runs = [solve(problem(b), 1000, curvature=c) for c in ("exact", "gauss_newton")]
    assert [t.iterations for t in [*runs, solve(problem(b), 1000, baselines.gradient)]] == [18, 30, 74]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("exact", (7.9e6, 2.1e6, 2.3e3, 3.558e-4, 8.7e-18)),
        ("fisher", (7.9e6, 1.8e6, 2.6e1, 2.989e-11, 4.3e-35)),
        ("gradient_b", (7.9e6, 5.6e3, 5.5, 5.2e-6, 3.9e-14)),
        ("gradient_i", (7.9e6, 6.1e4, 4.9e2, 0.9847, 1.1e-3)),
    ],
)
def test_linear_residual_decay(name, values):
    """f at k = 0, 5, 10, 20, 40 of ||A x - b||^4 / 4, A 100 x 200."""
    p = problem(bundle("linear_residual", n=200, m=100), name != "gradient_i", gap=0.0)
    if name.startswith("gradient"):
        trace = solve(p, 40, baselines.gradient)
    else:
        trace = solve(p, 40, curvature=name)
    found = [trace.value[k] for k in (0, 5, 10, 20, 40)]
    assert_allclose(found[:4], values[:4], rtol=0.03)
    assert 0.5 < found[4] / values[4] < 2  # rounding of x shows here


def test_rosenbrock():
    """f = 0 within 60 steps from (-2, 2); 1.3e-6 after 5000 steps of the gradient method."""
    p = problem(bundle("rosenbrock", n=2), gap=0.0)
    assert solve(p, 60).value[-1] == 0.0
    assert_allclose(solve(p, 5000, baselines.gradient).value[-1], 1.3e-6, rtol=0.05)


def test_chebyshev():
    """d = 30: Gauss-Newton curvature and super-universal Newton reach rounding in 100 steps, the gradient method 4e-10 in 200."""
    p = problem(bundle("chebyshev", n=30), gap=0.0)
    assert solve(p, 100, curvature="gauss_newton").value[-1] < 1e-27
    assert solve(p, 100, baselines.super_newton).value[-1] < 1e-23
    assert 1e-11 < solve(p, 200, baselines.gradient).value[-1] < 1e-8


def breast_cancer():
    return load_table(Table(name="logistic"), fold="split0", source="real", root=Path(), cache=Path())


def test_breast_cancer():
    """Exact: ||g|| < 1e-6 in 49 iterations, all samples right; Fisher after 300: f = 0.0304, ||g|| = 9e-4; gradient 0.0302 after 1000."""
    b = breast_cancer()
    p = problem(b, gradient=1e-6)
    trace = Trace()
    x = gns(p, trace, 1000)
    assert (trace.status, trace.iterations) == ("reached", 49) and (b.meta["objective"].z @ x > 0).all()
    fisher = solve(p, 300, curvature="fisher")
    assert_allclose((fisher.value[-1], fisher.gradient_norm[-1]), (0.0304, 9e-4), rtol=0.05)
    assert_allclose(solve(p, 1000, baselines.gradient).value[-1], 0.0302, rtol=0.01)


# --- baselines
# ------------------------------------------------------------------------------------------------------


def test_cubic_step_solves_its_model():
    """grad m(h) = 0 and H + (M r / 2) B >= 0 make h the global minimiser; H indefinite."""
    draw = np.random.default_rng(2)
    h = draw.normal(size=(5, 5))
    h, b, g = h + h.T, np.diag(np.arange(1.0, 6)), draw.normal(size=5)
    from scipy.linalg import eigh

    w, basis = eigh(h, b)
    assert w[0] < 0
    step, model = baselines.cubic_step(w, basis, g, 3.0)
    r = np.sqrt(step @ b @ step)
    assert_allclose(h @ step + 1.5 * r * b @ step, -g, atol=1e-9)
    assert np.linalg.eigvalsh(h + 1.5 * r * b)[0] >= -1e-9
    assert_allclose(model, g @ step + step @ h @ step / 2 + r**3 / 2, rtol=1e-12)


@pytest.mark.parametrize("name", ["gradient", "fast_gradient", "cubic_newton", "super_newton"])
def test_baselines_reach_the_minimum(name):
    p = problem(bundle("log_sum_exp", n=20, mu=1.0))
    trace = solve(p, 500, getattr(baselines, name))
    assert trace.status == "reached" and trace.iterations > 1


@pytest.mark.parametrize("name", ["gradient", "fast_gradient"])
def test_first_order_methods_have_their_rate(name):
    """On a convex quadratic f - f* <= 2 L R^2 / k, and 4 L R^2 / k^2 for the fast one (L doubled by the search)."""
    a = np.diag(np.linspace(0.01, 1, 40))
    f, metric = LinearResidual(a, np.zeros(40), 2.0), Metric(None, 40)
    trace = solve(Problem(f, np.ones(40), metric, Goal(0.0, metric)), 80, getattr(baselines, name), first=1.0)
    k = np.arange(1, 81)
    bound = 2 * 40 / k if name == "gradient" else 4 * 40 / k**2
    assert (np.asarray(trace.value[1:]) <= bound).all()


@pytest.mark.parametrize(
    "method", ["trust-exact", "trust-ncg", "trust-krylov", "dogleg", "Newton-CG", "BFGS", "L-BFGS-B"]
)
def test_scipy_methods(method):
    p = problem(bundle("log_sum_exp", n=20, m=40, mu=1.0))  # n = m is singular at x*, which dogleg cannot factorise
    trace = solve(p, 1000, scipy_minimise, method=method)
    assert trace.status == "reached" and trace.iterations > 1
    assert (trace.n_solves > 0) == (method not in ("BFGS", "L-BFGS-B"))


def test_every_method_stops_by_the_same_rule():
    """||g||_* in the problem's norm, whatever norm the method moves in."""
    b = bundle("log_sum_exp", n=20, mu=1.0)
    metric = Metric(b.meta["metric"], 20)
    for norm, algorithm in ((True, baselines.gradient), (False, baselines.gradient), (False, scipy_minimise)):
        trace, p = Trace(), problem(b, norm, gap=0.0, gradient=1e-3)
        x = algorithm(p, trace, 5000)
        assert trace.status == "reached" and metric.dual(p.objective.gradient(x)) < 1e-3


# --- in the harness
# ------------------------------------------------------------------------------------------------------


def run(tmp_path, *words):
    cell = plan.expand([*words, "scale=smoke", "fold=0", f"out={tmp_path}"])[0]
    outcome, record = cells.run(cell)
    return outcome, record, cell


def test_curves_hold_every_step(tmp_path):
    outcome, record, cell = run(tmp_path, "method=gns", "method.marks=[3]")
    values = {m["metric"]: m["value"] for m in record["metrics"]}
    with np.load(cell.folder / "curves.npz") as curves:
        assert len(curves["gap.value"]) == values["iterations_run"] + 1 == curves["gap.step"][-1] + 1
        assert curves["solves.value"][-1] == values["solves_run"] and (np.diff(curves["seconds.value"]) > 0).all()
        assert_allclose(curves["gap.value"][-1], values["gap"], atol=1e-15)
    assert outcome == "done" and values["value_at_3"] > values["value"] and record["main"] == "gap"
    assert values["rate"] == 1 / values["iterations"]


def test_a_goal_that_is_not_reached_is_missing(tmp_path):
    _, record, _ = run(tmp_path, "method=gradient_method", "method.max_iter=2")
    values = {m["metric"]: m["value"] for m in record["metrics"]}
    assert "iterations" not in values and values["rate"] == 0 and values["iterations_run"] == 2


def test_incompatible_choices_are_said(tmp_path):
    outcome, record, _ = run(tmp_path, "method=gns", "method.curvature=fisher")
    assert outcome == "skip" and "LogSumExp has no fisher" in record["error"]
    outcome, record, _ = run(tmp_path, "method=scipy_trust", "method.scipy_method=dogleg", "data=rosenbrock")
    assert outcome == "skip" and "convex" in record["error"]
    with pytest.raises(BenchError, match="no choice of H"):
        plan.expand(["method=gradient_method", "method.curvature=fisher"])
    with pytest.raises(BenchError, match=r"marks=\[0\]"):
        Config(name="gns", marks=[0]).check()


# --- the torch optimiser
# ------------------------------------------------------------------------------------------------------


def network(seed: int = 0) -> tuple[nn.Module, torch.Tensor, torch.Tensor]:
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2)).double()
    x = torch.randn(12, 3, dtype=torch.float64)
    return net, x, (x[:, 0] > 0).long()


@pytest.mark.parametrize(("curvature", "kind"), [("hessian", "exact"), ("fisher", "fisher"), ("zero", "zero")])
def test_optimiser_equals_the_deterministic_method(curvature, kind):
    """Full batch, logistic regression: the parameters of torch follow the iterates of `gns` (Woodbury equals Cholesky)."""
    b = breast_cancer()
    f = Logistic(b.train.x[:60], b.train.y[:60])
    metric, points = Metric(None, f.dim), [np.zeros(f.dim)]
    gns(
        Problem(f, points[0], metric, Goal(None, metric)),
        Trace(),
        8,
        curvature=kind,
        watch=lambda step, gamma, shift: points.append(points[-1] + step),
    )
    w = nn.Parameter(torch.zeros(f.dim, dtype=torch.float64))
    optimizer, z = GNS([w], curvature), torch.as_tensor(f.z)
    for point in points[1:]:
        optimizer.step(lambda: nn.functional.softplus(-z @ w))
        assert_allclose(w.detach().numpy(), point, rtol=1e-7, atol=1e-9)


def test_rank_one_is_sherman_morrison():
    """(g g^T + lambda I)^-1 g, lambda = ||g|| / gamma, on a linear function, where every trial is accepted."""
    g = torch.tensor([3.0, 4.0], dtype=torch.float64)
    w = nn.Parameter(torch.zeros(2, dtype=torch.float64))
    GNS([w], "rank_one", gamma=0.5).step(lambda: w @ g)
    expected = torch.linalg.solve(torch.outer(g, g) + 5 / (0.5 + 1e-8) * torch.eye(2, dtype=torch.float64), -g)
    assert_allclose(w.detach(), expected, rtol=1e-12)


@pytest.mark.parametrize("curvature", ["fisher", "rank_one", "hessian", "zero"])
def test_optimiser_trains_a_network(curvature):
    """Monotone on the full batch, also where the Hessian is indefinite; its state can be stored and loaded."""
    net, x, y = network()
    optimizer = GNS(net.parameters(), curvature)

    def losses():
        return nn.functional.cross_entropy(net(x), y, reduction="none")

    values = [float(optimizer.step(losses)) for _ in range(25)]
    assert (np.diff(values) <= 0).all() and values[-1] < 0.3 * values[0]
    other = GNS(net.parameters(), curvature)
    other.load_state_dict(optimizer.state_dict())
    assert other.param_groups[0]["gamma"] == optimizer.param_groups[0]["gamma"] != 1.0


def test_optimiser_names_what_is_wrong():
    net, x, y = network()
    with pytest.raises(ValueError, match="curvature='newton'"):
        GNS(net.parameters(), "newton")
    with pytest.raises(ValueError, match="one loss per sample"):
        GNS(net.parameters()).step(lambda: nn.functional.cross_entropy(net(x), y))
    with pytest.raises(ValueError, match="not finite"):
        GNS(net.parameters()).step(lambda: nn.functional.cross_entropy(net(x) * torch.inf, y, reduction="none"))
    net[0].bias.requires_grad_(False)
    with pytest.raises(ValueError, match="frozen"):
        GNS(net.parameters())
    with pytest.raises(ValueError, match="one dtype"):
        GNS([nn.Parameter(torch.zeros(2)), nn.Parameter(torch.zeros(2, dtype=torch.float64))])


def test_network_needs_its_splits(tmp_path):
    outcome, record, _ = run(tmp_path, "method=gns_net", "data=logistic", "data.source=synthetic")
    assert outcome == "skip" and "data.shares" in record["error"]
