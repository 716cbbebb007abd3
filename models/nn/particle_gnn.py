"""Networks on complete graphs of particles: the message passing of the n-body experiments, with and without geometry.

A complete graph is a dense (n, n) array of messages; the diagonal (a particle to itself) is left out.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.nn.mlp import mlp


class EdgeMLP(nn.Module):
    """Linear, SiLU, Linear, SiLU on [h_i, h_j, e_ij] for all pairs: (B, n, f), (B, n, n, e) -> (B, n, n, f).

    The first layer acts on h_i and h_j before they are paired: the same function with n instead of n^2 products.
    """

    def __init__(self, f: int, e: int) -> None:
        super().__init__()
        self.first = nn.Linear(2 * f + e, f)
        self.second = nn.Linear(f, f)
        self.f = f

    def forward(self, h: Tensor, edges: Tensor) -> Tensor:
        w, f = self.first.weight, self.f
        receive = h @ w[:, :f].mT + self.first.bias
        send = h @ w[:, f : 2 * f].mT
        m = receive[:, :, None] + send[:, None] + edges @ w[:, 2 * f :].mT
        return nn.functional.silu(self.second(nn.functional.silu(m)))


def off_diagonal_sum(m: Tensor) -> Tensor:
    """Sum over the others j != i: (B, n, n, f) -> (B, n, f)."""
    return m.sum(2) - m.diagonal(dim1=1, dim2=2).mT


class GCL(nn.Module):
    """One round of messages: h + MLP([h_i, sum_{j != i} m_ij]), m from `EdgeMLP`; node MLP Linear, SiLU, Linear."""

    def __init__(self, f: int, e: int = 2) -> None:
        super().__init__()
        self.edge, self.node = EdgeMLP(f, e), mlp((2 * f, f, f), nn.SiLU)

    def forward(self, h: Tensor, edges: Tensor) -> Tensor:
        return h + self.node(torch.cat([h, off_diagonal_sum(self.edge(h, edges))], -1))


def edge_features(x: Tensor, charge: Tensor) -> Tensor:
    """(B, n, n, 2): product of the charges and squared distance, for positions (B, n, d) and charges (B, n)."""
    gap = x[:, :, None] - x[:, None]
    return torch.stack([charge[:, :, None] * charge[:, None], gap.square().sum(-1)], -1)


class GNN(nn.Module):
    """Positions, velocities (B, n, d) and charges (B, n) -> displaced positions (B, n, d), no symmetry but permutation.

    Linear(2 d, f), `layers` rounds, decoder f-f-d with SiLU; the output is read as the positions themselves.
    """

    def __init__(self, f: int = 60, layers: int = 4, dim: int = 3) -> None:
        super().__init__()
        self.embed = nn.Linear(2 * dim, f)
        self.rounds = nn.ModuleList(GCL(f) for _ in range(layers))
        self.decode = mlp((f, f, dim), nn.SiLU)

    def forward(self, x: Tensor, v: Tensor, charge: Tensor) -> Tensor:
        edges = edge_features(x, charge)
        h = self.embed(torch.cat([x, v], -1))
        for layer in self.rounds:
            h = layer(h, edges)
        return self.decode(h)


class EGNN(nn.Module):
    """E(n)-equivariant network of Satorras et al. 2021 (equations 3 to 7 with velocities): same arguments as `GNN`.

    m_ij from [h_i, h_j, |x_i - x_j|^2, q_i q_j]; v_i <- phi_v(h_i) v_i + mean_{j != i} (x_i - x_j) phi_x(m_ij); x_i <- x_i + v_i;
    h_i <- h_i + phi_h([h_i, sum m_ij]); h starts from the speeds.
    """

    def __init__(self, f: int = 60, layers: int = 4, dim: int = 3) -> None:
        super().__init__()
        self.embed = nn.Linear(1, f)
        self.edges = nn.ModuleList(EdgeMLP(f, 2) for _ in range(layers))
        self.nodes = nn.ModuleList(mlp((2 * f, f, f), nn.SiLU) for _ in range(layers))
        self.speeds = nn.ModuleList(mlp((f, f, 1), nn.SiLU) for _ in range(layers))
        self.pulls = nn.ModuleList(mlp((f, f, 1), nn.SiLU) for _ in range(layers))
        for pull in self.pulls:  # small first steps: positions feed back into distances
            nn.init.xavier_uniform_(pull[-1].weight, gain=0.001)

    def forward(self, x: Tensor, v: Tensor, charge: Tensor) -> Tensor:
        given = charge[:, :, None] * charge[:, None]
        h = self.embed(v.norm(dim=-1, keepdim=True))
        for edge, node, speed, pull in zip(self.edges, self.nodes, self.speeds, self.pulls, strict=True):
            gap = x[:, :, None] - x[:, None]
            m = edge(h, torch.stack([given, gap.square().sum(-1)], -1))
            v = speed(h) * v + (gap * pull(m)).sum(2) / (x.shape[1] - 1)
            x = x + v
            h = h + node(torch.cat([h, off_diagonal_sum(m)], -1))
        return x
