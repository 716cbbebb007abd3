"""How candidate groups move feature vectors: what the equivariance meter needs to know of them."""

from __future__ import annotations

import torch
from torch import Tensor

from models.soft_equivariance.groups import group
from models.soft_equivariance.rep import Rep

Element = tuple[Tensor, Tensor, Tensor]


class TensorAction:
    """x (B, rep_in.size) -> rho_in(h) x, y (B, rep_out.size) -> rho_out(h) y for h of a matrix group, one for each sample.

    Ascent moves h along the Lie algebra, so that it stays in the connected piece that its start was drawn in.
    """

    moves, scale = False, False

    def __init__(self, name: str, rep_in: Rep, rep_out: Rep) -> None:
        self.group, self.rep_in, self.rep_out = group(name), rep_in, rep_out
        # the meter offers dim (dim - 1) / 2 coordinates, those of SO(dim)
        self.dim = next(d for d in range(2, 6) if d * (d - 1) // 2 >= len(self.group.algebra))

    def draw(self, count: int, generator: torch.Generator, like: Tensor) -> Element:
        """Random (h, 0, 0)."""
        return self.group.sample(count, generator).to(like), like.new_zeros(count), like.new_zeros(count, 1)

    def perturb(self, h: Tensor, w: Tensor) -> Tensor:
        """h exp(sum_k w_k A_k); w (B, dim (dim - 1) / 2), of which the first coordinates count."""
        algebra = self.group.algebra.to(h)
        return h @ torch.linalg.matrix_exp(torch.einsum("nk,kij->nij", w[:, : len(algebra)], algebra))

    def on_input(self, element: Element, x: Tensor, vectors: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
        return _moved(self.rep_in, element[0], x), vectors

    def on_output(self, element: Element, y: Tensor) -> Tensor:
        return _moved(self.rep_out, element[0], y)

    def gap(self, a: Tensor, b: Tensor) -> Tensor:
        """Euclidean distance (B,) of two outputs."""
        return torch.linalg.vector_norm(a - b, dim=1)


def _moved(rep: Rep, h: Tensor, x: Tensor) -> Tensor:
    return (rep.matrix(h) @ x.unsqueeze(-1)).squeeze(-1)
