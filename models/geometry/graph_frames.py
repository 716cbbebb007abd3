"""Frames of graphs under permutations of their vertices, and the average of any network over them.

Puny et al., ICLR 2022 (arXiv 2110.03336), section on S_n: vertices are sorted by the rows of S(A), whose columns are the
norms of a vertex's projections on the eigenspaces of the Laplacian; the frame holds every order that keeps equal rows together.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

TOL = 1e-6  # eigenvalues and entries of S closer than this count as equal
MOST = 50_000  # orders of one frame that are enumerated


def check_graphs(adjacency: Tensor) -> None:
    """Raise ValueError, in one sentence, unless adjacency (N, n, n) holds finite symmetric matrices. No edges is fine."""
    if adjacency.dim() != 3 or adjacency.shape[1] != adjacency.shape[2] or not adjacency.shape[1]:
        raise ValueError(f"adjacency has shape {tuple(adjacency.shape)}; give (graphs, n, n) with n of at least 1")
    if not torch.isfinite(adjacency).all():
        raise ValueError("adjacency has an entry that is not finite (NaN or Inf); repair the graph")
    if not torch.equal(adjacency, adjacency.mT):
        raise ValueError("adjacency is not symmetric; graph frames are for undirected graphs, symmetrise it first")


def _levels(sorted_values: Tensor, tol: float) -> Tensor:
    """Number of the level of each of ascending values (..., n): a new one starts after a gap of more than `tol`."""
    step = sorted_values.diff(dim=-1) > tol
    return torch.cat([torch.zeros_like(step[..., :1]), step], -1).cumsum(-1)


def spectral_rows(
    adjacency: Tensor, mask: Tensor | None = None, *, tol: float = TOL, official_parity: bool = False
) -> Tensor:
    """S (N, n, n) float64: S[g, i, k] = norm of the projection of e_i on the k-th eigenspace of L = D - A, ascending; 0 beyond.

    `mask` (N, n): vertices that exist; others get no column. Eigenvalues within `tol` of their neighbour share a space.
    official_parity: float32, eigenvalues equal only as floats, entries rounded to two decimals, as the released code does.
    """
    check_graphs(adjacency)
    dtype = torch.float32 if official_parity else torch.float64
    a = adjacency.to(dtype)
    laplacian = torch.diag_embed(a.sum(-1)) - a
    if mask is not None:  # vertices that do not exist get eigenvalues of their own, above all others
        far = 10.0 + 2.0 * a.shape[-1]
        laplacian = laplacian + torch.diag_embed(
            (~mask.bool()).to(dtype) * far * (1 + torch.arange(a.shape[-1], device=a.device))
        )
    values, vectors = torch.linalg.eigh(laplacian)
    level = _levels(values, 0.0 if official_parity else tol)
    square = torch.zeros_like(vectors).scatter_add_(-1, level[:, None].expand_as(vectors), vectors.square())
    rows = square.sqrt()
    if mask is not None:
        rows = rows * mask[..., None].to(dtype)
    return ((rows * 100).round() / 100 if official_parity else rows).double()


def vertex_ranks(rows: Tensor, mask: Tensor | None = None, *, tol: float = TOL) -> Tensor:
    """Rank (N, n) of each vertex in the lexicographic order of the rows S (N, n, k); equal rows share a rank.

    Entries of a column count as equal when they are linked by gaps of at most `tol`, whatever the numbering of vertices:
    rounding errors of 1e-15 cannot tear a tie, as they can where entries are rounded. Vertices outside `mask` come last.
    """
    number, n, width = rows.shape
    order = torch.arange(n, device=rows.device).expand(number, n)
    code = torch.zeros(number, n, dtype=torch.long, device=rows.device)
    if mask is not None:
        code = (~mask.bool()).long()
    for k in range(width):  # refine the classes so far by the levels of the next column
        values, order = rows[..., k].sort(-1)
        level = torch.empty_like(code).scatter_(-1, order, _levels(values, tol))
        key, order = (code * (n + 1) + level).sort(-1)
        code = torch.empty_like(code).scatter_(-1, order, _levels(key, 0))
    key, order = code.sort(-1)
    first = torch.where(
        torch.cat([torch.ones_like(key[:, :1], dtype=torch.bool), key.diff(dim=-1) > 0], -1),
        torch.arange(n, device=rows.device),
        0,
    ).cummax(-1)[0]
    return torch.empty_like(code).scatter_(-1, order, first)


def frame_sizes(ranks: Tensor) -> Tensor:
    """|F| (N,) float64 of each graph: the product of the factorials of the sizes of its ties."""
    n = ranks.shape[-1]
    count = torch.zeros_like(ranks).scatter_add_(-1, ranks, torch.ones_like(ranks))
    factorial = torch.tensor(
        [float(math.factorial(min(k, 170))) for k in range(n + 1)], dtype=torch.float64, device=ranks.device
    )
    return factorial[count].prod(-1)


def sampled_orders(ranks: Tensor, samples: int, generator: torch.Generator | None = None) -> Tensor:
    """`samples` elements of each frame, uniform with replacement: (N, samples, n), the vertex at each position."""
    noise = torch.rand(len(ranks), samples, ranks.shape[-1], generator=generator, dtype=torch.float64).to(ranks.device)
    return (ranks[:, None] + noise).argsort(-1)


def all_orders(ranks: Tensor, most: int = MOST) -> tuple[Tensor, Tensor]:
    """Every element of every frame: orders (total, n), and the graph (total,) each belongs to.

    Raises ValueError where a frame has more than `most` elements: sample it instead.
    """
    sizes = frame_sizes(ranks)
    if (sizes > most).any():
        g = int(sizes.argmax())
        raise ValueError(
            f"the frame of graph {g} has {float(sizes[g]):.3g} elements (many vertices look alike; a graph without edges has n!), "
            f"more than {most}; sample it with samples=k"
        )
    n = ranks.shape[-1]
    orders, owner = ranks.argsort(dim=-1, stable=True), torch.arange(len(ranks), device=ranks.device)
    # place after place: swap the vertex there with each later one of the same tie (Heap-free enumeration, batched)
    for place in range(n - 1):
        rank = ranks[owner]
        sorted_rank = rank.gather(-1, orders)
        last = (sorted_rank == sorted_rank[:, place : place + 1]).long().cumsum(-1).argmax(-1)
        choices = last - place + 1
        total = choices.repeat_interleave(choices)
        row = torch.arange(len(orders), device=ranks.device).repeat_interleave(choices)
        start = (choices.cumsum(0) - choices).repeat_interleave(choices)
        other = place + torch.arange(len(total), device=ranks.device) - start
        orders, owner = orders[row].clone(), owner[row]
        index = torch.arange(len(orders), device=ranks.device)
        mine = orders[:, place].clone()
        orders[:, place] = orders[index, other]
        orders[index, other] = mine
    return orders, owner


def reorder(adjacency: Tensor, orders: Tensor) -> Tensor:
    """A[g][order, order]: adjacency (M, n, n), orders (M, n) -> (M, n, n)."""
    rows = adjacency.gather(1, orders[..., None].expand_as(adjacency))
    return rows.gather(2, orders[:, None].expand_as(adjacency))


class PermutationFrameAveraging(nn.Module):
    """backbone(adjacency, features, mask) made invariant or equivariant under permutations of the vertices.

    `average`: "frame" (the order of spectral rows, ties permuted) or "group" (all permutations: the baseline). `samples` > 0
    draws that many elements per call from the generator's stream (`seed`), 0 takes all of them, which is exact.
    mode "equivariant" needs an output with a vertex axis, (M, n, ...), which is permuted back.

    Raises
    ------
    ValueError : matrices that are not symmetric or not finite, a frame too large to enumerate, an output without vertices.
    """

    def __init__(
        self,
        backbone: nn.Module | Callable[..., Tensor],
        mode: str = "invariant",
        *,
        average: str = "frame",
        samples: int = 0,
        official_parity: bool = False,
        chunk: int = 8192,
    ) -> None:
        super().__init__()
        if mode not in ("invariant", "equivariant"):
            raise ValueError(f"mode {mode!r} is unknown; use invariant or equivariant")
        if average not in ("frame", "group"):
            raise ValueError(f"average {average!r} is unknown; use frame or group")
        self.backbone, self.mode, self.average, self.samples = backbone, mode, average, samples
        self.official_parity, self.chunk = official_parity, chunk

    def ranks(self, adjacency: Tensor, mask: Tensor) -> Tensor:
        """Rank (N, n) of each vertex; all equal under average="group"."""
        if self.average == "group":
            check_graphs(adjacency)
            return (~mask.bool()).long() * mask.sum(-1, keepdim=True).long()
        rows = spectral_rows(adjacency, mask, official_parity=self.official_parity)
        return vertex_ranks(rows, mask)

    def elements(self, ranks: Tensor, mask: Tensor, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
        """Orders (M, n) and the graph (M,) each belongs to."""
        if self.samples:
            orders = sampled_orders(ranks, self.samples, generator)
            return orders.flatten(0, 1), torch.arange(len(ranks), device=ranks.device).repeat_interleave(self.samples)
        beyond = ~mask.bool()  # vertices that do not exist are not permuted: their ranks are made unique
        return all_orders(torch.where(beyond, ranks + (beyond.long().cumsum(-1) - 1), ranks))

    def forward(
        self,
        adjacency: Tensor,
        features: Tensor | None = None,
        mask: Tensor | None = None,
        ranks: Tensor | None = None,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        n = adjacency.shape[-1]
        mask = torch.ones(adjacency.shape[:2], dtype=torch.bool, device=adjacency.device) if mask is None else mask
        ranks = self.ranks(adjacency, mask) if ranks is None else ranks
        orders, owner = self.elements(ranks, mask, generator)
        parts = []
        for some, graph in zip(orders.split(self.chunk), owner.split(self.chunk), strict=True):
            inputs: list[Any] = [reorder(adjacency[graph], some)]
            inputs.append(
                None
                if features is None
                else features[graph].gather(1, some[..., None].expand(-1, -1, features.shape[-1]))
            )
            inputs.append(mask[graph].gather(1, some))
            y = self.backbone(*inputs)
            if self.mode == "equivariant":
                if y.dim() < 2 or y.shape[1] != n:
                    raise ValueError(
                        f"the backbone's output {tuple(y.shape[1:])} per graph cannot carry S_n: it has no vertex axis of "
                        f"{n}; use mode='invariant'"
                    )
                place = some.argsort(-1).reshape(*some.shape, *[1] * (y.dim() - 2)).expand_as(y)
                y = y.gather(1, place)
            parts.append(y)
        y = torch.cat(parts)
        count = torch.bincount(owner, minlength=len(adjacency)).to(y.dtype).reshape(-1, *[1] * (y.dim() - 1))
        return torch.zeros(len(adjacency), *y.shape[1:], dtype=y.dtype, device=y.device).index_add(0, owner, y) / count
