"""Grassmann manifold, Grassmann class representation (arXiv 2308.01547) and its optimisers: equations, invariances, limits; float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.linalg import subspace_angles
from torch import nn

from bench import cell as cells
from bench import choices, plan
from bench.schema import Arrays, BenchError
from models.gcr import GrassmannAdam, GrassmannHead, GrassmannSGD
from models.gcr.head import grassmann_head
from models.geometry import grassmann
from models.image_classifier.optimisers import optimiser
from models.nn.feature_quality import linear_probe, separation, variability

F64 = torch.float64


def rng(seed):
    return torch.Generator().manual_seed(seed)


def randn(*shape, seed=0):
    return torch.randn(shape, dtype=F64, generator=rng(seed))


def frames(n=5, d=12, k=3, seed=0):
    return grassmann.random_frames(n, d, k, rng(seed), F64)


def horizontal(s, seed=1, size=1.0):
    h = grassmann.tangent(s, randn(*s.shape, seed=seed))
    return size * h / torch.linalg.matrix_norm(h, ord=2, keepdim=True)


def close(a, b, tol):
    assert float((a - b).detach().abs().max()) < tol


def head(d=12, n=5, k=3, gamma=25.0, seed=0):
    torch.manual_seed(seed)
    return GrassmannHead(d, n, k, gamma).double()


def on_manifold(h):
    with torch.no_grad():
        h.weight.copy_(frames(h.weight.shape[0], h.weight.shape[2], h.weight.shape[1]).mT)
    return h


def by_svd(s, h, t):
    """The geodesic as the paper writes it: (S V cos(t r) + U sin(t r)) V^T with h = U diag(r) V^T."""
    u, r, vt = torch.linalg.svd(h, full_matrices=False)
    return (s @ vt.mT * (t * r).cos().unsqueeze(-2) + u * (t * r).sin().unsqueeze(-2)) @ vt


# --- the manifold


@pytest.mark.parametrize("t", [-1.3, 1e-9, 0.02, 0.15, 0.2, 40.0])
def test_geodesic_without_svd_is_the_geodesic(t):
    """The same matrix as the formula with the singular value decomposition, also where h has rank one, is tiny, or turns often."""
    s = frames()
    for h in (horizontal(s), 1e-7 * horizontal(s), horizontal(s)[..., :1] * torch.tensor([1.0, 2.0, -1.0], dtype=F64)):
        close(grassmann.exp(s, h, t), by_svd(s, h, t), 1e-12)
    assert grassmann.error(grassmann.exp(s, horizontal(s), t)) < 1e-13


def test_length_of_the_geodesic():
    """Principal angles between start and end are |t| times the singular values of the velocity, below pi / 2, to 1e-8."""
    s = frames()
    h = horizontal(s)
    r = torch.linalg.svdvals(h).flip(-1)
    for t in (1e-9, 1e-4, 0.7, -1.5):
        angles = grassmann.principal_angles(s, grassmann.exp(s, h, t))
        assert float((angles / (abs(t) * r) - 1).abs().max()) < 1e-6
        close(angles, abs(t) * r, 1e-8)
    close(grassmann.distance(s, grassmann.exp(s, h, 0.5)), 0.5 * torch.linalg.matrix_norm(h), 1e-10)


def test_velocity_is_the_derivative_and_keeps_its_length():
    s = frames()
    h = horizontal(s)
    end, velocity = grassmann.exp_and_transport(s, h, 0.8)
    e = 1e-6
    close(velocity, (grassmann.exp(s, h, 0.8 + e) - grassmann.exp(s, h, 0.8 - e)) / (2 * e), 1e-8)
    close(end.mT @ velocity, torch.zeros(()), 1e-13)
    close(torch.linalg.svdvals(velocity), torch.linalg.svdvals(h), 1e-12)
    close(grassmann.exp(end, velocity, 0.4), grassmann.exp(s, h, 1.2), 1e-12)


@pytest.mark.parametrize("block", [2**18, 72])
def test_step_is_the_geodesic_of_the_projection(block, monkeypatch):
    """The fused step, its frame and its velocity, to 1e-12, for one and for two batch axes, in one block and in several."""
    monkeypatch.setattr(grassmann, "BLOCK", block)
    s, a = frames(n=6), randn(6, 3, 12, seed=5)
    end, velocity = grassmann.exp_and_transport(s, grassmann.tangent(s, a.mT), -0.7)
    for shape in ((6, 3, 12), (2, 3, 3, 12)):
        for clean in (False, True):
            rows, carried = s.mT.clone().contiguous().reshape(shape), a.clone().reshape(shape)
            grassmann.step_(rows, carried, -0.7, carried, clean)
            close(rows.reshape(6, 3, 12).mT, end, 1e-12)
            close(carried.reshape(6, 3, 12).mT, velocity, 1e-12)


def test_one_time_for_each_subspace():
    s = frames()
    h, t = horizontal(s), torch.linspace(-1, 1, 5, dtype=F64)
    close(grassmann.exp(s, h, t), torch.stack([grassmann.exp(s[i], h[i], float(t[i])) for i in range(5)]), 1e-13)


def test_log_inverts_exp():
    s = frames()
    h = horizontal(s, size=1.4)
    close(grassmann.log(s, grassmann.exp(s, h)), h, 1e-11)
    with pytest.raises(ValueError, match="right angle"):
        grassmann.log(torch.eye(4, 2, dtype=F64), torch.eye(4, dtype=F64)[:, 2:])


def test_principal_angles_are_those_of_scipy():
    """To 1e-12, also for subspaces of two dimensions, and small angles keep their digits."""
    a, b = frames(k=4), frames(k=2, seed=7)
    for i in range(5):
        expected = torch.from_numpy(np.sort(subspace_angles(a[i].numpy(), b[i].numpy())))
        close(grassmann.principal_angles(a, b)[i], expected, 1e-12)
        close(grassmann.principal_angles(b, a)[i], expected, 1e-12)
    c = frames(k=4, seed=3)
    close(
        grassmann.chordal(a, c),
        torch.linalg.matrix_norm(grassmann.projector(a) - grassmann.projector(c)) / 2**0.5,
        1e-12,
    )


def test_reorthonormalisation_is_qr_with_positive_diagonal():
    s = frames(d=40, k=6)
    moved = s + 1e-4 * randn(*s.shape, seed=4)
    q = grassmann.reorthonormalise(moved)
    close(q, grassmann.orthonormalise(moved), 1e-13)
    assert grassmann.error(q) < 1e-14
    close(grassmann.projector(q), grassmann.projector(torch.linalg.qr(moved)[0]), 1e-13)
    close(grassmann.orthonormalise(s), s, 1e-14)
    far = randn(3, 10, 4)
    close(grassmann.reorthonormalise(far), grassmann.orthonormalise(far), 1e-15)


def test_bad_frames():
    with pytest.raises(ValueError, match="holds 5 columns of length 4"):
        grassmann.orthonormalise(randn(4, 5))
    with pytest.raises(ValueError, match="linearly dependent"):
        grassmann.orthonormalise(torch.ones(4, 2, dtype=F64))
    with pytest.raises(ValueError, match="not finite"):
        grassmann.orthonormalise(torch.full((4, 2), math.nan))
    with pytest.raises(ValueError, match="k=5 must lie between 1 and D=4"):
        grassmann.random_frames(2, 4, 5)


# --- the head


def test_scores_do_not_depend_on_the_basis():
    """Rotating the basis of each class by any orthogonal matrix leaves scores to 1e-12."""
    h, x = on_manifold(head()), randn(9, 12, seed=2)
    before = h(x)
    with torch.no_grad():
        h.weight.copy_((h.frames @ torch.linalg.qr(randn(5, 3, 3, seed=3))[0]).mT)
    close(h(x), before, 1e-12)


def test_score_is_gamma_times_the_cosine_of_the_smallest_angle():
    h, x = on_manifold(head()), randn(9, 12, seed=2)
    unit = (x / x.norm(dim=1, keepdim=True)).unsqueeze(-1)
    for c in range(5):
        close(h(x)[:, c], 25 * grassmann.principal_angles(h.frames[c].expand(9, 12, 3), unit)[:, 0].cos(), 1e-12)
    inside = h.frames[2] @ randn(3, seed=5)
    assert abs(float(h(inside[None]).detach()[0, 2]) - 25) < 1e-12
    assert float(h(x).detach().max()) <= 25 and float(h(x).detach().min()) >= 0


def test_whole_space_and_partition():
    """k = D gives gamma for every x; subspaces that partition an orthonormal basis give squares that sum to gamma^2."""
    x = randn(9, 12, seed=2)
    whole = on_manifold(head(k=12))
    close(whole(x), torch.full((9, 5), 25.0, dtype=F64), 1e-12)
    parts = head(n=4, k=3)
    with torch.no_grad():
        parts.weight.copy_(torch.linalg.qr(randn(12, 12))[0].view(4, 3, 12))
    close(parts(x).square().sum(1), torch.full((9,), 625.0, dtype=F64), 1e-10)


def test_scores_do_not_depend_on_length_or_sign_of_features():
    h, x = on_manifold(head()), randn(9, 12, seed=2)
    close(h(7.3 * x), h(x), 1e-12)
    close(h(-x), h(x), 1e-12)
    line = on_manifold(head(k=1))
    cosine = torch.nn.functional.cosine_similarity(x[:, None], line.weight[None, :, 0], dim=2)
    close(line(x), 25 * cosine.abs(), 1e-12)


def test_zero_features_have_zero_scores_and_finite_gradients():
    h, x = on_manifold(head()), torch.zeros(2, 12, dtype=F64, requires_grad=True)
    h(x).sum().backward()
    assert float(h(x).detach().abs().max()) == 0 and x.grad.isfinite().all() and h.weight.grad.isfinite().all()


def test_start_is_orthonormal_and_layout_is_rows():
    h = head(d=30, n=7, k=4).float()
    assert h.weight.is_contiguous() and h.weight.shape == (7, 4, 30) and grassmann.error(h.frames) < 1e-6


def test_half_precision_features():
    h = head().float()
    x = torch.randn(3, 12, generator=rng(0))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        scores = h(x.bfloat16())
    assert scores.dtype == torch.float32
    close(scores, h(x.bfloat16().float()), 1e-5)


def test_averages_are_orthonormalised():
    h = on_manifold(head())
    with torch.no_grad():
        h.weight.mul_(0.9).add_(0.1 * grassmann.exp(h.frames, horizontal(h.frames, size=0.3)).mT)
    h.after_average()
    assert grassmann.error(h.frames) < 1e-13


def test_bad_heads():
    with pytest.raises(ValueError, match="k=9 dimensions for each class do not fit into features of dimension 8"):
        GrassmannHead(8, 3, 9)
    with pytest.raises(ValueError, match="gamma=0"):
        GrassmannHead(8, 3, 2, 0.0)


# --- the optimisers


def problem(h, seed=3):
    x, y = randn(40, h.weight.shape[2], seed=seed), torch.arange(40) % h.weight.shape[0]
    return lambda: nn.functional.cross_entropy(h(x), y)


def run(h, opt, steps):
    loss = problem(h)
    for _ in range(steps):
        opt.zero_grad()
        loss().backward()
        opt.step()
    return float(loss().detach())


OPTIMISERS = [
    (GrassmannSGD, {"lr": 0.1}),
    (GrassmannSGD, {"lr": 0.1, "momentum": 0.9}),
    (GrassmannSGD, {"lr": 0.1, "momentum": 0.9, "official_momentum": True}),
    (GrassmannSGD, {"lr": 0.1, "momentum": 0.9, "official_momentum": True, "official_parity": True}),
    (GrassmannAdam, {"lr": 0.05}),
]


@pytest.mark.parametrize(("cls", "options"), OPTIMISERS)
def test_bases_stay_orthonormal_and_the_loss_falls(cls, options):
    """Error below 1e-10 in float64 and 1e-5 in float32 after 200 steps, re-orthonormalised every 5."""
    for dtype, tol in ((F64, 1e-10), (torch.float32, 1e-5)):
        h = on_manifold(head())
        before = float(problem(h)().detach())
        opt = cls([h.weight.requires_grad_()], reorth_step=5, **options)
        if dtype == torch.float32:
            h.float()
            x, y = randn(40, 12, seed=3).float(), torch.arange(40) % 5
            for _ in range(200):
                opt.zero_grad()
                nn.functional.cross_entropy(h(x), y).backward()
                opt.step()
        else:
            assert run(h, opt, 200) < before - 1
        assert grassmann.error(h.frames.detach()) < tol


def official_step(s, buffer, g, lr, momentum, step, every):
    """One update as the card writes it, by the singular value decomposition of the projected Euclidean buffer."""
    buffer = g if buffer is None else momentum * buffer + g
    s = by_svd(s, grassmann.tangent(s, buffer), -lr)
    return (torch.linalg.qr(s)[0] if step % every == 0 else s), buffer


@pytest.mark.parametrize("every", [1, 5])
def test_official_momentum(every):
    """20 steps of the released update, W itself, to 1e-9."""
    h = on_manifold(head())
    opt = GrassmannSGD(
        [h.weight], lr=0.1, momentum=0.9, reorth_step=every, official_momentum=True, official_parity=True
    )
    s, buffer, loss = h.frames.detach().clone(), None, problem(h)
    for step in range(20):
        opt.zero_grad(set_to_none=False)  # in place: the buffer must not share memory with the gradient
        loss().backward()
        s, buffer = official_step(s, buffer, h.weight.grad.mT.clone(), 0.1, 0.9, step, every)
        opt.step()
        close(h.frames, s, 1e-9)


def test_first_steps_agree_and_later_ones_do_not():
    """Without momentum both kinds are one; with it they part at the second step, by an amount of second order in lr."""
    apart = []
    for lr in (1e-3, 1e-4):
        ends = []
        for official in (True, False):
            h = on_manifold(head())
            run(h, GrassmannSGD([h.weight], lr=lr, momentum=0.9, official_momentum=official), 2)
            ends.append(h.frames.detach())
        apart.append(float(grassmann.distance(*ends).max()))
    assert apart[0] > 0 and 50 < apart[0] / apart[1] < 200
    one = [on_manifold(head()) for _ in range(2)]
    for h, official in zip(one, (True, False), strict=True):
        run(h, GrassmannSGD([h.weight], lr=0.1, official_momentum=official), 7)
    close(one[0].weight, one[1].weight, 1e-13)


@pytest.mark.parametrize(("cls", "options"), [OPTIMISERS[1], OPTIMISERS[4]])
def test_the_path_of_subspaces_does_not_depend_on_the_basis(cls, options):
    """Starting from rotated bases, all later subspaces are the same to 1e-9: momentum and second moments turn with the basis."""
    ends = []
    for q in (torch.eye(3, dtype=F64), torch.linalg.qr(randn(5, 3, 3, seed=8))[0]):
        h = on_manifold(head())
        with torch.no_grad():
            h.weight.copy_((h.frames @ q).mT)
        run(h, cls([h.weight], reorth_step=1, **options), 15)
        ends.append(grassmann.projector(h.frames.detach()))
    close(*ends, 1e-9)


def test_no_step_and_a_step_inside_the_subspace_move_nothing():
    """lr = 0 keeps the subspace; so does a gradient S A, which only turns the basis."""
    s = frames()
    for lr, g in ((0.0, randn(5, 3, 12)), (0.3, (s @ randn(5, 3, 3, seed=6)).mT)):
        w = nn.Parameter(s.mT.clone())
        w.grad = g.clone()
        GrassmannSGD([w], lr=lr).step()
        close(grassmann.projector(w.mT), grassmann.projector(s), 1e-13)


def test_lines_follow_great_circles():
    """k = 1: s cos(t |g|) - g / |g| sin(t |g|) for the tangent part g; so does geoopt's sphere."""
    geoopt = pytest.importorskip("geoopt", reason="an independent oracle")
    s, g = frames(k=1), randn(5, 1, 12, seed=2)
    w = nn.Parameter(s.mT.clone())
    w.grad = g.clone()
    GrassmannSGD([w], lr=0.3).step()
    x, tangent = s[..., 0], grassmann.tangent(s, g.mT)[..., 0]
    size = tangent.norm(dim=1, keepdim=True)
    close(w[:, 0], x * (0.3 * size).cos() - tangent / size * (0.3 * size).sin(), 1e-13)
    close(w[:, 0], geoopt.Sphere().expmap(x, -0.3 * tangent), 1e-12)


