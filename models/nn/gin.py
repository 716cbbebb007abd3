"""Graph isomorphism network (Xu et al. 2019) and a perceptron on the whole matrix, for dense batches of small graphs."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from models.nn.mlp import mlp


class GINConv(nn.Module):
    """act(W ((1 + eps) h_i + sum_j A_ij h_j)) with one linear layer and a learned eps that starts uniform in (0, 1)."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__()
        self.linear, self.eps = nn.Linear(a, b), nn.Parameter(torch.rand(()))

    def forward(self, adjacency: Tensor, h: Tensor) -> Tensor:
        return self.linear((1 + self.eps) * h + adjacency @ h)


class GIN(nn.Module):
    """Graphs (M, n, n), node features (M, n, f) or None, mask (M, n) -> (M, n_out).

    Node input: features beside the degree, and with `identity` the one-hot position of the vertex (n of them: the network is
    then not invariant by itself). `layers` GINConv of `width`, pool "sum" or "mean" over vertices, then head-n_out.
    """

    def __init__(
        self,
        n: int,
        f: int,
        n_out: int,
        *,
        width: int = 64,
        layers: int = 3,
        identity: bool = False,
        pool: str = "sum",
        activation: type[nn.Module] = nn.Tanh,
        head: tuple[int, ...] = (),
    ) -> None:
        super().__init__()
        sizes = [1 + f + (n if identity else 0)] + [width] * layers
        self.convs = nn.ModuleList(GINConv(a, b) for a, b in pairwise(sizes))
        self.act, self.identity, self.pool = activation(), identity, pool
        self.head = mlp((width, *head, n_out), activation)

    def forward(self, adjacency: Tensor, features: Tensor | None, mask: Tensor) -> Tensor:
        keep = mask[..., None].to(adjacency.dtype)
        parts = [adjacency.sum(-1, keepdim=True)] + ([] if features is None else [features])
        if self.identity:
            parts.append(
                torch.eye(adjacency.shape[-1], dtype=adjacency.dtype, device=adjacency.device).expand_as(adjacency)
                * keep
            )
        h = torch.cat(parts, -1)
        for conv in self.convs:
            h = self.act(conv(adjacency, h)) * keep
        h = h.sum(1) if self.pool == "sum" else h.sum(1) / keep.sum(1)
        return self.head(h)


class GraphMLP(nn.Module):
    """A perceptron on the flattened features and adjacency (M, n f + n n) -> (M, n_out); the last hidden width is averaged over a
    frame by the wrapper like any output, so the head is part of it. No symmetry of its own."""

    def __init__(
        self,
        n: int,
        f: int,
        n_out: int,
        *,
        widths: tuple[int, ...] = (2048, 4096, 2048),
        activation: type[nn.Module] = nn.ReLU,
    ) -> None:
        super().__init__()
        self.net = mlp((n * (n + f), *widths, n_out), activation)

    def forward(self, adjacency: Tensor, features: Tensor | None, mask: Tensor) -> Tensor:
        parts = [adjacency.flatten(1)] + ([] if features is None else [features.flatten(1)])
        return self.net(torch.cat(parts, 1))
