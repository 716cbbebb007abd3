"""The two-dimensional experiment of the AdamP paper as a method of the harness."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bench.schema import Bundle, Metric, Result, SolverMethod
from models.adamp.config import Config
from models.adamp.optim import SGDP


def trajectory(start: Tensor, goal: Tensor, cfg: Config) -> Tensor:
    """Weights of all steps, (steps + 1, 2) float64, of descent on f(w) = -<w / ||w||, goal> from `start` (1, 2)."""
    w = torch.nn.Parameter(start.clone())  # one row: SGDP leaves tensors of one dimension alone
    options: dict[str, Any] = {"lr": cfg.lr, "momentum": cfg.momentum}
    parity = {"official_parity": cfg.official_parity}
    optimiser = SGDP([w], **options, **parity) if cfg.projected else torch.optim.SGD([w], **options)
    path = [start[0].clone()]
    for _ in range(cfg.steps):
        optimiser.zero_grad()
        (-(w / w.norm() * goal).sum()).backward()
        optimiser.step()
        path.append(w.detach()[0].clone())
    return torch.stack(path)


def norm_law(path: Tensor, momentum: float, projected: bool) -> float:
    """Largest deviation from the paper's law of the norm.

    With u_t = w_{t+1} - w_t: ||w_{t+1}||^2 - ||w_t||^2 = ||u_t||^2, plus, without projection,
    2 sum_{k < t} momentum^(t - k) ||u_k||^2.
    """
    size = (path[1:] - path[:-1]).square().sum(1)
    growth = path.square().sum(1).diff()
    past = torch.zeros(())
    expected = []
    for s in size:
        expected.append(s if projected else s + 2 * past)
        past = momentum * (past + s)
    return float((growth - torch.stack(expected)).abs().max())


class Toy(SolverMethod):
    cfg: Config

    def fit(self, bundle: Bundle, ctx: Any) -> None:
        start, goal = torch.as_tensor(bundle.train.x), torch.as_tensor(bundle.train.y)
        self.path = trajectory(start, goal, self.cfg)

    def evaluate(self, bundle: Bundle, ctx: Any) -> Result:
        norm = self.path.norm(dim=1)
        away = 1 - (self.path @ torch.as_tensor(bundle.train.y)[0]) / norm
        near = (away < self.cfg.near).nonzero()
        first = float(near[0]) if len(near) else float(self.cfg.steps)
        self._draw(norm, away, bundle.group, ctx)
        law = norm_law(self.path, self.cfg.momentum, self.cfg.projected)
        return Result(
            metrics=[
                Metric("first_step", first, "lower", "steps"),
                Metric("arrived", float(len(near) > 0), "higher", "fraction"),
                Metric("final_norm", float(norm[-1]), "lower", "1"),
                Metric("norm_law_error", law, "lower", "1"),
            ]
        )

    def _draw(self, norm: Tensor, away: Tensor, group: str, ctx: Any) -> None:
        """Norm and distance to the goal against steps, logged as curves and drawn."""
        from matplotlib.figure import Figure

        for k in range(0, len(norm), max(1, len(norm) // 200)):
            ctx.log(k, norm=float(norm[k]), away=float(away[k]))
        figure = Figure(figsize=(7, 3.2))
        left = figure.add_subplot(1, 2, 1, xlabel="step", ylabel="||w||")
        left.plot(norm)
        left.set_title(f"{'projected' if self.cfg.projected else 'plain'}, momentum {self.cfg.momentum:g}, {group}")
        right = figure.add_subplot(1, 2, 2, xlabel="step", ylabel="1 - cosine to the goal", yscale="log")
        right.plot(away.clamp_min(1e-12))
        right.axhline(self.cfg.near, color="0.5", linestyle=":")
        figure.tight_layout()
        ctx.save_figure("trajectory", figure)