def test_small_steps_descend_at_the_rate_of_the_squared_gradient():
    """(f(S_new) - f(S)) / t -> -||grad f||_F^2."""
    h = on_manifold(head())
    loss = problem(h)
    loss().backward()
    g = grassmann.tangent(h.frames.detach(), h.weight.grad.mT)
    start, before, gap = h.weight.detach().clone(), float(loss()), []
    for t in (1e-4, 1e-5):
        with torch.no_grad():
            h.weight.copy_(start)
        GrassmannSGD([h.weight], lr=t).step()
        gap.append(abs((float(loss()) - before) / t / float(g.square().sum()) + 1))
    assert gap[1] < 1e-3 and 5 < gap[0] / gap[1] < 20


def test_reorthonormalisation_starts_at_the_first_step():
    s = frames() + 1e-3 * randn(5, 12, 3, seed=4)
    w = nn.Parameter(s.mT.clone())
    w.grad = torch.zeros_like(w)
    opt = GrassmannSGD([w], lr=0.1, reorth_step=5)
    opt.step()
    assert grassmann.error(w.detach().mT) < 1e-13
    with torch.no_grad():
        w.copy_(s.mT)
    errors = []
    for _ in range(5):
        opt.step()
        errors.append(grassmann.error(w.detach().mT))
    assert min(errors[:4]) > 1e-4 and errors[4] < 1e-13


