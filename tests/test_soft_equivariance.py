"""Soft equivariance: projectors of every group, penalties, tuning, networks, the synthetic functions, the method's contract."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from bench import cell as cells
from bench import plan
from bench.schema import BenchError
from datasets.tensor_functions import adapter
from datasets.tensor_functions.config import CANDIDATES
from datasets.tensor_functions.config import Config as Data
from datasets.tensor_functions.functions import cosine_similarity, inertia
from models.geometry.equivariance import equivariance_errors
from models.soft_equivariance import Penalty, Rep, SoftEMLP, Tuner, basis
from models.soft_equivariance.config import Config
from models.soft_equivariance.groups import GROUPS, group
from models.soft_equivariance.meter import TensorAction
from models.soft_equivariance.net import Bilinear, swish_mlp
from models.soft_equivariance.penalty import RepLinear, blend, project, residual
from models.soft_equivariance.rep import dimension
from models.soft_equivariance.tuning import discovered

F64 = torch.float64
NAMES = sorted(GROUPS)
INERTIA, T2 = Rep((5, 5, 0)), Rep((0, 0, 1))


def layer(rep_in: Rep | None = None, rep_out: Rep | None = None, seed: int = 0) -> RepLinear:
    torch.manual_seed(seed)
    return RepLinear(rep_in or Rep((3, 2, 1)), rep_out or Rep((2, 3, 1))).double()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("ranks", [(0, 0), (0, 1), (1, 0), (1, 1), (0, 2), (1, 2), (2, 1), (2, 2)])
def test_basis_spans_equivariant_maps(name, ranks):
    """P = N^T N is an orthogonal projector, and every map of its range satisfies rho_out(h) W = W rho_in(h) for random h."""
    n = basis(name, *ranks)
    p = n.mT @ n
    assert float((p @ p - p).abs().max()) < 1e-12 and float((p - p.mT).abs().max()) < 1e-12
    w = n.reshape(len(n), 3 ** ranks[1], 3 ** ranks[0])
    h = group(name).sample(5, torch.Generator().manual_seed(1))
    reps = [Rep(tuple(int(k == r) for k in range(3))).matrix(h) for r in ranks]
    gap = reps[1].unsqueeze(1) @ w - w @ reps[0].unsqueeze(1)
    assert not gap.numel() or float(gap.abs().max()) < 1e-10


@pytest.mark.parametrize(
    ("rep_in", "rep_out", "expected"),
    [
        (Rep((0, 1)), Rep((0, 1)), {"o3": 1, "so3": 1, "o2xy": 2, "scaling": 9}),
        (Rep((1,)), T2, {"o3": 1, "o2xy": 2, "scaling": 0}),
        (INERTIA, T2, {"o3": 5, "so3": 10, "o2xy": 30, "o2yz": 30, "o2xz": 30, "scaling": 0}),
        (T2, T2, {"o3": 3, "o2xy": 10}),
        (Rep((0, 1)), T2, {"o3": 0, "o2xy": 4}),
    ],
)
def test_dimensions_of_equivariant_maps(rep_in, rep_out, expected):
    """Traces of the projectors, by group."""
    assert {name: dimension(name, rep_in, rep_out) for name in expected} == expected


def test_averaging_over_the_group_is_the_projection():
    """P_g vec W is the average of rho_out(h) W rho_in(h)^T over O(2) in the xy plane (an exact quadrature of it)."""
    lay = layer()
    a, b = project("o2xy", lay.rep_in, lay.rep_out, lay.weight, lay.bias)
    g, total, flat = group("o2xy"), 0.0, 0.0
    angles = 2 * math.pi * torch.arange(12, dtype=F64) / 12
    turns = torch.linalg.matrix_exp(angles[:, None, None] * g.algebra[0])
    h = torch.cat([turns, turns @ g.discrete[0]])
    out, into = lay.rep_out.matrix(h), lay.rep_in.matrix(h)
    total, flat = (out @ lay.weight @ into.mT).mean(0), (out @ lay.bias).mean(0)
    assert float((a - total).abs().max()) < 1e-12 and float((b - flat).abs().max()) < 1e-12


def test_nested_groups_and_zeros_of_the_penalty():
    """R_O3 >= R_O2xy for every W; R = 0 exactly for projected weights, and then the layer commutes with the group."""
    for seed in range(20):
        lay = layer(seed=seed)
        r = {name: float(residual(name, lay).detach()) for name in ("o3", "so3", "o2xy")}
        assert r["o3"] >= r["so3"] - 1e-12 and r["o3"] >= r["o2xy"] - 1e-12 and r["o2xy"] > 0.1
    with torch.no_grad():
        w, b = project("o2xy", lay.rep_in, lay.rep_out, lay.weight, lay.bias)
        lay.weight.copy_(w)
        lay.bias.copy_(b)
    assert float(residual("o2xy", lay)) < 1e-24 and float(residual("o2yz", lay)) > 0.1
    h = group("o2xy").sample(3, torch.Generator().manual_seed(0))
    x = torch.randn(7, lay.rep_in.size, dtype=F64)
    for out, into in zip(lay.rep_out.matrix(h), lay.rep_in.matrix(h), strict=True):
        assert float((lay(x @ into.mT) - lay(x) @ out.mT).abs().max()) < 1e-10


@pytest.mark.parametrize("name", ["o3", "o2xy", "scaling", "so3_scaling"])
def test_gradient_of_the_penalty(name):
    """grad R = (I - P) vec W, by autograd and as the training step adds it, weighted by the strengths."""
    lay = layer()
    residual(name, lay).backward()
    w, b = (p.detach() for p in project(name, lay.rep_in, lay.rep_out, lay.weight, lay.bias))
    assert float((lay.weight.grad - (lay.weight - w)).abs().max()) < 1e-12
    assert float((lay.bias.grad - (lay.bias - b)).abs().max()) < 1e-12
    one = lay.weight.grad.clone(), lay.bias.grad.clone()
    penalty = Penalty([lay], ["so3", name], [0.0, 2.5])
    lay.zero_grad(set_to_none=False)
    penalty.add_gradient()
    assert float((lay.weight.grad - 2.5 * one[0]).abs().max()) < 1e-12
    assert float((lay.bias.grad - 2.5 * one[1]).abs().max()) < 1e-12
    assert math.isclose(float(penalty.residuals()[1]), float(residual(name, lay)), rel_tol=1e-12)


def test_tuning_of_strengths():
    """lambda (0, 100, 100, 100), R (14.9, 0.3, 1.5, 1.841), power 2: (0, 100, 4, 2.6554)."""
    tuner = Tuner(skip=1)
    tuner.record([0.0, 0.0, 0.0, 0.0])  # skipped
    tuner.record([14.9, 0.3, 1.5, 1.841])
    tuner.record([14.9, 0.4, 1.5, 2.0])  # nothing is lower: kept
    assert tuner.stored == [14.9, 0.3, 1.5, 1.841]
    out = tuner.adjust([0.0, 100.0, 100.0, 100.0], 2.0)
    assert np.allclose(out, [0.0, 100.0, 4.0, 2.6554], atol=1e-4)
    tuner.record([14.0, 9.0, 9.0, 9.0])  # one is lower: the whole vector is replaced
    assert tuner.stored == [14.0, 9.0, 9.0, 9.0]
    assert discovered(["a", "b", "c"], [0, 2, 1]) == "b" and discovered(["a", "b"], [1, 1]) is None
    with pytest.raises(ValueError, match="no residuals"):
        Tuner().adjust([1.0], 2.0)


@pytest.mark.parametrize("outer", [False, True])
def test_bilinear_term_is_equivariant(outer):
    """B(rho(h) x) = rho(h) B(x) for O(3); without contractions also for scalings with scalars fixed; B is quadratic."""
    rep = Rep((4, 3, 2))
    torch.manual_seed(0)
    for name, contract in (("o3", True), ("so3_scaling", False)):
        b = Bilinear(rep, contract, outer).double()
        h = group(name).sample(4, torch.Generator().manual_seed(0))
        x = torch.randn(4, rep.size, dtype=F64)
        rho = rep.matrix(h)
        gap = b((rho @ x.unsqueeze(-1)).squeeze(-1)) - (rho @ b(x).unsqueeze(-1)).squeeze(-1)
        assert float(gap.detach().abs().max()) < 1e-9 * max(1.0, float(rho.abs().max()) ** 2)
        assert float((b(2 * x) - 4 * b(x)).detach().abs().max()) < 1e-10


def test_only_the_outer_product_forms_a_tensor_from_vectors():
    """From vectors alone the official contractions give no 3 x 3 tensor; v w^T does."""
    rep = Rep((4, 3, 2))
    x = torch.zeros(1, rep.size, dtype=F64)
    x[:, 4:13] = torch.randn(1, 9, dtype=F64)
    assert float(Bilinear(rep).double()(x)[:, 13:].abs().max()) == 0.0
    assert float(Bilinear(rep, outer=True).double()(x)[:, 13:].detach().abs().max()) > 0.1


@pytest.mark.parametrize("name", ["o3", "o2xy"])
def test_hard_network_is_equivariant_and_soft_is_not(name):
    """f(rho_in(h) x) = rho_out(h) f(x) to 1e-10 for the constrained network in float64."""
    h = group(name).sample(4, torch.Generator().manual_seed(3))
    x = torch.randn(4, 20, dtype=F64)
    for constraint, exact in (("hard", True), ("none", False), ("rpp", False)):
        torch.manual_seed(0)
        f = SoftEMLP(INERTIA, T2, Rep((6, 4, 2)), constraint, name, "outer").double().eval()
        gap = f((INERTIA.matrix(h) @ x.unsqueeze(-1)).squeeze(-1)) - (T2.matrix(h) @ f(x).unsqueeze(-1)).squeeze(-1)
        relative = float(gap.abs().max() / f(x).abs().max())
        assert relative < 1e-10 if exact else relative > 1e-3


def test_penalty_alone_drives_weights_to_the_group():
    """Gradient steps of the penalty leave P W unchanged and take R to 0."""
    lay = layer()
    target, _ = project("o3", lay.rep_in, lay.rep_out, lay.weight.detach(), lay.bias.detach())
    penalty = Penalty([lay], ["o3"], [1.0])
    for _ in range(60):
        for p in lay.parameters():
            p.grad = torch.zeros_like(p)
        penalty.add_gradient()
        with torch.no_grad():
            for p in lay.parameters():
                p -= 0.5 * p.grad
    assert float(penalty.residuals()) < 1e-20
    assert float((lay.weight - target).abs().max()) < 1e-10


def test_start_of_the_layers():
    """Orthogonal weights, biases uniform in [0, 1) / sqrt(n_out), swish path at 1e-3."""
    lay = layer(INERTIA, Rep((10, 5, 2)))
    w = lay.weight.detach()
    assert float((w.mT @ w - torch.eye(20, dtype=F64)).abs().max()) < 1e-5
    assert float(lay.bias.min()) >= 0 and float(lay.bias.max()) < lay.rep_out.size**-0.5
    f = SoftEMLP(INERTIA, T2, Rep((6, 4, 2)))
    assert (
        bool((f.blocks[0].swish == 1e-3).all())
        and SoftEMLP(INERTIA, T2, Rep((6, 4, 2)), "hard").blocks[0].swish is None
    )
    assert len(list(swish_mlp(3, 2, [4, 4]))) == 5


# ------------------------------------------------------------------------------------------ data


def test_points_are_the_released_ones():
    """Seed N + k + dim: 3025 and 3012; masses are positive; the first numbers of the generator."""
    x = adapter.points("inertia", 3000)
    g = torch.randn(3000, 20, generator=torch.Generator().manual_seed(3025)).double().numpy()
    assert x.shape == (3000, 20) and np.array_equal(x[:, 5:], g[:, 5:])
    assert np.allclose(x[:, :5], np.log1p(np.exp(g[:, :5])), atol=1e-6) and (x[:, :5] > 0).all()
    y = torch.randn(3000, 9, generator=torch.Generator().manual_seed(3012)).double().numpy()
    assert np.array_equal(adapter.points("cossim", 3000), y)


@pytest.mark.parametrize("axis", [-1, 0, 1, 2])
def test_inertia_has_the_stated_symmetry(axis):
    """f(hx) = h f(x) h^T for h of each group that the config calls exact, not for the others."""
    x = adapter.points("inertia", 300)[:50]
    exact = Data(name="inertia", axis=axis).exact()
    for name in CANDIDATES["inertia"]:
        h = group(name).sample(50, torch.Generator().manual_seed(0))
        moved = np.einsum("nij,nj->ni", INERTIA.matrix(h).numpy(), x)
        truth = np.einsum("nij,nj->ni", T2.matrix(h).numpy(), inertia(x, -1.0, axis))
        gap = np.abs(inertia(moved, -1.0, axis) - truth).max()
        assert gap < 1e-10 if name in exact else gap > 0.1
    assert Data(name="inertia", constant=0.0).exact() == CANDIDATES["inertia"]


@pytest.mark.parametrize("keeps", ["so3_scaling", "so3", "scaling", "none"])
def test_cosine_similarity_has_the_stated_symmetry(keeps):
    x = adapter.points("cossim", 300)[:50]
    exact = Data(name="cossim", function="cossim", keeps=keeps).exact()
    for name in CANDIDATES["cossim"]:
        h = group(name).sample(50, torch.Generator().manual_seed(0))
        moved = np.einsum("nij,nj->ni", Rep((0, 3)).matrix(h).numpy(), x)
        gap = np.abs(cosine_similarity(moved, 1.0, keeps) - cosine_similarity(x, 1.0, keeps)).max()
        assert gap < 1e-10 if name in exact else gap > 0.05


def load(**choices):
    return adapter.load(Data(**choices), fold="split0", source="simulated", root=Path("."), cache=Path("."))


def test_splits_and_variance():
    """Thirds of 3,000; the variance of all target entries about their one mean is 17.57."""
    b = load(name="inertia")
    assert [len(s) for s in (b.train, b.val, b.test)] == [1000] * 3
    y = np.concatenate([b.train.y, b.val.y, b.test.y])
    assert abs(float(y.var()) - 17.57) < 0.01


# ------------------------------------------------------------------------------------------ the method


def run(tmp_path, *words):
    cell = plan.expand(
        ["method=soft_equivariance", "scale=smoke", "fold=0", f"out={tmp_path}", "trainer.threads=1", *words]
    )[0]
    outcome, record = cells.run(cell)
    assert outcome == "done", record["traceback"]
    return {m["metric"]: m["value"] for m in record["metrics"]}


def test_method_tunes_and_reports(tmp_path):
    """Strengths start equal, are adjusted once, the largest group's stays 0, and the figures of the group errors are there."""
    m = run(tmp_path, "method.init_equiv=0.1")
    assert m["strength_o3"] == 0.0
    strengths = [m[f"strength_{g}"] for g in ("o2xy", "o2yz", "o2xz")]
    assert math.isclose(max(strengths), 0.1, rel_tol=1e-9) and min(strengths) < 0.0999
    assert {"discovered", "equivariance_error_o2xy", "residual_o3"} <= m.keys()


