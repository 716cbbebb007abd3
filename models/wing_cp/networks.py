"""Networks from point inputs (B, P, c) and conditions (B, q) to the pressure coefficient (B, P)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.nn.mlp import mlp
from models.nn.transformer import Block


class PointwiseMLP(nn.Module):
    """Each point by itself: coordinates, features and conditions through `depth` hidden layers."""

    def __init__(self, points: int, conditions: int, width: int, depth: int) -> None:
        super().__init__()
        self.net = mlp([points + conditions, *[width] * depth, 1], nn.GELU)

    def forward(self, x: Tensor, conditions: Tensor) -> Tensor:
        conditions = conditions[:, None].expand(-1, x.shape[1], -1)
        return self.net(torch.cat([x, conditions], -1))[..., 0]


class PointNetCp(nn.Module):
    """Each point beside the maximum over all points of the surface (PointNet, Qi et al. 2017, without transforms or batch norm)."""

    def __init__(self, points: int, conditions: int, width: int, depth: int) -> None:
        super().__init__()
        self.each = mlp([points + conditions, *[width] * depth], nn.GELU, last=True)
        self.head = mlp([2 * width, width, width, 1], nn.GELU)

    def forward(self, x: Tensor, conditions: Tensor) -> Tensor:
        h = self.each(torch.cat([x, conditions[:, None].expand(-1, x.shape[1], -1)], -1))
        return self.head(torch.cat([h, h.amax(1, keepdim=True).expand_as(h)], -1))[..., 0]


class DAN(nn.Module):
    """Self-attention over the points of a surface and one token for the conditions, pre-norm blocks, and a head for each point.

    The embedding is a perceptron whose hidden layer shrinks as inputs are added, so that networks with other features have the same
    number of parameters (within half a row of that layer). The paper's DAN could not be read; this is the project's design.
    """

    def __init__(self, points: int, conditions: int, width: int, depth: int, heads: int) -> None:
        super().__init__()
        hidden = max(1, round(2 * width * width / (points + 1 + width)))
        self.embed = mlp([points, hidden, width], nn.GELU)
        self.condition = mlp([conditions, width, width], nn.GELU)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.norm, self.head = nn.LayerNorm(width), mlp([width, width, 1], nn.GELU)

    def forward(self, x: Tensor, conditions: Tensor) -> Tensor:
        h = torch.cat([self.condition(conditions)[:, None], self.embed(x)], 1)
        for block in self.blocks:
            h = block(h)
        return self.head(self.norm(h[:, 1:]))[..., 0]
