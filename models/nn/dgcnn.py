"""DGCNN (Wang et al. 2019): edge convolutions on nearest neighbours that are found anew in the features of every layer."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.nn.pointnet import PointLayers


def neighbours(x: Tensor, k: int) -> Tensor:
    """Indices (B, n, k) of the k nearest points of each point of x (B, n, d), itself included. Raises ValueError where n < k."""
    if x.shape[1] < k:
        raise ValueError(f"clouds of {x.shape[1]} points have no {k} neighbours; lower neighbours or give more points")
    return torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist").topk(k, largest=False).indices


class EdgeConv(nn.Module):
    """max over neighbours j of ReLU(BN(W [x_j - x_i, x_i])): (B, n, a) -> (B, n, b), graph from x itself."""

    def __init__(self, a: int, b: int, k: int, *, norm: bool) -> None:
        super().__init__()
        self.layer, self.k = PointLayers((2 * a, b), norm=norm), k

    def forward(self, x: Tensor) -> Tensor:
        near = neighbours(x.detach(), self.k)
        rows = torch.arange(len(x), device=x.device)[:, None, None]
        gap = x[rows, near] - x[:, :, None]
        return self.layer(torch.cat([gap, x[:, :, None].expand_as(gap)], -1)).amax(2)


class DGCNN(nn.Module):
    """(B, n, d) -> (B, n_out), or (B, n, n_out) where `per_point`; edge convolutions of `widths`, then as PointNet."""

    def __init__(
        self,
        n_out: int,
        *,
        dim: int = 3,
        widths: Sequence[int] = (64, 64, 128),
        top: int = 256,
        head: Sequence[int] = (128,),
        k: int = 20,
        per_point: bool = False,
        norm: bool = True,
    ) -> None:
        super().__init__()
        sizes = zip((dim, *widths[:-1]), widths, strict=True)
        self.convs = nn.ModuleList(EdgeConv(a, b, k, norm=norm) for a, b in sizes)
        self.join = PointLayers((sum(widths), top), norm=norm)
        self.head = PointLayers((top + (sum(widths) if per_point else 0), *head, n_out), norm=norm, bare=True)
        self.per_point = per_point

    def forward(self, x: Tensor) -> Tensor:
        outs = []
        for conv in self.convs:
            x = conv(x)
            outs.append(x)
        local = torch.cat(outs, -1)
        best = self.join(local).amax(1)
        if not self.per_point:
            return self.head(best)
        return self.head(torch.cat([best[:, None].expand(-1, local.shape[1], -1), local], -1))