@pytest.mark.parametrize("method", ["soft_equivariance", "soft_none", "soft_rpp", "soft_mlp"])
def test_networks_that_can_learn_beat_the_mean_target(tmp_path, method):
    """After eight epochs less than nine tenths of the mean predictor's squared error is left; O(3) cannot have that."""
    assert run(tmp_path, f"method={method}")["unexplained"] < 0.9
    if method == "soft_equivariance":
        assert run(tmp_path, "method=soft_emlp")["unexplained"] > 1.0


def test_hard_network_has_no_error_after_training(tmp_path):
    m = run(tmp_path, "method=soft_emlp", "method.group=o2xy")
    assert m["equivariance_error_adversarial_o2xy"] < 1e-10 < 0.01 < m["equivariance_error_o2yz"]
    for g in CANDIDATES["inertia"]:
        mean, worst, most = (m[f"equivariance_error{k}_{g}"] for k in ("", "_worst", "_adversarial"))
        assert mean <= worst <= most


def test_meter_knows_the_functions_symmetry():
    """Of the inertia tensor itself with one axis singled out: rounding under the exact group, far from it under the others."""
    x = torch.as_tensor(adapter.points("inertia", 300)[:50])

    def f(z):
        m, r = z[:, :5], z[:, 5:].unflatten(1, (5, 3))
        square = (m * r.square().sum(-1)).sum(-1)
        j = square[:, None, None] * torch.eye(3, dtype=F64) - torch.einsum("ni,nia,nib->nab", m, r, r)
        return (j * torch.tensor([1.0, 1.0, 0.0], dtype=F64)).flatten(1)

    assert np.allclose(f(x).numpy(), inertia(x.numpy(), -1.0, 2))
    for name in CANDIDATES["inertia"]:
        e = equivariance_errors(f, TensorAction(name, INERTIA, T2), x, draws=2, steps=4)
        assert e.adversarial < 1e-12 if name == "o2xy" else e.mean > 0.1 and e.adversarial > e.worst


