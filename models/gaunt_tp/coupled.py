"""The Clebsch-Gordan product with one weight per channel and path: what the Gaunt product is compared with in networks."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from models.gaunt_tp.placed import Placed
from models.geometry.spherical import allowed, check_coefficients, check_degree, once, wigner_3j


@once
def _paths(top1: int, top2: int, top: int, even: bool) -> tuple[Tensor, Tensor, int]:
    """3j symbols as a table (n1, n2, n), the path (l1, l2, l) each entry belongs to (-1: none), and how many paths there are.

    Scaled so that standard normal inputs and unit weights give every output entry the variance 1.
    """
    table = torch.zeros((top1 + 1) ** 2, (top2 + 1) ** 2, (top + 1) ** 2, dtype=torch.float64)
    path = torch.full(table.shape, -1)
    count = 0
    for l3 in range(top + 1):
        pairs = [
            (a, b)
            for a in range(top1 + 1)
            for b in range(top2 + 1)
            if allowed(a, b, l3) and not (even and (a + b + l3) % 2)
        ]
        for a, b in pairs:
            at = tuple(slice(d * d, (d + 1) ** 2) for d in (a, b, l3))
            table[at] = math.sqrt((2 * l3 + 1) / len(pairs)) * wigner_3j(a, b, l3)
            path[at] = count
            count += 1
    return table, path, count


class CoupledProduct(Placed):
    """z_l = sum over paths (l1, l2, l) of w_{c, l1 l2 l} 3j(l1, l2, l) x_l1 y_l2, for each channel c.

    even: only paths of even l1 + l2 + l, which are those of the Gaunt product, and equivariant under O(3) for parities (-1)^l.
    All paths: the product is equivariant under rotations alone, since paths of odd sum carry pseudo-tensors.
    """

    def __init__(
        self, top1: int, top2: int | None = None, top: int | None = None, *, channels: int = 1, even: bool = False
    ):
        super().__init__()
        self.top1 = check_degree("top1", top1)
        self.top2 = check_degree("top2", top1 if top2 is None else top2)
        self.top = check_degree("top", self.top1 + self.top2 if top is None else top)
        table, path, count = _paths(self.top1, self.top2, self.top, even)
        self.keep(table=table.flatten(0, 1), path=path.clamp_min(0).flatten(0, 1))
        self.weight = nn.Parameter(torch.ones(channels, count))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """(..., channels, (top + 1)^2) of x (..., channels, (top1 + 1)^2) and y (..., channels or 1, (top2 + 1)^2)."""
        check_coefficients("x", x, self.top1)
        check_coefficients("y", y, self.top2)
        coupled = self.weight[:, self.path] * self.table  # (channels, n1 n2, n)
        pairs = (x.unsqueeze(-1) * y.unsqueeze(-2)).flatten(-2)
        shape = pairs.shape[:-2]
        z = torch.bmm(pairs.flatten(0, -3).transpose(0, 1), coupled)
        return z.transpose(0, 1).unflatten(0, shape)
