"""Least-squares embedding of a finite metric space: minimise the mean of (s d_ij / t_ij - 1)^2 over all pairs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from models.geometry import poincare


@dataclass
class Embedded:
    """The best start: points (n, dim) float64, the scale s. `distortions` (starts,): root mean square relative error of each start
    at the end; `history` (steps + 1,) that of the best."""

    points: Tensor
    scale: float
    distortions: Tensor
    history: Tensor

    @property
    def distortion(self) -> float:
        return float(self.distortions.min())


def embed(
    target: Tensor,
    dim: int = 2,
    c: float | None = 1.0,
    clip: float | None = None,
    steps: int = 1500,
    starts: int = 8,
    lr: float = 0.03,
    generator: torch.Generator | None = None,
) -> Embedded:
    """Points whose distances match `target` (n, n), positive off the diagonal, up to one free scale.

    Coordinates u start at 0.01 N(0, 1) and are moved by Adam with a cosine schedule, float64. With `c` the points are
    M(u) = project(exp0(clip(u))) on the ball of curvature -c under hyperbolic distance; with `c` None they are u under Euclidean
    distance. The scale s is exp of a parameter that starts at 0. The problem has many minima: `starts` starts are moved side by
    side and the best is kept.
    """
    n = len(target)
    if n < 2 or target.shape != (n, n):
        raise ValueError(
            f"target has shape {tuple(target.shape)}; give the square matrix of distances of two points or more"
        )
    i, j = torch.triu_indices(n, n, 1)
    t = target.double()[i, j]
    if not bool((t > 0).all() and t.isfinite().all()):
        raise ValueError("target holds distances that are not positive and finite; merge points that coincide")
    u = (0.01 * torch.randn(starts, n, dim, dtype=torch.float64, generator=generator)).requires_grad_()
    log_s = torch.zeros(starts, 1, dtype=torch.float64, requires_grad=True)
    adam = torch.optim.Adam([u, log_s], lr=lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)

    def place() -> Tensor:
        return u if c is None else poincare.to_ball(u, c, clip)

    def losses() -> Tensor:
        x = place()
        a, b = x[:, i], x[:, j]
        d = torch.linalg.vector_norm(a - b, dim=-1) if c is None else poincare.distance(a, b, c)
        return (log_s.exp() * d / t - 1).square().mean(1)

    history = []
    for _ in range(steps):
        adam.zero_grad()
        loss = losses()
        loss.sum().backward()  # a start sees its own loss only
        adam.step()
        schedule.step()
        history.append(loss.detach())
    with torch.no_grad():
        history.append(losses())
        best = int(history[-1].argmin())
        return Embedded(
            place()[best].clone(), float(log_s[best].exp()), history[-1].sqrt(), torch.stack(history)[:, best].sqrt()
        )