def test_state_survives_saving():
    """Five steps, saved, five steps: as ten."""
    for cls, options in OPTIMISERS[1:]:
        whole, torn = on_manifold(head()), on_manifold(head())
        run(whole, cls([whole.weight], **options), 11)
        first = cls([torn.weight], **options)
        run(torn, first, 4)
        second = cls([torn.weight], **options)
        second.load_state_dict(first.state_dict())
        run(torn, second, 7)
        close(whole.weight, torn.weight, 1e-14)


def test_gradients_that_are_not_finite_are_refused():
    w = nn.Parameter(frames().mT.clone())
    w.grad = torch.full_like(w, math.nan)
    for cls in (GrassmannSGD, GrassmannAdam):
        with pytest.raises(ValueError, match="not finite; lower the step size"):
            cls([w], lr=0.1).step()


def test_bad_optimisers():
    w = nn.Parameter(frames().mT.clone())
    for make, text in (
        (lambda: GrassmannSGD([w], lr=-1), "lr is -1"),
        (lambda: GrassmannSGD([w], lr=1, momentum=1.0), "momentum is 1.0"),
        (lambda: GrassmannSGD([w], lr=1, reorth_step=0), "reorth_step is 0"),
        (lambda: GrassmannSGD([{"params": [w], "weight_decay": 0.1}], lr=1), "weight_decay has no meaning"),
        (lambda: GrassmannSGD([nn.Parameter(torch.ones(3, 4, 2))], lr=1), "holds 4 columns of length 2"),
        (lambda: GrassmannAdam([w], lr=1, betas=(0.9, 1.0)), "betas"),
    ):
        with pytest.raises(ValueError, match=text):
            make()


