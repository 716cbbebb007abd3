"""Models of proteins as batches of residue graphs with padded lists of neighbours."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

KINDS = 20


@dataclass
class Graphs:
    """N residues of several models. `x` (N, 23) one-hot kind and three geometric numbers; `backbone` (N, 3, 3) N, CA, C in Angstrom;
    `neighbour` (N, D) and `weight` (N, D): the residues j of each i with their weights, and i itself with weight 0 where there are
    fewer than D; `apart` (N, D) places between i and j in the sequence."""

    x: Tensor
    backbone: Tensor
    neighbour: Tensor
    weight: Tensor
    apart: Tensor

    def double(self) -> Graphs:
        return replace(self, x=self.x.double(), backbone=self.backbone.double(), weight=self.weight.double())


class GraphSet:
    """The models of a split, on one device; `batch` joins some of them."""

    def __init__(self, split: Any, device: str = "cpu") -> None:
        self.kinds = torch.as_tensor(split.kinds, device=device)
        self.backbone = torch.as_tensor(split.backbone, device=device)
        self.features = torch.as_tensor(split.features, device=device)
        self.y = torch.as_tensor(split.y, device=device)
        self.edges = torch.as_tensor(split.edges, device=device)
        self.weight = torch.as_tensor(split.weight, device=device)
        self.sizes, self.degrees = (np.asarray(a) for a in (split.sizes, split.degrees))
        self.first = np.cumsum(self.sizes) - self.sizes
        self.first_edge = np.cumsum(self.degrees) - self.degrees

    def __len__(self) -> int:
        return len(self.sizes)

    def batch(self, index: Any) -> tuple[Graphs, Tensor]:
        """The models `index` as one graph without edges between them, and the local scores (N,) of its residues."""
        index = np.asarray(index)
        device = self.y.device
        node = _ranges(self.first[index], self.sizes[index]).to(device)
        edge = _ranges(self.first_edge[index], self.degrees[index]).to(device)
        shift = torch.as_tensor(np.cumsum(self.sizes[index]) - self.sizes[index])
        shift = shift.repeat_interleave(torch.as_tensor(self.degrees[index])).to(device)
        i, j = (self.edges[edge] + shift[:, None]).unbind(1)
        neighbour, weight = padded(i, j, self.weight[edge], len(node))
        apart = (neighbour - torch.arange(len(node), device=device)[:, None]).abs()
        x = torch.cat([torch.nn.functional.one_hot(self.kinds[node], KINDS).float(), self.features[node]], 1)
        return Graphs(x, self.backbone[node], neighbour, weight, apart), self.y[node]


def padded(i: Tensor, j: Tensor, weight: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Neighbours and weights (n, D) of edges i <- j (E,), ordered by i; D is the largest degree, padded with i itself at weight 0."""
    degree = torch.bincount(i, minlength=n)
    most = int(degree.max()) if len(i) else 0
    slot = torch.arange(len(i), device=i.device) - (degree.cumsum(0) - degree)[i]
    neighbour = torch.arange(n, device=i.device)[:, None].repeat(1, most)
    out = weight.new_zeros(n, most)
    neighbour[i, slot], out[i, slot] = j, weight
    return neighbour, out


def _ranges(start: np.ndarray, size: np.ndarray) -> Tensor:
    """start_0, ..., start_0 + size_0 - 1, start_1, ...: the entries of several segments."""
    shift = np.repeat(start - (np.cumsum(size) - size), size)
    return torch.as_tensor(shift + np.arange(size.sum()))
