"""Mathematics of models.geometry.spd, float64."""

from __future__ import annotations

import math

import pytest
import torch

from models.geometry import eig, spd
from models.nn.spd_layers import LogEig, ReEig

F64 = torch.float64


def random_spd(*shape: int, kappa: float = 20.0, seed: int = 0) -> torch.Tensor:
    """SPD matrices (*shape, n) -> (..., n, n) with eigenvalues spread geometrically over [1/kappa, 1]."""
    g = torch.Generator().manual_seed(seed)
    n = shape[-1]
    q = torch.linalg.qr(torch.randn(*shape, n, dtype=F64, generator=g)).Q
    w = torch.exp(-math.log(kappa) * torch.rand(*shape, dtype=F64, generator=g))
    return spd.sym((q * w.unsqueeze(-2)) @ q.mT)


def random_sym(*shape: int, seed: int = 0) -> torch.Tensor:
    g = torch.Generator().manual_seed(seed)
    return spd.sym(torch.randn(*shape, shape[-1], dtype=F64, generator=g))


def close(a: torch.Tensor, b: torch.Tensor, tol: float) -> None:
    """Largest difference at most tol times the largest entry of b (or 1 if b is 0)."""
    scale = max(float(b.abs().max()), 1e-300) if bool(b.any()) else 1.0
    assert a.shape == b.shape
    assert float((a - b).abs().max()) <= tol * scale


SPECS = {
    "sqrt": (eig.SQRT, lambda w: 0.5 * w**-0.5),
    "inv_sqrt": (eig.INV_SQRT, lambda w: -0.5 * w**-1.5),
    "log": (eig.LOG, lambda w: 1 / w),
    "exp": (eig.EXP, torch.exp),
    "abs": (eig.ABS, torch.sign),
    "power_0.5": (eig.power(0.5), lambda w: 0.5 * w**-0.5),
    "power_-0.5": (eig.power(-0.5), lambda w: -0.5 * w**-1.5),
    "power_2": (eig.power(2.0), lambda w: 2 * w),
    "power_-1": (eig.power(-1.0), lambda w: -(w**-2)),
    "rectify": (eig.rectify(0.1), lambda w: (w > 0.1).to(w)),
    "log_rectified": (eig.log_rectified(0.1), lambda w: (w > 0.1) / w),
}