# --- in the classifier


def cfg_of(**changes):
    section = {k: v for k, v in choices.raw("method", "gcr").items() if k != "defaults"}
    return choices.typed("method", {**section, **changes}, "smoke")


def test_classifier_gives_each_parameter_its_optimiser():
    """Subspaces go to the Riemannian optimiser without decay, all else to the chosen one; the step sizes are as configured."""
    cfg = cfg_of(optimiser="adamw", lr=1e-3, grassmann_lr=0.1, weight_decay=0.05)
    net = nn.Sequential(nn.Linear(4, 12), grassmann_head(12, 5, cfg))
    opt = optimiser(net, cfg)
    assert [type(m).__name__ for m in opt.members] == ["AdamW", "GrassmannSGD"]
    assert [g["lr"] for g in opt.param_groups] == [1e-3, 0.1]
    assert opt.members[1].param_groups[0]["params"] == [net[1].weight]
    assert not opt.members[1].param_groups[0].get("weight_decay")
    assert cfg.parts() == ("gcr",)
    assert cfg_of(official_parity=True).gcr_official_momentum is None
    group = optimiser(net, cfg_of(official_parity=True, lr=0.1)).members[1].param_groups[0]
    assert group["official_momentum"] and group["official_parity"]
    group = optimiser(net, cfg_of(gcr_official_momentum=True, lr=0.1)).members[1].param_groups[0]
    assert group["official_momentum"] and not group["official_parity"]


