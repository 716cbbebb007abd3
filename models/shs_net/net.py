"""SHS-Net: two encoders and a decoder that gives the normal of the query, its side, and the normals of its nearest points."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from models.shs_net.encoder import PointEncoder
from models.shs_net.layers import Dense, PileConv

OFFSET = 0.01  # of the weights of the nearest points, which are never 0


class Output(NamedTuple):
    """`normal` (B, 3), unit, of either side; `logit` (B,) of the side being right; `near` (B, m, 3) unit normals of the m = N // 4 // 4
    nearest points, with their `weights` (B, m)."""

    normal: Tensor
    logit: Tensor
    near: Tensor
    weights: Tensor

    def oriented(self) -> Tensor:
        """The normal (B, 3), turned where the logit is negative."""
        return self.normal * torch.where(self.logit >= 0, 1.0, -1.0).to(self.normal.dtype)[:, None]


def neighbours(x: Tensor, k: int, official_parity: bool = False) -> Tensor:
    """Indices (B, N, k) of the k nearest other points of each point of x (B, N, 3). Raises ValueError where N <= k.

    official_parity: the first of the k + 1 nearest is dropped, which among coincident points may be another one.
    """
    if x.shape[1] <= k:
        raise ValueError(
            f"patches of {x.shape[1]} points have no {k} neighbours beside the point; lower method.neighbours"
        )
    distance = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist")
    if official_parity:
        return distance.topk(k + 1, largest=False, sorted=True).indices[..., 1:]
    distance.diagonal(dim1=1, dim2=2).fill_(torch.inf)
    return distance.topk(k, largest=False).indices


class SHSNet(nn.Module):
    """Patch (B, N, 3) and sample (B, M, 3) in coordinates of the query, aligned, to an Output. Patch points sorted by distance.

    width 128 has 3,274,248 parameters, whatever N, M and k. `global_code=False` puts zeros for the code of the whole shape.
    Raises ValueError where N < 16 or M < 8, since the pile convolutions would keep no point.
    """

    def __init__(
        self, width: int = 128, k: int = 16, *, global_code: bool = True, official_parity: bool = False
    ) -> None:
        super().__init__()
        self.k, self.global_code, self.official_parity = k, global_code, official_parity
        self.local, self.shape = PointEncoder(width, neighbours=True), PointEncoder(width, neighbours=False)
        self.join = Dense(2 * width, width)
        self.piles = nn.ModuleList(PileConv(width, width) for _ in range(3))
        self.feature = Dense(width, width)
        self.weight, self.weighted = nn.Linear(width, 1), Dense(width, width)
        self.query, self.value = nn.Linear(width, width // 2), nn.Linear(width, width // 2)
        self.pooled, self.normal = nn.Linear(width // 2, width // 2), nn.Linear(width // 2, 4)
        self.near = nn.Linear(width, 3)

    def forward(self, patch: Tensor, sample: Tensor) -> Output:
        if patch.shape[1] < 16 or sample.shape[1] < 8:
            raise ValueError(
                f"a patch of {patch.shape[1]} and a sample of {sample.shape[1]} points are too small; give 16 and 8 at least"
            )
        half, quarter = patch.shape[1] // 4 // 2, patch.shape[1] // 4 // 4
        y, w = self.local(patch, neighbours(patch.detach(), self.k, self.official_parity))
        if self.global_code:
            whole = self.shape(sample, None)[0].amax(1, keepdim=True).expand(-1, half, -1)
        else:
            whole = torch.zeros_like(y)
        y0 = self.join(torch.cat([y, whole], -1))
        y1 = self.piles[0](y0, half, w)
        y2 = self.piles[1](y1, quarter, w) + y1[:, :quarter] + y0[:, :quarter]
        feature = self.feature(self.piles[2](y2, quarter, w))
        weights = OFFSET + torch.sigmoid(self.weight(feature))
        z = self.weighted(feature * weights)
        attention = torch.softmax(self.query(z), 1).amax(2)
        pooled = (attention[..., None] * self.value(z)).sum(1)
        out = self.normal(self.pooled(pooled))
        return Output(normalize(out[:, :3], dim=-1), out[:, 3], normalize(self.near(feature), dim=-1), weights[..., 0])
