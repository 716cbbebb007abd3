"""Entropic and exact transport between samples, the Monge gap, the maps and their data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from bench import cell as cells
from bench import plan
from bench.schema import BenchError
from datasets.transport.adapter import load
from datasets.transport.config import Config as Problem
from datasets.transport.problems import convex, moons, sphere
from models.geometry.sinkhorn import sinkhorn
from models.geometry.transport import (
    entropic_cost,
    exact_cost,
    exact_gap,
    ground_cost,
    matrix,
    monge_gap,
    sinkhorn_divergence,
)
from models.monge_gap.plugin import TransportMap
from models.transport_maps.icnn import ICNN, train_dual

F64 = torch.float64
FULL = {"tol": 1e-11, "steps": 4000}
SQUARE, PLAIN = ground_cost("sqeuclidean"), ground_cost("euclidean")


def cloud(n: int, d: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(n, d, dtype=F64, generator=torch.Generator().manual_seed(seed))


def converged(c: torch.Tensor, epsilon: float, form: str = "kl") -> torch.Tensor:
    return entropic_cost(c, epsilon, form, **FULL)


def positive(d: int, seed: int = 0) -> torch.Tensor:
    a = cloud(d, d, seed)
    return a @ a.T / d + 0.2 * torch.eye(d, dtype=F64)


# --- entropic costs
# ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("epsilon", [0.05, 0.5, 5.0])
def test_both_conventions_are_their_definition_at_the_plan_of_pot(epsilon):
    import ot

    c = matrix(SQUARE, cloud(13, 2), cloud(9, 2, 1))
    a, b = np.full(13, 1 / 13), np.full(9, 1 / 9)
    p = ot.sinkhorn(a, b, c.numpy(), epsilon, method="sinkhorn_log", stopThr=1e-14, numItermax=100_000)
    cost, entropy = float((p * c.numpy()).sum()), float((p * np.log(p)).sum())
    assert abs(float(converged(c, epsilon, "ent")) - cost - epsilon * entropy) < 1e-10
    kl = float((p * np.log(p / np.outer(a, b))).sum())
    assert abs(float(converged(c, epsilon)) - cost - epsilon * kl) < 1e-10
    assert abs(float(converged(c, epsilon) - converged(c, epsilon, "ent")) - epsilon * np.log(117)) < 1e-12


def test_limits_of_the_regularisation():
    """To the assignment from above as epsilon falls, to the mean cost from below as it grows, growing in between."""
    c = matrix(SQUARE, cloud(20, 2), cloud(20, 2, 1))
    values = [float(converged(c, e)) for e in (0.01, 0.1, 1.0, 10.0, 1e5)]
    assert values == sorted(values) and values[0] >= exact_cost(c)
    assert values[0] - exact_cost(c) <= 0.01 * np.log(20) and abs(values[-1] - float(c.mean())) < 1e-3


def test_gradient_of_the_value_is_the_plan():
    """The envelope theorem, against central differences and against the derivative of <C, P> + epsilon KL through the plan itself."""
    c = matrix(SQUARE, cloud(7, 2), cloud(6, 2, 1)).requires_grad_()
    converged(c, 0.3).backward()
    plan = sinkhorn(c, 0.3, torch.full((7,), 1 / 7, dtype=F64), torch.full((6,), 1 / 6, dtype=F64), **FULL)
    through = torch.autograd.grad((c * plan).sum() + 0.3 * (plan * (42 * plan).log()).sum(), c)[0]
    assert float((c.grad - plan.detach()).abs().max()) < 1e-10
    assert float((c.grad - through).abs().max()) < 1e-8
    h = 1e-5
    for i, j in ((0, 0), (3, 4)):
        moved = [c.detach().clone() for _ in range(2)]
        moved[0][i, j] += h
        moved[1][i, j] -= h
        slope = float(converged(moved[0], 0.3) - converged(moved[1], 0.3)) / (2 * h)
        assert abs(slope - float(c.grad[i, j])) < 1e-6


def test_an_unfinished_iteration_is_a_lower_bound():
    c = matrix(SQUARE, cloud(40, 2), 3 * cloud(40, 2, 1))
    few = float(entropic_cost(c, 0.05, tol=1e-12, steps=3))
    assert few <= float(converged(c, 0.05)) + 1e-9


def test_divergence():
    x, y = cloud(15, 3), cloud(15, 3, 1) + 0.5
    value = sinkhorn_divergence(SQUARE, x, y, 0.5, **FULL)
    assert abs(float(sinkhorn_divergence(SQUARE, x, x.clone(), 0.5, **FULL))) < 1e-10
    assert abs(float(value - sinkhorn_divergence(SQUARE, y, x, 0.5, **FULL))) < 1e-10
    by_ent = [converged(matrix(SQUARE, a, b), 0.5, "ent") for a, b in ((x, y), (x, x), (y, y))]
    assert abs(float(value - by_ent[0] + by_ent[1] / 2 + by_ent[2] / 2)) < 1e-10 and float(value) > 0


# --- the gap
# ------------------------------------------------------------------------------------------------------


def test_gradients_of_convex_functions_have_no_gap_under_the_squared_cost():
    x, a = cloud(60, 3), positive(3)
    y = x @ a + 1.0
    assert abs(exact_gap(SQUARE, x, y)) < 1e-12
    assert exact_gap(PLAIN, x, y) > 1e-3  # the same map is not optimal for the distance itself
    turn = torch.tensor([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]], dtype=F64)
    assert exact_gap(SQUARE, x, x @ turn) > 0.5
    for name in (
        "sqeuclidean",
        "euclidean",
        "power",
    ):  # translations are optimal for every cost of x - y that is convex
        assert abs(exact_gap(ground_cost(name), x, x + 2.0)) < 1e-9


def test_exact_gap_of_the_squared_cost_is_an_assignment_of_inner_products():
    from scipy.optimize import linear_sum_assignment

    x, y = cloud(30, 2), cloud(30, 2, 1)
    inner = (x @ y.T).numpy()
    rows, columns = linear_sum_assignment(-inner)
    assert abs(exact_gap(SQUARE, x, y) - 2 * (inner[rows, columns].mean() - inner.diagonal().mean())) < 1e-12


def test_what_the_gap_does_not_see():
    x, y = cloud(30, 3), cloud(30, 3, 1)
    q = torch.linalg.qr(cloud(3, 3, 2))[0]
    gap = exact_gap(SQUARE, x, y)
    assert gap > 0
    assert abs(exact_gap(SQUARE, x, y + 5.0) - gap) < 1e-10
    assert abs(exact_gap(SQUARE, x @ q + 1, y @ q + 1) - gap) < 1e-10


@pytest.mark.parametrize("epsilon", [0.01, 0.1, 1.0])
def test_offsets_of_the_two_conventions(epsilon):
    """ent >= exact + epsilon log n; exact - epsilon log n <= kl <= exact."""
    x = cloud(25, 2)
    for y in (x @ positive(2), cloud(25, 2, 1)):
        exact, slack = exact_gap(SQUARE, x, y), epsilon * np.log(25)
        ent, kl = (float(monge_gap(SQUARE, x, y, epsilon, f, **FULL)) for f in ("ent", "kl"))
        assert ent >= exact + slack - 1e-9
        assert exact - slack - 1e-9 <= kl <= exact + 1e-9


def test_descent_on_the_gap_makes_a_map_optimal():
    """Points whose images are shuffled: the gradient of the gap alone takes it to zero."""
    x = cloud(12, 2)
    y = (x @ positive(2))[torch.randperm(12, generator=torch.Generator().manual_seed(0))].requires_grad_()
    before = exact_gap(SQUARE, x, y)
    optimiser = torch.optim.Adam([y], lr=0.05)
    for _ in range(200):
        optimiser.zero_grad()
        monge_gap(SQUARE, x, y, 0.05, tol=1e-4, steps=200).backward()
        optimiser.step()
    assert before > 0.2 and exact_gap(SQUARE, x, y) < 0.01 * before


def test_costs():
    x, y = cloud(8, 3), cloud(8, 3, 1)
    close = {"sqeuclidean": 2.0, "euclidean": 1.0, "power": 1.5}
    for name, p in close.items():
        assert torch.allclose(ground_cost(name)(x, y), (x - y).norm(dim=1) ** p, rtol=1e-8)
    x, y = (v / v.norm(dim=1, keepdim=True) for v in (x, y))
    angle = torch.arccos((x * y).sum(1))
    assert torch.allclose(ground_cost("sphere")(x, y), angle**2 / 2, rtol=1e-8)
    for name in ("euclidean", "power", "sphere"):
        z = x.clone().requires_grad_()
        ground_cost(name)(z, x).sum().backward()
        assert bool(z.grad.isfinite().all())


# --- maps and networks
# ------------------------------------------------------------------------------------------------------


def test_input_convex_network():
    torch.manual_seed(0)
    f = ICNN(3, [16, 16])
    x, y = torch.randn(200, 3), torch.randn(200, 3)
    with torch.no_grad():
        assert bool((f((x + y) / 2) <= (f(x) + f(y)) / 2 + 1e-6).all())
    monotone = ((f.gradient(x) - f.gradient(y)) * (x - y)).sum(1)
    assert bool((monotone > 0).all())


def test_dual_of_convex_networks_finds_a_shift():
    torch.manual_seed(0)
    nets, shift = [ICNN(2, [16]), ICNN(2, [16])], torch.tensor([1.0, -0.5])
    train_dual(*nets, lambda: (torch.randn(128, 2), torch.randn(128, 2) + shift), 150, 3, 1e-2)
    x = torch.randn(500, 2)
    assert float((nets[0].gradient(x) - x - shift).square().sum(1).mean()) < 0.1


def test_map_on_the_sphere_stays_there():
    net = TransportMap(3, [8], sphere=True)
    assert torch.allclose(net(torch.randn(9, 3)).norm(dim=1), torch.ones(9))


def test_gaussian_and_entropic_maps(tmp_path):
    """Between Gaussians the first is optimal; the second tends to the assignment of its own anchors."""
    words = ["method=gaussian_map", "data.n_train=512", "data.n_test=256", "fold=0", "scale=smoke", f"out={tmp_path}"]
    cell = plan.expand(words)[0]
    bundle = cells.load(cell)
    from models.transport_maps.config import Config
    from models.transport_maps.plugin import Baseline

    gaussian = Baseline(Config(name="gaussian_map", algorithm="gaussian"))
    gaussian.fit(bundle, None)
    x, y = bundle.train.x.astype(float), bundle.train.y.astype(float)
    moved = gaussian.map(x)
    assert np.abs(moved.mean(0) - y.mean(0)).max() < 1e-6 and np.abs(np.cov(moved.T) - np.cov(y.T)).max() < 1e-5
    assert abs(exact_gap(SQUARE, torch.from_numpy(x[:200]), torch.from_numpy(moved[:200]))) < 1e-9
    entropic = Baseline(Config(name="entropic_map", algorithm="entropic", epsilon=2e-3, anchors=64))
    entropic.fit(bundle, None)
    c = matrix(SQUARE, torch.from_numpy(x[:64]), torch.from_numpy(y[:64]))
    found = matrix(SQUARE, torch.from_numpy(x[:64]), torch.from_numpy(entropic.map(x[:64]))).diagonal().mean()
    assert abs(float(found) / exact_cost(c) - 1) < 0.05


# --- data and cells
# ------------------------------------------------------------------------------------------------------


def test_the_true_map_is_the_gradient_of_a_convex_function():
    source, target, true = convex(4, np.random.default_rng(0))
    rng, h = np.random.default_rng(1), 1e-5
    for x in source(5, rng):
        jacobian = np.stack([(true((x + h * e)[None]) - true((x - h * e)[None]))[0] / (2 * h) for e in np.eye(4)])
        assert np.abs(jacobian - jacobian.T).max() < 1e-8 and np.linalg.eigvalsh(jacobian)[0] > 0.2
    x = source(200, rng)
    assert abs(exact_gap(SQUARE, torch.from_numpy(x), torch.from_numpy(true(x)))) < 1e-10
    assert target(7, rng).shape == (7, 4)
    for source, target in (moons(), sphere(np.random.default_rng(0))):
        x, y = source(50, rng), target(50, rng)
        assert x.shape == y.shape and np.isfinite(x).all() and not np.allclose(x.mean(0), y.mean(0), atol=0.1)


def test_bundles(tmp_path):
    options = {"source": "simulated", "root": tmp_path, "cache": tmp_path}
    first = load(Problem(name="transport"), fold="draw0", **options)
    again = load(Problem(name="transport"), fold="draw0", **options)
    assert first.fingerprint == again.fingerprint and first.task.main == "l2_uvp"
    exact = {m.name: m.value for m in first.task.score(first, {"y": first.meta["truth"]})}
    assert exact["l2_uvp"] == 0 and abs(exact["gap"]) < 1e-9 and 0 < exact["divergence"] < 0.02
    other = load(Problem(name="transport_euclidean", cost="euclidean"), fold="draw0", **options)
    assert other.task.main == "divergence" and "truth" not in other.meta
    with pytest.raises(BenchError, match="draw7"):
        load(Problem(name="transport"), fold="S01", **options)


SMALL = ["data.n_train=1024", "data.n_test=512", "fold=0", "scale=smoke", "trainer.threads=1"]


def metrics(words: list[str]) -> dict[str, float]:
    outcome, record = cells.run(plan.expand([*SMALL, *words])[0])
    assert outcome == "done", record.get("error")
    return {m["metric"]: m["value"] for m in record["metrics"]}


def test_the_gap_makes_a_plain_network_optimal(tmp_path):
    without, with_gap = (
        metrics(["method=monge_gap", "method.steps=120", f"method.strength={s}", f"out={tmp_path}"]) for s in (0, 1)
    )
    assert with_gap["gap"] < 0.1 * without["gap"] and with_gap["l2_uvp"] < 0.3 * without["l2_uvp"]


@pytest.mark.parametrize("data", ["moons", "sphere_clusters", "transport_euclidean"])
def test_other_costs_and_references(data, tmp_path):
    words = ["method=monge_gap", f"data={data}", "method.steps=20", f"out={tmp_path}"]
    for extra in ("method.reference=source", "method.reference=box"):
        found = metrics([*words, extra])
        assert np.isfinite(list(found.values())).all()


def test_a_stopped_run_goes_on_as_if_it_had_not_been(tmp_path):
    whole = metrics(["method=monge_gap", "method.steps=15", f"out={tmp_path / 'a'}"])
    cell = plan.expand([*SMALL, "method=monge_gap", "method.steps=15", f"out={tmp_path / 'b'}", "deadline=0"])[0]
    assert cells.run(cell)[0] == "stopped"
    assert metrics(["method=monge_gap", "method.steps=15", f"out={tmp_path / 'b'}"]) == whole


def test_bad_input(bench):
    x = cloud(4, 2)
    for call, said in (
        (lambda: ground_cost("manhattan"), "sphere"),
        (lambda: ground_cost("power", 0.5), "convex"),
        (lambda: matrix(SQUARE, x, cloud(4, 3)), "samples have shapes"),
        (lambda: entropic_cost(matrix(SQUARE, x, x), -1.0), "epsilon"),
        (lambda: entropic_cost(matrix(SQUARE, x, x) * float("nan"), 1.0), "not finite"),
        (lambda: entropic_cost(matrix(SQUARE, x, x), 1.0, "shannon"), "kl and ent"),
        (lambda: exact_cost(torch.zeros(2, 3)), "square"),
        (lambda: monge_gap(SQUARE, x, x[:2], 1.0), "pairs"),
        (lambda: matrix(SQUARE, x, x[:0]), "m >= 1"),
    ):
        with pytest.raises(ValueError, match=said) as info:
            call()
        assert "\n" not in str(info.value)
    for words, said in (
        (["data=transport", "data.cost=sphere"], "geodesic"),
        (["method=monge_gap", "method.strength=-1"], "method.strength"),
        (["data=bci"], "transport"),
    ):
        code, _, err = bench("plan", "method=monge_gap", *words)
        assert code == 2 and said in err


def test_what_does_not_apply_is_skipped_with_a_reason(tmp_path):
    for method, data, said in (
        ("icnn_map", "moons", None),
        ("icnn_map", "sphere_clusters", "squared"),
        ("shift_map", "sphere_clusters", "sphere"),
    ):
        from models.transport_maps.plugin import Baseline

        cell = plan.expand([f"method={method}", f"data={data}", "fold=0", f"out={Path(tmp_path)}"])[0]
        reason = Baseline(cell.method).skip(cells.load(cell))
        assert reason is None if said is None else said in reason