def test_classifier_refuses():
    with pytest.raises(BenchError, match=r"subspace_dim=13 is more than the 12 features"):
        grassmann_head(12, 5, cfg_of(subspace_dim=13))
    with pytest.raises(BenchError, match="nesterov is not defined for subspaces"):
        cfg_of(nesterov=True)
    with pytest.raises(BenchError, match=r"data\.dim=9 is more than data\.ambient=8"):
        choices.typed("data", {"name": "subspaces", "dim": 9, "ambient": 8}, "smoke")


def cell(out, *words):
    made = plan.expand(
        ["scale=smoke", "fold=0", "data.source=synthetic", f"out={out}", "trainer.checkpoint_every_s=1e9", *words]
    )
    outcome, record = cells.run(made[0])
    assert outcome == "done", record["traceback"]
    return {m["metric"]: m["value"] for m in record["metrics"]}


def test_subspaces_are_found(tmp_path):
    """The card's simulation in small: k = 4 finds what k = 1 < k = 2 find in part and a linear head hardly."""
    words = ("data=subspaces", "data.n_train=1200", "data.n_test=500", "method.epochs=6")
    found = {k: cell(tmp_path, "method=gcr_vectors", f"method.subspace_dim={k}", *words) for k in (1, 2, 4)}
    linear = cell(tmp_path, "method=softmax", *words)["accuracy"]
    assert linear < 0.4 < found[1]["accuracy"] < found[2]["accuracy"] < found[4]["accuracy"]
    assert found[4]["accuracy"] > 0.98 and found[4]["orthonormality_error"] < 1e-5
    assert 0.8 < found[4]["subspace_cosine"] <= 1


