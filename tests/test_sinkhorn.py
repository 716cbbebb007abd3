"""Entropic transport plans: marginals, optimality, derivatives, and agreement with POT where it is installed; float64."""

from __future__ import annotations

import pytest
import torch
from torch.autograd import gradcheck

from models.geometry.sinkhorn import potentials, sinkhorn, sinkhorn_steps

F64 = torch.float64


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def problem(*batch, n=7, m=5, seed=0):
    cost = torch.rand(*batch, n, m, generator=rng(seed), dtype=F64)
    a = torch.rand(*batch, n, generator=rng(seed + 1), dtype=F64) + 0.2
    b = torch.rand(*batch, m, generator=rng(seed + 2), dtype=F64) + 0.2
    return cost, a / a.sum(-1, keepdim=True), b / b.sum(-1, keepdim=True)


def close(a, b, tol):
    assert float((a - b).detach().abs().max()) < tol


@pytest.mark.parametrize("epsilon", [0.03, 0.3, 30.0])
def test_marginals_and_form_of_the_minimiser(epsilon):
    """P >= 0, P 1 = a, P^T 1 = b to 1e-9, and log P + C / epsilon is a sum f_i + g_j: the optimality conditions."""
    cost, a, b = problem(3)
    p = sinkhorn(cost, epsilon, a, b, tol=1e-10, steps=20000)
    assert bool((p > 0).all())
    close(p.sum(-1), a, 1e-12)
    close(p.sum(-2), b, 1e-9)
    s = p.log() + cost / epsilon
    close(s - s[..., :1, :] - s[..., :1] + s[..., :1, :1], 0 * s, 1e-9 / epsilon + 1e-9)


def test_minimiser_beats_other_plans():
    """<C, P> + epsilon sum P (log P - 1) is smaller at P than along every admissible direction."""
    cost, a, b = problem(n=4, m=4)
    p = sinkhorn(cost, 0.1, a, b, tol=1e-13)

    def value(q):
        return float((cost * q).sum() + 0.1 * (q * (q.log() - 1)).sum())

    d = torch.randn(20, 4, 4, generator=rng(9), dtype=F64)
    d = d - d.mean(-1, keepdim=True) - d.mean(-2, keepdim=True) + d.mean((-1, -2), keepdim=True)
    for move in d:
        assert value(p + 1e-4 * move) > value(p)


def test_doubly_stochastic_and_symmetric():
    """Without marginals: rows and columns 1 to 1e-6, and symmetric where the kernel is (oracle 1 of the method's card)."""
    c = torch.nn.functional.normalize(torch.randn(60, 5, generator=rng(), dtype=F64), dim=1)
    p = sinkhorn(-(c @ c.T).abs(), 0.15, tol=1e-12, steps=5000)
    assert bool((p >= 0).all())
    for dim in (0, 1):
        close(p.sum(dim), torch.ones(60, dtype=F64), 1e-6)
    close(p, p.T, 1e-9)


def test_steps_converge_to_the_plan():
    """The fixed number of log-domain half-steps approaches the converged plan; odd leaves rows exact, even the columns."""
    cost, a, b = problem(2)
    p = sinkhorn(cost, 0.2, a, b, tol=1e-13)
    close(sinkhorn_steps(cost, 0.2, a, b, half_steps=401), p, 1e-12)
    close(sinkhorn_steps(cost, 0.2, a, b, half_steps=3).sum(-1), a, 1e-14)
    close(sinkhorn_steps(cost, 0.2, a, b, half_steps=4).sum(-2), b, 1e-14)


def test_overrelaxed_and_stabilised_iterations_reach_the_same_plan():
    """Where kernels underflow (cost / epsilon up to 4000, float32 and float64) the plan is that of the log domain."""
    x = torch.linspace(0, 1, 40, dtype=F64)
    cost = (x[:, None] - x.roll(11)[None]) ** 2 * 4
    exact = sinkhorn_steps(cost, 1e-3, half_steps=40001)
    p = potentials(cost, 1e-3, tol=1e-10, steps=40000)
    assert p.error <= 1e-10
    close(p.plan, exact, 1e-7)
    close((p.f[:, None] + p.g - cost / 1e-3).exp(), p.plan, 1e-10)
    single = potentials(cost.float(), 1e-3, tol=1e-5, steps=40000)
    assert single.error <= 1e-5
    close(single.plan.double(), exact, 1e-3)
    few = potentials(cost, 1e-3, tol=1e-12, steps=3)
    assert few.steps == 3 and few.error > 1e-12
    close(few.plan.sum(-1), torch.ones(40, dtype=F64), 1e-10)


