"""The encoder of a set of points around a query, used once for the patch and once for the whole shape."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.shs_net.layers import Dense, GraphConv, PileConv


class EncodeNet(nn.Module):
    """Two graph convolutions, each behind a layer of 3/16 width: positions (B, N, 3) -> features (B, N, 15/32 width)."""

    def __init__(self, width: int, neighbours: bool) -> None:
        super().__init__()
        c, growth = 3 * width // 16, 3 * width // 32
        kinds = ("relative", "full") if neighbours else ("point", "point")
        self.convs = nn.ModuleList(GraphConv(c, growth, kind) for kind in kinds)
        self.out_channels = c + 3 * growth
        self.before = nn.ModuleList([Dense(3, c), Dense(self.out_channels, c)])

    def forward(self, pos: Tensor, near: Tensor | None) -> Tensor:
        f = pos
        for before, conv in zip(self.before, self.convs, strict=True):
            f = conv(before(f), pos, near)
        return f


class FusionNet(nn.Module):
    """A perceptron on lifted positions and codes, both fed in again before its fourth layer: (B, N, 3), (B, N, c) -> (B, N, out).

    The third layer is narrow, so that the fourth has the common width again.
    """

    def __init__(self, code: int, width: int, out: int) -> None:
        super().__init__()
        lift = width // 2
        self.lift = nn.Sequential(nn.Linear(3, width // 2), nn.ReLU(), nn.Linear(width // 2, lift))
        given = lift + code
        self.start = nn.Sequential(
            nn.Linear(given, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, width - given),
            nn.ReLU(),
        )
        self.end = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, out))

    def forward(self, pos: Tensor, code: Tensor) -> Tensor:
        given = torch.cat([self.lift(pos), code], -1)
        return self.end(torch.cat([self.start(given), given], -1))


class PointEncoder(nn.Module):
    """Points (B, N, 3), query at the origin -> codes (B, n / 2, width) of the first n / 2 points, and weights (B, N), n = N // 4."""

    def __init__(self, width: int, neighbours: bool) -> None:
        super().__init__()
        self.encode = EncodeNet(width, neighbours)
        code = self.encode.out_channels
        self.fuse = FusionNet(code, width, width // 2)
        self.join = Dense(code + width // 2, width)
        self.piles = nn.ModuleList(PileConv(width if i == 0 else 2 * width, 2 * width) for i in range(5))
        self.top = nn.Sequential(Dense(2 * width, 2 * width), Dense(2 * width, width))
        self.alpha, self.beta = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1))

    def weights(self, pos: Tensor) -> Tensor:
        """w_i = sigmoid(beta - alpha |p_i|), scaled to mean 1 over the points: (B, N, 3) -> (B, N)."""
        w = torch.sigmoid(self.beta - self.alpha * pos.detach().norm(dim=-1))
        return w / w.mean(1, keepdim=True)

    def forward(self, pos: Tensor, near: Tensor | None) -> tuple[Tensor, Tensor]:
        n = pos.shape[1] // 4
        f = self.encode(pos, near)
        y, w = self.join(torch.cat([f, self.fuse(pos, f)], -1)), self.weights(pos)
        y = self.piles[0](y, 2 * n, w)
        y = self.piles[1](y, n, w) + y[:, :n]
        y = self.piles[2](y, n, w)
        y = self.piles[3](y, n // 2, w) + y[:, : n // 2]
        return self.top(self.piles[4](y, n // 2, w)), w