@pytest.mark.parametrize("name", NAMES)
def test_ascent_stays_in_the_group(name):
    """A perturbed element of an orthogonal group is orthogonal, of every group still equivariant for projected weights."""
    lay = layer()
    with torch.no_grad():
        for p, q in zip(lay.parameters(), project(name, lay.rep_in, lay.rep_out, lay.weight, lay.bias), strict=True):
            p.copy_(q)
    action = TensorAction(name, lay.rep_in, lay.rep_out)
    g, x = torch.Generator().manual_seed(0), torch.randn(5, lay.rep_in.size, dtype=F64)
    h, s, t = action.draw(5, g, x)
    w = torch.randn(5, action.dim * (action.dim - 1) // 2, dtype=F64, generator=g)
    h = action.perturb(h, w)
    if group(name).orthogonal:
        assert float((h.mT @ h - torch.eye(3, dtype=F64)).abs().max()) < 1e-12
    moved, _ = action.on_input((h, s, t), x, [])
    truth = action.on_output((h, s, t), lay(x))
    assert float(action.gap(lay(moved), truth).detach().max()) < 1e-10 * max(1.0, float(truth.detach().abs().max()))


def test_start_between_free_and_equivariant():
    """s P W + (1 - s) W has residual (1 - s)^2 R, and R = 0 at s = 1."""
    for share in (0.5, 1.0):
        lay = layer()
        r = float(residual("o3", lay).detach())
        blend([lay], "o3", share)
        assert math.isclose(float(residual("o3", lay).detach()), (1 - share) ** 2 * r, rel_tol=1e-9, abs_tol=1e-20)


def test_cosine_similarity_runs(tmp_path):
    m = run(tmp_path, "data=cossim", "method.weight_decay=2e-5")
    assert {"strength_so3", "strength_scaling", "equivariance_error_so3_scaling"} <= m.keys()


def test_strengths_scale_the_residual(tmp_path):
    """A strong penalty leaves weights nearer to the groups than none."""
    words = ["method.power=0", "method.lr=1e-2"]
    weak = run(tmp_path / "a", *words, "method.init_equiv=0.0001")
    strong = run(tmp_path / "b", *words, "method.init_equiv=10")
    assert strong["residual_o2xy"] < 0.5 * weak["residual_o2xy"]


def test_bad_choices_are_told():
    for config, words in (
        (Config(name="x", hidden=[1, 2]), "three positive numbers"),
        (Config(name="x", group="o3"), "leave it out"),
        (Config(name="x", epochs=10, adjust_at=6), "no epoch to select from"),
        (Data(name="x", function="cossim", axis=1), "belongs to data.function=inertia"),
        (Data(name="x", keeps="so3"), "belongs to data.function=cossim"),
    ):
        with pytest.raises(BenchError, match=words):
            config.check()
    for call, words in (
        (lambda: group("e8"), "choose one of"),
        (lambda: Rep(()), "positive"),
        (lambda: Rep((1, -1)), "positive"),
        (lambda: Bilinear(Rep((1, 1))), "scalars, vectors and 3 x 3 tensors"),
        (lambda: Penalty([], ["o3"], []), "one for each"),
        (lambda: Penalty([], ["o3"], [math.nan]), "finite"),
    ):
        with pytest.raises(ValueError, match=words):
            call()
