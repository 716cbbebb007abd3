"""Layers on points: a linear map with batch norm, graph convolutions in dense blocks, and the pile convolution of SHS-Net."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear


class Dense(nn.Module):
    """ReLU(BN(W x + b)) on the last axis, statistics over all others: the same as a convolution of size 1 over points."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__()
        self.linear, self.norm = nn.Linear(a, b), nn.BatchNorm1d(b)

    def dress(self, h: Tensor) -> Tensor:
        """ReLU(BN(h))."""
        return torch.relu(self.norm(h.flatten(0, -2)).view(h.shape))

    def forward(self, x: Tensor) -> Tensor:
        return self.dress(self.linear(x))


class GraphConv(nn.Module):
    """Densely connected layers on edge features and a maximum over neighbours: (B, N, c) -> (B, N, c + 3 g).

    kind: `relative` has edges [p_j - p_i, f_j - f_i], `full` [f_i, f_j, f_j - f_i], `point` no neighbours and f_i itself.
    With L_k(z) = ReLU(BN(W_k z + b_k)): y_1 = [L_1(edge), f_i], y_2 = [L_2(y_1), y_1], y_3 = [L_3(y_2), y_2], out = max_j(W y_3 + b).

    f_i is the same on all edges of a point, and edges are differences: W splits, so that all but g channels are computed
    once per point.
    """

    def __init__(self, c: int, growth: int, kind: str) -> None:
        super().__init__()
        self.c, self.growth, self.kind = c, growth, kind
        first = {"relative": c + 3, "full": 3 * c, "point": c}[kind]
        self.first = Dense(first, growth)
        self.second, self.third = Dense(c + growth, growth), Dense(c + 2 * growth, growth)
        self.out_channels = c + 3 * growth
        self.out = nn.Linear(self.out_channels, self.out_channels)

    def forward(self, f: Tensor, pos: Tensor, near: Tensor | None) -> Tensor:
        """f (B, N, c), pos (B, N, 3), near (B, N, k) indices of neighbours (None where kind is `point`)."""
        h = self._edges(f, pos, near)
        for layer in (self.second, self.third):
            a, b = layer.linear.weight.tensor_split([h.shape[-1]], 1)
            own = linear(f, b, layer.linear.bias)
            h = torch.cat([layer.dress(linear(h, a) + (own if near is None else own[:, :, None])), h], -1)
        a, b = self.out.weight.tensor_split([h.shape[-1]], 1)
        most = linear(h, a) if near is None else linear(h, a).amax(2)
        return most + linear(f, b, self.out.bias)

    def _edges(self, f: Tensor, pos: Tensor, near: Tensor | None) -> Tensor:
        w, b = self.first.linear.weight, self.first.linear.bias
        if near is None:
            return self.first(f)
        if self.kind == "relative":
            there = linear(torch.cat([pos, f], -1), w)
            here = b - there
        else:
            of_i, of_j, of_gap = w.split(self.c, 1)
            there, here = linear(f, of_j + of_gap), linear(f, of_i - of_gap, b)
        # index_select on one axis: its gradient is an index_add, many times faster than that of indexing by two tensors
        rows = near + f.shape[1] * torch.arange(len(f), device=f.device)[:, None, None]
        gathered = there.flatten(0, 1).index_select(0, rows.flatten()).view(*near.shape, -1)
        return self.first.dress(gathered + here[:, :, None])


class PileConv(nn.Module):
    """(B, n, a) -> (B, m, b): the first m points, each beside one feature of all n.

    g = max_i L_1(w_i x_i), a -> 2 a; g = L_2(g), 2 a -> a / 2; out_i = L_3([x_i, g]) for i < m, with L_k = ReLU(BN(W z + b)).
    The points are sorted by distance, so that the ones that stay are the nearest.
    """

    def __init__(self, a: int, b: int) -> None:
        super().__init__()
        self.inner, self.mid, self.outer = Dense(a, 2 * a), Dense(2 * a, a // 2), Dense(a + a // 2, b)

    def forward(self, x: Tensor, m: int, weights: Tensor) -> Tensor:
        """x (B, n, a); weights (B, >= n), of which the first n count."""
        g = self.mid(self.inner(x * weights[:, : x.shape[1], None]).amax(1, keepdim=True))
        return self.outer(torch.cat([x[:, :m], g.expand(-1, m, -1)], -1))