def test_average_of_weights_stays_on_the_manifold(tmp_path):
    """With a moving average what is tested is the average, orthonormalised; Adam on subspaces, AdamW on the rest."""
    values = cell(
        tmp_path, "method=gcr", "method.ema=0.8", "method.epochs=2", "method.optimiser=adamw", "method.lr=1e-2",
        "method.grassmann_optimiser=adam", "method.grassmann_lr=0.05", "method.reorth_step=1",
    )  # fmt: skip
    assert values["orthonormality_error"] < 1e-5 and 0 <= values["linear_probe"] <= 1


# --- features


def test_variability_and_separation():
    """Two features at 60 degrees in one class; points as classes are fully separated; one cloud is not separated at all."""
    z = torch.tensor([[1.0, 0.0], [0.5, 3**0.5 / 2], [0.0, 2.0], [0.0, 1.0], [0.0, 5.0]])
    y = torch.tensor([3, 3, 7, 7, 7])
    assert abs(variability(z, y) - 60 / 4) < 1e-5, "one pair at 60 degrees, three at 0"
    assert variability(z, y) == variability(z, y, chunk=1)
    points = torch.eye(4, dtype=F64)[torch.arange(20) % 4]
    assert abs(separation(points, torch.arange(20) % 4) - 1) < 1e-12
    cloud = randn(4000, 3)
    assert abs(separation(cloud, torch.arange(4000) % 4)) < 0.01
    assert math.isnan(variability(z[:2], torch.tensor([0, 1])))


def test_linear_probe_separates_what_a_plane_separates():
    x = randn(300, 5)
    y = (x[:, 0] > 0.2).long()
    assert linear_probe((x[:150], y[:150]), (x[150:], y[150:])) > 0.95


def test_transfer_data_keeps_classes_apart(tmp_path):
    """Learned and probed classes are disjoint, the probe's halves too, and every image is somewhere."""
    made = plan.expand(["method=softmax", "data=digits_transfer", "scale=reduced", "fold=0", f"out={tmp_path}"])[0]
    b = cells.load(made)
    other = b.meta["transfer"]
    assert set(b.train.y) | set(b.test.y) == set(range(5)) == set(other["train"].y) == set(other["test"].y)
    parts = [b.train, b.test, other["train"], other["test"]]
    assert sum(map(len, parts)) == 1797 and all(isinstance(p, Arrays) for p in parts)
    assert abs(len(b.train) - len(b.test)) <= 1


def test_simulated_subspaces_are_what_they_say(tmp_path):
    """Without noise every vector lies in the subspace of its class; bases are orthonormal."""
    made = plan.expand(["method=gcr_vectors", "data.noise=0", "scale=smoke", "fold=0", f"out={tmp_path}"])[0]
    b = cells.load(made)
    bases = torch.as_tensor(b.meta["truth"]["bases"])
    assert grassmann.error(bases) < 1e-14
    inside = torch.linalg.vector_norm(
        torch.einsum("nd,ndk->nk", torch.as_tensor(b.test.x, dtype=F64), bases[b.test.y]), dim=1
    )
    close(inside, torch.ones(len(b.test), dtype=F64), 1e-6)
