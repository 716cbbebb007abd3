"""How the magnitude of predicted weights depends on gamma: the proportionality that MIP removes."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor

from models.mip.hypernet import HyperNetwork


@dataclass(frozen=True)
class Magnitude:
    """s(t) is the standard deviation over the entries of theta(t), t on a grid of [0, 1] along the diagonal of the inputs.

    `grid`, `scale`, `scale_change` : t, s(t) and the same of theta(t) - theta_0.
    `correlation` of t and s; `slope`, `intercept` of its regression line, s(t) ~ intercept + slope t.
    `proportionality_error` : max over a of ||h(a) - a h(1)|| / ||h(1)||, h without theta_0. Zero for the standard form.
    `departure` : largest relative departure of s(t) from its mean over the grid; `change_departure` : that of std(theta(t) - theta_0).
    """

    grid: Tensor
    scale: Tensor
    scale_change: Tensor
    correlation: float
    slope: float
    intercept: float
    proportionality_error: float
    departure: float
    change_departure: float


@torch.no_grad()
def magnitude(hyper: HyperNetwork, points: int = 21) -> Magnitude:
    """Measured in float64 on a copy in evaluation mode."""
    hyper = copy.deepcopy(hyper).double().eval()
    grid = torch.linspace(0, 1, points, dtype=torch.float64)
    inputs = grid[:, None].expand(-1, sum(hyper.inputs.values()))
    theta = hyper.flat(inputs)
    change = theta - hyper.theta0()
    scale, scale_change = theta.std(1), change.std(1)
    line = torch.linalg.lstsq(torch.stack([torch.ones_like(grid), grid], 1), scale[:, None]).solution[:, 0]
    top = change[-1]
    error = torch.linalg.vector_norm(change - grid[:, None] * top, dim=1).max() / torch.linalg.vector_norm(top)
    return Magnitude(
        grid,
        scale,
        scale_change,
        correlation=float(torch.corrcoef(torch.stack([grid, scale]))[0, 1]),
        slope=float(line[1]),
        intercept=float(line[0]),
        proportionality_error=float(error),
        departure=float((scale / scale.mean() - 1).abs().max()),
        change_departure=float((scale_change / scale_change.mean() - 1).abs().max()),
    )