def test_implicit_gradient_is_exact():
    """Derivatives of the minimiser in the cost and, along changes that keep the totals equal, in the marginals (gradcheck, 1e-6)."""
    cost, a, b = problem(2, n=4, m=3)

    def plan(c, ra, rb):
        return sinkhorn(c, 0.3, ra.softmax(-1), rb.softmax(-1), tol=1e-14, steps=5000)

    args = [t.clone().requires_grad_() for t in (cost, a.log(), b.log())]
    assert gradcheck(plan, args, eps=1e-6, atol=1e-6)


def test_implicit_and_unrolled_gradients_agree_at_convergence():
    """Both equal the derivative of the minimiser, to 1e-8."""
    cost, a, b = problem(n=6, m=6)
    w = torch.randn(6, 6, generator=rng(4), dtype=F64)
    grads = []
    for plan in (
        lambda c: sinkhorn(c, 0.2, a, b, tol=1e-13),
        lambda c: sinkhorn_steps(c, 0.2, a, b, half_steps=301),
    ):
        c = cost.clone().requires_grad_()
        (plan(c) * w).sum().backward()
        grads.append(c.grad)
    close(grads[0], grads[1], 1e-8)
    close(grads[0].sum(-1), torch.zeros(6, dtype=F64), 1e-10)  # adding a constant to a row of the cost changes nothing


def test_constant_column_potentials():
    """With detach_columns the gradient is that of one row normalisation of the kernel with the last column potentials."""
    cost, a, b = problem(n=5, m=5)
    w = torch.randn(5, 5, generator=rng(4), dtype=F64)
    c = cost.clone().requires_grad_()
    p = sinkhorn_steps(c, 0.2, a, b, half_steps=5, detach_columns=True)
    (p * w).sum().backward()
    p = p.detach()
    mean = (p * w).sum(-1, keepdim=True) / a.unsqueeze(-1)
    close(c.grad, -p * (w - mean) / 0.2, 1e-12)


def test_batched_equals_one_by_one():
    cost, a, b = problem(4)
    p = sinkhorn(cost, 0.1, a, b, tol=1e-12, steps=5000)
    for i in range(4):
        close(sinkhorn(cost[i], 0.1, a[i], b[i], tol=1e-12, steps=5000), p[i], 1e-10)


def test_against_pot():
    """The plan of the Python Optimal Transport library, to 1e-9."""
    ot = pytest.importorskip("ot")
    cost, a, b = problem(n=30, m=20)
    theirs = ot.sinkhorn(a.numpy(), b.numpy(), cost.numpy(), 0.05, stopThr=1e-13, numItermax=20000)
    close(sinkhorn(cost, 0.05, a, b, tol=1e-12, steps=20000), torch.from_numpy(theirs), 1e-9)


def test_bad_input_is_told():
    cost, a, b = problem()
    nan = cost.clone()
    nan[0, 0] = float("nan")
    for args, word in (
        ((nan, 0.1), "not finite"),
        ((cost, 0.0), "epsilon"),
        ((cost.long(), 0.1), "cost"),
        ((cost, 0.1, a * 2, b), "sums to"),
        ((cost, 0.1, a - a, b), "positive finite masses"),
        ((cost, 0.1, b, b), "positive finite masses"),
    ):
        with pytest.raises(ValueError, match=word):
            sinkhorn(*args)
    with pytest.raises(ValueError, match="raise steps"):
        sinkhorn(cost, 1e-3, a, b, tol=1e-13, steps=2)
    with pytest.raises(ValueError, match="half_steps"):
        sinkhorn_steps(cost, 0.1, half_steps=0)