@pytest.mark.parametrize("name", SPECS)
def test_eigenfunction_value_and_gradient(name):
    """f(X) = Q f(w) Q^T and its gradient equals central differences."""
    spec, _ = SPECS[name]
    x = random_spd(3, 4, seed=1)
    w, q = torch.linalg.eigh(x)
    close(eig.Eig(x).apply(spec), (q * spec.value(w).unsqueeze(-2)) @ q.mT, 1e-13)
    assert torch.autograd.gradcheck(lambda y: eig.Eig(y).apply(spec), x.requires_grad_(), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("name", SPECS)
def test_divided_differences_keep_precision_near_ties(name):
    """Relative gaps of 1e-8, 1e-12 and 0 give f[a, b] = f'(midpoint) + O(gap^2) to 1e-10."""
    spec, derivative = SPECS[name]
    base = torch.tensor([1e-6, 0.3, 2.0, 40.0], dtype=F64)
    for gap in (0.0, 1e-12, 1e-8):
        for a in base:
            w = torch.stack([a, a * (1 + gap)])
            close(spec.loewner(w)[0, 1], derivative(w.mean()), 1e-10)


@pytest.mark.parametrize("name", SPECS)
def test_divided_differences_far_apart(name):
    spec, _ = SPECS[name]
    w = torch.tensor([1e-9, 3e-3, 0.5, 7.0], dtype=F64)
    f = spec.value(w)
    expected = (f[:, None] - f[None, :]) / (w[:, None] - w[None, :])
    off = ~torch.eye(4, dtype=torch.bool)
    assert ((spec.loewner(w)[off] - expected[off]).abs() <= 1e-9 * expected[off].abs() + 1e-14).all()


def test_tie_rule_is_the_derivative():
    """At X = I all divided differences are f'(1): the gradient of tr(A f(X)) is f'(1) sym A."""
    a = random_sym(5, seed=2)
    for spec, derivative in SPECS.values():
        x = torch.eye(5, dtype=F64, requires_grad=True)
        (g,) = torch.autograd.grad((a * eig.Eig(x).apply(spec)).sum(), x)
        close(g, derivative(torch.ones((), dtype=F64)) * a, 1e-13)
    x = torch.eye(5, dtype=F64, requires_grad=True)
    (g,) = torch.autograd.grad((a * eig.Eig(x).apply(eig.without_ties(eig.SQRT))).sum(), x)
    close(g, torch.diag(0.5 * a.diagonal()), 1e-13)


def test_one_decomposition_serves_all(monkeypatch):
    """sqrt, inverse sqrt, log and Lyapunov, forward and backward, call eigh once; the gradient is right."""
    calls = []
    real = torch.linalg.eigh
    monkeypatch.setattr(torch.linalg, "eigh", lambda *a, **k: (calls.append(1), real(*a, **k))[1])
    x, v = random_spd(4, seed=3).requires_grad_(), random_sym(4, seed=4)

    def total(y):
        e = eig.Eig(y)
        h, hi = e.roots()
        return (v * h).sum() + (v * hi).sum() + (v * e.log()).sum() + (v * e.lyapunov(v @ v)).sum()

    total(x).backward()
    assert len(calls) == 1
    d = random_sym(4, seed=5)
    with torch.no_grad():
        fd = (total(x + 1e-5 * d) - total(x - 1e-5 * d)) / 2e-5
    assert abs(float((x.grad * d).sum() - fd)) < 1e-7 * abs(float(fd))


@pytest.mark.parametrize(
    "kernel",
    [eig.LYAPUNOV, eig.FROM_IDENTITY, eig.TO_IDENTITY, eig.INVERSE_FROM_IDENTITY],
    ids=lambda k: k.name,
)
@pytest.mark.parametrize("tied", [False, True])
def test_kernel_operator_gradients(kernel, tied):
    """K_X[V] is differentiable in X and V, with X shared by a batch or not, also at X = I."""
    x = torch.eye(3, dtype=F64) if tied else random_spd(3, seed=6)
    v = random_sym(2, 3, seed=7).requires_grad_()
    operator = lambda p, u: eig.Eig(p).schur(spd.sym(u), kernel)  # noqa: E731
    assert torch.autograd.gradcheck(operator, (x.clone().requires_grad_(), v), atol=1e-6, rtol=1e-6)
    batch = torch.stack([x, random_spd(3, seed=8)]).requires_grad_()
    assert torch.autograd.gradcheck(operator, (batch, v), atol=1e-6, rtol=1e-6)


def test_the_logarithm_after_rectification_is_one_function():
    """LogEig(eps) equals LogEig of ReEig(eps), value and gradient, with eigenvalues on both sides of eps and ties at it."""
    q = torch.linalg.qr(random_sym(6, seed=21)).Q
    w = torch.tensor([1e-9, 1e-7, 1e-5, 1e-5, 0.3, 2.0], dtype=F64)
    g = random_sym(6, seed=22)
    found = []
    for layers in ([ReEig(1e-5), LogEig()], [LogEig(1e-5)]):
        x = ((q * w) @ q.T).requires_grad_()
        y = torch.nn.Sequential(*layers)(x)
        found.append((y.detach(), torch.autograd.grad((g * y).sum(), x)[0]))
    close(found[1][0], found[0][0], 1e-10)
    close(found[1][1], found[0][1], 1e-6)  # rounding decides on which side of eps an eigenvalue of 1e-5 falls in each


def test_lyapunov_solves_its_equation():
    p, v = random_spd(5, 4, seed=1), random_sym(5, 4, seed=2)
    lv = spd.lyapunov(p, v)
    close(p @ lv + lv @ p, v, 1e-12)


def test_condition_number_1e12_is_finite():
    """All functions and gradients are finite for condition number 1e12 and for an exact zero eigenvalue."""
    for x in (random_spd(4, 6, kappa=1e12, seed=3), torch.diag(torch.tensor([1.0, 0.5, 0.0], dtype=F64))):
        for spec, _ in SPECS.values():
            y = x.clone().requires_grad_()
            out = eig.Eig(y).apply(spec)
            out.sum().backward()
            assert torch.isfinite(out).all() and torch.isfinite(y.grad).all()


# --- validation
# ---------------------------------------------------------------------------------------------------

BAD = [
    (torch.ones(2, 3, dtype=F64), ValueError, "shape"),
    (torch.ones(3, dtype=F64), ValueError, "shape"),
    (torch.ones(0, 3, 3, dtype=F64), ValueError, "non-empty"),
    (torch.tensor([[1.0, 2.0], [0.0, 1.0]], dtype=F64), ValueError, "not symmetric"),
    (torch.eye(2, dtype=torch.complex128), TypeError, "complex"),
    (torch.eye(2, dtype=torch.int64), TypeError, "double"),
    (torch.eye(2, dtype=torch.float16), TypeError, "double"),
    (torch.eye(2, dtype=torch.bfloat16), TypeError, "double"),
    (torch.full((2, 2), math.nan, dtype=F64), ValueError, "NaN"),
    (torch.diag(torch.tensor([1.0, math.inf], dtype=F64)), ValueError, "Inf"),
    (torch.diag(torch.tensor([1.0, -0.1], dtype=F64)), ValueError, "positive definite"),
    ([[1.0]], TypeError, "torch.Tensor"),
]


@pytest.mark.parametrize(("x", "error", "word"), BAD)
def test_check_spd_names_argument_and_remedy(x, error, word):
    with pytest.raises(error, match=word) as info:
        spd.check_spd("covariance", x)
    assert "covariance" in str(info.value) and "\n" not in str(info.value)


def test_check_spd_accepts():
    spd.check_spd("x", random_spd(3, 4))
    spd.check_spd("x", random_spd(3, 4).float())
    spd.check_spd("x", torch.diag(torch.tensor([1.0, 0.0], dtype=F64)), definite=False)
    spd.check_spd("x", torch.eye(2, dtype=F64), eigenvalues=torch.ones(2, dtype=F64))
    with pytest.raises(ValueError, match="positive definite"):
        spd.check_spd("x", torch.eye(2, dtype=F64), eigenvalues=torch.tensor([-1.0, 1.0], dtype=F64))


# --- Bures-Wasserstein
# --------------------------------------------------------------------------------------------


def test_bw_exp_inverts_log():
    p, x = random_spd(6, 5, seed=1), random_spd(6, 5, seed=2)
    close(spd.bw_exp(p, spd.bw_log(p, x)), x, 1e-10)
    close(spd.bw_log(p, p), torch.zeros_like(p), 1e-13)
    close(spd.bw_exp_identity(spd.bw_log_identity(x)), x, 1e-13)
    eye = torch.eye(5, dtype=F64).expand_as(x)
    close(spd.bw_log_identity(x), spd.bw_log(eye, x), 1e-13)
    close(spd.bw_exp_identity(0.1 * x), spd.bw_exp(eye, 0.1 * x), 1e-13)


def test_bw_distance_is_pyriemann_and_commuting_formula():
    pytest.importorskip("pyriemann")
    from pyriemann.geometry.distance import distance_wasserstein

    a, b = random_spd(20, 6, seed=3), random_spd(20, 6, seed=4)
    theirs = torch.from_numpy(distance_wasserstein(a.numpy(), b.numpy(), squared=True))
    close(spd.bw_distance2(a, b), theirs, 1e-10)
    close(spd.bw_distance(a, b) ** 2, theirs, 1e-10)
    x, y = torch.rand(5, dtype=F64), torch.rand(5, dtype=F64)
    close(spd.bw_distance2(torch.diag(x), torch.diag(y)), (x.sqrt() - y.sqrt()).square().sum(), 1e-12)


def test_bw_distance_is_riemannian():
    """d(p, x)^2 = g_p(Log, Log), symmetric in its arguments, 0 at equality with a finite gradient."""
    p, x = random_spd(6, 5, seed=5), random_spd(6, 5, seed=6)
    close(spd.bw_inner(p, spd.bw_log(p, x)), spd.bw_distance2(p, x), 1e-11)
    close(spd.bw_distance2(x, p), spd.bw_distance2(p, x), 1e-12)
    a = p[0].clone().requires_grad_()
    d = spd.bw_distance2(a, p[0])
    d.backward()
    assert float(d.detach()) < 1e-14 and torch.isfinite(a.grad).all()


def test_bw_distance_gradient():
    """Gradients by central differences; singular arguments stay finite."""
    a, b = random_spd(2, 4, seed=7).requires_grad_(), random_spd(2, 4, seed=8).requires_grad_()
    assert torch.autograd.gradcheck(lambda u, v: spd.bw_distance2(spd.sym(u), spd.sym(v)), (a, b), atol=1e-6)
    z = torch.diag(torch.tensor([1.0, 0.5, 0.0, 0.0], dtype=F64)).requires_grad_()
    d = spd.bw_distance2(z, b[0])
    d.backward()
    assert torch.isfinite(d) and torch.isfinite(z.grad).all()


def test_bw_transport_is_an_isometry():
    p, v = random_spd(6, 5, seed=9), random_sym(6, 5, seed=10)
    eye = torch.eye(5, dtype=F64)
    t = spd.bw_transport_to_identity(p, v)
    close(spd.bw_inner(eye, t), spd.bw_inner(p, v), 1e-12)
    close(spd.bw_transport_from_identity(p, t), v, 1e-12)


def test_bw_geodesic():
    a, b = random_spd(4, 5, seed=11), random_spd(4, 5, seed=12)
    close(spd.bw_geodesic(a, b, 0.0), a, 1e-13)
    close(spd.bw_geodesic(a, b, 1.0), b, 1e-11)
    for t in (0.1, 0.5, 0.8):
        g = spd.bw_geodesic(a, b, t)
        close(spd.bw_distance(a, g), t * spd.bw_distance(a, b), 1e-9)
        close(g, spd.bw_exp(a, t * spd.bw_log(a, b)), 1e-11)
        cross = spd.bw_log(a, b) + 2 * a
        close(g, (1 - t) ** 2 * a + t**2 * b + t * (1 - t) * cross, 1e-12)


@pytest.mark.parametrize("kappa", [20.0, 1e5])
def test_bw_mean_is_the_frechet_mean(kappa):
    """Mean of Log_B(X_i) is 0; equal to pyriemann and, unrolled with a gradient, to the plain fixed point."""
    pytest.importorskip("pyriemann")
    from pyriemann.geometry.mean import mean_wasserstein

    x = random_spd(15, 5, kappa=kappa, seed=13)
    m = spd.bw_mean(x)
    close(spd.bw_log(m, x).mean(0) / m.norm(), torch.zeros_like(m), 1e-9)
    close(m, torch.from_numpy(mean_wasserstein(x.numpy(), tol=1e-12, maxiter=200)), 1e-9)
    close(spd.bw_mean(x.clone().requires_grad_(), n_iter=300).detach(), m, 1e-9)
    batched = spd.bw_mean(torch.stack([x, 2 * x]), n_iter=300)
    close(batched, torch.stack([m, 2 * m]), 1e-9)


def test_bw_mean_weights_and_one_step():
    x = random_spd(4, 3, seed=14)
    w = torch.tensor([1.0, 2.0, 1.0, 1.0], dtype=F64)
    close(spd.bw_mean(x, weights=w), spd.bw_mean(torch.cat([x, x[1:2]])), 1e-10)
    b0 = x.mean(0)
    h, hi = eig.Eig(b0).roots()
    s = spd.sqrtm(h @ x @ h).mean(0)
    close(spd.bw_mean(x, n_iter=1), hi @ s @ s @ hi, 1e-12)
    close(spd.bw_mean(x[:1], n_iter=5), x[0], 1e-12)
    assert torch.autograd.gradcheck(lambda y: spd.bw_mean(spd.sym(y), n_iter=1), x.clone().requires_grad_(), atol=1e-6)


def test_gbw_is_bw_in_the_chart():
    """Exp inverts Log, distances and means are invariant under congruence of data and M together."""
    a, b, m = random_spd(4, 4, seed=15), random_spd(4, 4, seed=16), random_spd(4, seed=17)
    close(spd.gbw_exp(a, spd.gbw_log(a, b, m), m), b, 1e-10)
    k = torch.linalg.qr(random_sym(4, seed=18)).Q @ torch.diag(torch.tensor([1.0, 2.0, 0.5, 3.0], dtype=F64))
    move = lambda y: spd.sym(k @ y @ k.mT)  # noqa: E731
    close(spd.gbw_distance2(move(a), move(b), move(m)), spd.gbw_distance2(a, b, m), 1e-10)
    close(spd.gbw_mean(move(a), move(m)), move(spd.gbw_mean(a, m)), 1e-9)
    for theta in (0.5, -0.5, 2.0):
        close(spd.gbw_unchart(spd.gbw_chart(a, m, theta), m, theta), a, 1e-10)
        close(spd.gbw_geodesic(a, b, 1.0, m, theta), b, 1e-9)
    close(spd.gbw_distance2(a, b, theta=0.5), 4 * spd.bw_distance2(spd.sqrtm(a), spd.sqrtm(b)), 1e-12)


def test_bw_accepts_rank_deficient_data_aim_does_not():
    x = random_spd(5, 4, seed=19)
    u = torch.linalg.eigh(x[0]).eigenvectors[:, :1]
    project = torch.eye(4, dtype=F64) - u @ u.mT
    singular = spd.sym(project @ x[0] @ project)
    for out in (
        spd.bw_log(x[1], singular),
        spd.bw_exp(x[1], spd.bw_log(x[1], singular)),
        spd.bw_transport_to_identity(x[1], singular),
        spd.bw_distance2(x[1], singular),
        spd.bw_geodesic(x[1], singular, 0.5),
    ):
        assert torch.isfinite(out).all()
    close(spd.bw_exp(x[1], spd.bw_log(x[1], singular)), singular, 1e-6)
    exact = torch.diag(torch.tensor([1.0, 0.5, 0.2, 0.0], dtype=F64))
    assert not torch.isfinite(spd.aim_distance2(torch.eye(4, dtype=F64), exact))


# --- the other metrics
# --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["aim", "lem", "lcm"])
def test_other_metrics(name):
    log, exp, dist, geodesic, mean = (
        getattr(spd, f"{name}_{f}") for f in ("log", "exp", "distance2", "geodesic", "mean")
    )
    a, b = random_spd(4, 4, seed=20), random_spd(4, 4, seed=21)
    close(exp(a, log(a, b)), b, 1e-9)
    close(log(a, a), torch.zeros_like(a), 1e-12)
    close(geodesic(a, b, 0.0), a, 1e-12)
    close(geodesic(a, b, 1.0), b, 1e-11)
    close(geodesic(a, b, 0.3), exp(a, 0.3 * log(a, b)), 1e-9)
    close(dist(a, geodesic(a, b, 0.3)), 0.09 * dist(a, b), 1e-9)
    x = random_spd(9, 4, seed=22)
    m = mean(x)
    close(log(m, x).mean(0), torch.zeros_like(m), 1e-9)
    w = torch.tensor([2.0] + [1.0] * 8, dtype=F64)
    close(mean(x, weights=w), mean(torch.cat([x[:1], x])), 1e-9)


def test_other_metrics_equal_pyriemann():
    pytest.importorskip("pyriemann")
    from pyriemann.geometry import distance, mean

    a, b = random_spd(6, 4, seed=23), random_spd(6, 4, seed=24)
    an, bn = a.numpy(), b.numpy()
    for ours, theirs in (
        (spd.aim_distance2, distance.distance_riemann),
        (spd.lem_distance2, distance.distance_logeuclid),
        (spd.lcm_distance2, distance.distance_logchol),
    ):
        close(ours(a, b), torch.from_numpy(theirs(an, bn, squared=True)), 1e-10)
    close(spd.aim_mean(a), torch.from_numpy(mean.mean_riemann(an, tol=1e-12)), 1e-9)
    close(spd.lem_mean(a), torch.from_numpy(mean.mean_logeuclid(an)), 1e-10)
    close(spd.lcm_mean(a), torch.from_numpy(mean.mean_logchol(an)), 1e-10)


def test_aim_one_step_mean():
    """exp at the arithmetic mean G of the mean logarithm there."""
    x = random_spd(5, 3, seed=25)
    g = x.mean(0)
    close(spd.aim_mean(x, n_iter=1), spd.aim_exp(g, spd.aim_log(g, x).mean(0)), 1e-12)


def test_base_point_gradient_is_refused_not_wrong():
    p = random_spd(3, seed=26).requires_grad_()
    with pytest.raises(NotImplementedError, match="detach"):
        spd.lem_log(p, random_spd(3, seed=27))


@pytest.mark.parametrize("kappa", [1e2, 1e4, 1e8])
def test_the_affine_invariant_mean_converges_on_widely_spread_matrices(kappa):
    """Full steps cycle for ever at condition number 1e4 in unlike eigenbases; the mean is where the mean logarithm vanishes."""
    from pyriemann.geometry import mean

    torch.manual_seed(0)
    q = torch.linalg.qr(torch.randn(2, 30, 10, 10, dtype=torch.float64))[0]
    x = (q * torch.logspace(0, -math.log10(kappa), 10, dtype=torch.float64)) @ q.mT
    g = spd.aim_mean(x)
    assert float(torch.linalg.matrix_norm(spd.aim_log(g[:, None], x).mean(1)).max()) < 1e-10
    close(
        g[0], torch.from_numpy(mean.mean_riemann(x[0].numpy(), tol=1e-12, maxiter=500)), 1e-10 + 1e-14 * kappa
    )  # digits that the inverse roots lose
    with pytest.warns(UserWarning, match="has not converged in 2 steps"):
        spd.aim_mean(x, n_iter=2)
