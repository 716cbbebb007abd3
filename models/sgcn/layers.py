"""The spherical convolution and message passing without directions, on padded lists of neighbours."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from models.geometry.spherical import spherical_harmonics
from models.sgcn.frames import directions
from models.sgcn.graphs import Graphs

Nonlinearity = Callable[[Tensor], Tensor]


def rows(graph: Graphs, *, weights: bool, normalise: bool) -> Tensor:
    """Entries (N, D) of the adjacency matrix: 1 or the weight of an edge, 0 in the padding; a row sums to 1 with `normalise`."""
    a = graph.weight if weights else (graph.weight > 0).to(graph.weight.dtype)
    return a / a.sum(1, keepdim=True).clamp_min(torch.finfo(a.dtype).tiny) if normalise else a


def harmonics(graph: Graphs, order: int, *, weights: bool = False, normalise: bool = True) -> Tensor:
    """Entries (N, D, order^2) of the matrices S_k: a_ij Y_k(r_ij), k = (l, m), l < order; 0 in the padding.

    Y are real harmonics, orthonormal on the sphere, of the direction of j in the frame of i; a_ij as in `rows`.
    """
    y = spherical_harmonics(order - 1, directions(graph.backbone, graph.neighbour), normalisation="integral")
    return rows(graph, weights=weights, normalise=normalise)[..., None] * y


class SphericalConv(nn.Module):
    """X (N, c_in) -> f(X W + sum_k S_k X W_k + b) (N, c_out), k < order^2 (Igashov et al. 2021).

    So every pair of channels has an angular kernel sum_k Y_k W_k of degrees below `order`, and the residue itself a weight of its
    own. W and each W_k are drawn by Xavier's normal rule, b starts at 0. f may be the identity.
    """

    def __init__(self, c_in: int, c_out: int, order: int, nonlinearity: Nonlinearity) -> None:
        super().__init__()
        self.own = nn.Parameter(torch.empty(c_in, c_out))
        self.weight = nn.Parameter(torch.empty(order**2, c_in, c_out))
        self.bias = nn.Parameter(torch.zeros(c_out))
        self.f = nonlinearity
        for w in (self.own, *self.weight):
            nn.init.xavier_normal_(w)

    def forward(self, x: Tensor, neighbour: Tensor, s: Tensor) -> Tensor:
        """neighbour (N, D), s (N, D, order^2) from `harmonics`."""
        if s.shape[-1] != len(self.weight):
            raise ValueError(f"s has {s.shape[-1]} harmonics and this layer {len(self.weight)}; give order^2 of them")
        # all S_k X at once, as one small product for each residue: (order^2, D) by (D, c_in)
        moment = s.mT @ gather(x, neighbour)
        return self.f(x @ self.own + moment.flatten(1) @ self.weight.flatten(0, 1) + self.bias)


class MessagePassing(nn.Module):
    """X (N, c_in) -> f(X W + sum_c f(A_c X W_c) + b) (N, c_out), c < `channels`: the layer that S-GCN is compared with."""

    def __init__(self, c_in: int, c_out: int, channels: int, nonlinearity: Nonlinearity) -> None:
        super().__init__()
        self.own = nn.Parameter(torch.empty(c_in, c_out))
        self.weight = nn.Parameter(torch.empty(channels, c_in, c_out))
        self.bias = nn.Parameter(torch.zeros(c_out))
        self.f = nonlinearity
        for w in (self.own, *self.weight):
            nn.init.xavier_normal_(w)

    def forward(self, x: Tensor, neighbour: Tensor, a: Tensor) -> Tensor:
        """neighbour (N, D), a (N, D, channels): entries of the adjacency matrices A_c."""
        passed = (a.mT @ gather(x, neighbour)).transpose(0, 1) @ self.weight
        return self.f(x @ self.own + self.f(passed).sum(0) + self.bias)


def gather(x: Tensor, neighbour: Tensor) -> Tensor:
    """x_j (N, D, c) of the neighbours j; its gradient is an index_add, faster than that of x[neighbour]."""
    return x.index_select(0, neighbour.flatten()).unflatten(0, neighbour.shape)
