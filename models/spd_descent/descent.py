"""Descent towards an ill-conditioned SPD target: Bures-Wasserstein against affine-invariant geometry.

A deterministic test of the geometric claim of Wang et al. 2025 (arXiv 2504.00660): the metric operator at P
has condition number kappa(P) under Bures-Wasserstein and kappa(P)^2 under the affine-invariant metric.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from models.geometry.eig import EXP, SQRT, Eig, sym


@dataclass(frozen=True)
class Descent:
    """Outcome for one metric.

    Attributes
    ----------
    metric : "aim" or "bw"
    iterations : mean over targets at the best step size; the cap counts where one did not converge
    step : the best step size
    converged : whether all targets were reached at that step size
    """

    metric: str
    iterations: float
    step: float
    converged: bool


def _aim_update(x: Tensor, grad: Tensor, step: Tensor) -> Tensor:
    h = Eig(x).apply(SQRT)
    return h @ Eig(-step * (h @ grad @ h)).apply(EXP) @ h


def _bw_update(x: Tensor, grad: Tensor, step: Tensor) -> Tensor:
    a = torch.eye(x.shape[-1], dtype=x.dtype) - step * grad
    return a @ x @ a


_UPDATES = {"aim": _aim_update, "bw": _bw_update}


@torch.no_grad()
def descent(
    metric: str,
    goal: Tensor,
    steps: Sequence[float],
    tol: float = 1e-3,
    cap: int = 4000,
) -> Descent:
    """Iterations to minimise 1/2 ||X - X*||_F^2 from X = I with the best constant step size.

    AIM: X <- X^(1/2) exp(-eta X^(1/2) G X^(1/2)) X^(1/2); BW: X <- (I - eta G) X (I - eta G); G = X - X*.
    `goal` (m, n, n) holds m targets X*, SPD, float64. Stops at relative error `tol` or after `cap`
    iterations; all step sizes and targets advance as one batch, and the run ends as soon as no other step size can do better.

    Raises
    ------
    ValueError
        Unknown metric.
    """
    if metric not in _UPDATES:
        raise ValueError(f"unknown metric {metric!r}; choose aim or bw")
    eta = torch.tensor(steps, dtype=torch.float64).repeat_interleave(len(goal))[:, None, None]
    goal = goal.repeat(len(steps), 1, 1)
    size = torch.linalg.matrix_norm(goal)
    x = torch.eye(goal.shape[-1], dtype=torch.float64).expand_as(goal).clone()
    count = torch.full((len(goal),), float(cap), dtype=torch.float64)
    active = torch.arange(len(goal))
    for k in range(1, cap + 1):
        x = sym(_UPDATES[metric](x, x - goal[active], eta[active]))
        error = torch.linalg.matrix_norm(x - goal[active]) / size[active]
        done = error <= tol
        count[active[done]] = k
        keep = ~done & (error < 1e3)  # NaN and diverged runs are dropped with the count at the cap
        x, active = x[keep], active[keep]
        lower = count.clone()
        lower[active] = k + 1.0
        waiting = torch.zeros(len(goal), dtype=torch.bool)
        waiting[active] = True
        finished = ~waiting.reshape(len(steps), -1).any(-1)
        means = lower.reshape(len(steps), -1).mean(-1)
        if finished.all() or (finished.any() and means[finished].min() <= means[~finished].min()):
            break
    means = torch.where(finished, count.reshape(len(steps), -1).mean(-1), torch.full_like(means, float(cap)))
    best = int(means.argmin())
    return Descent(
        metric,
        float(means[best]),
        float(steps[best]),
        bool((count.reshape(len(steps), -1)[best] < cap).all()),
    )


@torch.no_grad()
def trajectory(metric: str, goal: Tensor, step: float, iterations: int) -> Tensor:
    """Relative errors ||X_k - X*||_F / ||X*||_F (iterations + 1, m) of descent with one step size; a diverged run gives inf."""
    x = torch.eye(goal.shape[-1], dtype=goal.dtype).expand_as(goal).clone()
    size = torch.linalg.matrix_norm(goal)
    eta = torch.full((len(goal), 1, 1), step, dtype=goal.dtype)
    errors = [torch.linalg.matrix_norm(x - goal) / size]
    for _ in range(iterations):
        x = sym(_UPDATES[metric](x, x - goal, eta))
        errors.append(torch.linalg.matrix_norm(x - goal) / size)
    return torch.stack(errors)


def metric_condition(p: Tensor) -> dict[str, float]:
    """Condition number of the metric operator V -> g_p(V, .) at SPD p (n, n): {"aim": kappa^2, "bw": kappa}.

    In the eigenbasis of p the operators are V_ij / (p_i p_j) and V_ij / (2 (p_i + p_j)).
    """
    w = Eig(p).w
    aim, bw = w[:, None] * w[None, :], w[:, None] + w[None, :]
    return {"aim": float(aim.max() / aim.min()), "bw": float(bw.max() / bw.min())}
