"""Encode, exchange messages, decode."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from models.geometry.morphing import boundary_loop


def features(points: np.ndarray, triangles: np.ndarray, scalars: np.ndarray) -> tuple[Tensor, Tensor, Tensor]:
    """Nodes (N, 3 + p): position, whether on the boundary, scalars; edges (2, E), both ways; their vectors and lengths (E, 3)."""
    ends = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    ends = np.unique(np.concatenate([ends, ends[:, ::-1]]), axis=0)
    rim = np.zeros((len(points), 1))
    rim[boundary_loop(triangles)] = 1
    gap = points[ends[:, 1]] - points[ends[:, 0]]
    length = np.linalg.norm(gap, axis=1, keepdims=True)
    node = np.concatenate([points, rim, np.broadcast_to(scalars, (len(points), len(scalars)))], axis=1)
    edge = np.concatenate([gap, length], axis=1) / length.mean()
    as_float = lambda a: torch.as_tensor(a, dtype=torch.float32)  # noqa: E731
    return as_float(node), torch.as_tensor(ends.T.copy()), as_float(edge)


def perceptron(sizes: tuple[int, ...], norm: bool = True) -> nn.Sequential:
    parts: list[nn.Module] = []
    for a, b in pairwise(sizes):
        parts += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*parts[:-1], *([nn.LayerNorm(sizes[-1])] if norm else []))


class Network(nn.Module):
    """node (N, f), ends (2, E), edge (E, 3) -> fields (N, d). Residual updates of edges, then of nodes by the sum of their edges."""

    def __init__(self, inputs: int, outputs: int, width: int, layers: int) -> None:
        super().__init__()
        self.node, self.edge = perceptron((inputs, width, width)), perceptron((3, width, width))
        self.messages = nn.ModuleList(perceptron((3 * width, width, width)) for _ in range(layers))
        self.updates = nn.ModuleList(perceptron((2 * width, width, width)) for _ in range(layers))
        self.out = perceptron((width, width, outputs), norm=False)

    def forward(self, node: Tensor, ends: Tensor, edge: Tensor) -> Tensor:
        h, e = self.node(node), self.edge(edge)
        for message, update in zip(self.messages, self.updates, strict=True):
            e = e + message(torch.cat([h[ends[0]], h[ends[1]], e], -1))
            h = h + update(torch.cat([h, torch.zeros_like(h).index_add(0, ends[1], e)], -1))
        return self.out(h)
