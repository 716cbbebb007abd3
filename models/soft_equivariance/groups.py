"""The candidate groups, matrix groups of R^3: generators of the Lie algebra and discrete elements."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

F64 = torch.float64


@dataclass(frozen=True)
class Group:
    """`algebra` (k, 3, 3): generators A of one-parameter subgroups exp(tA); `discrete` (m, 3, 3): further elements."""

    name: str
    algebra: Tensor
    discrete: Tensor
    orthogonal: bool

    def sample(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """n elements (n, 3, 3), float64: exp of Gaussian combinations of the generators, times discrete ones at random."""
        t = torch.randn(n, len(self.algebra), dtype=F64, generator=generator)
        t = t * (3.0 if self.orthogonal else 0.5)
        h = torch.linalg.matrix_exp(torch.einsum("nk,kij->nij", t, self.algebra))
        for d in self.discrete:
            use = torch.rand(n, 1, 1, dtype=F64, generator=generator) < 0.5
            h = torch.where(use, h @ d, h)
        return h


def _turn(i: int, j: int) -> Tensor:
    """Generator of rotations in the plane of axes i and j."""
    a = torch.zeros(3, 3, dtype=F64)
    a[i, j], a[j, i] = -1.0, 1.0
    return a


def _flip(*axes: int) -> Tensor:
    d = torch.ones(3, dtype=F64)
    d[list(axes)] = -1.0
    return torch.diag(d)


def _make() -> dict[str, Group]:
    none, one = torch.zeros(0, 3, 3, dtype=F64), torch.eye(3, dtype=F64)[None]
    turns = torch.stack([_turn(0, 1), _turn(1, 2), _turn(2, 0)])
    groups = [
        Group("o3", turns, _flip(0, 1, 2)[None], True),
        Group("so3", turns, none, True),
        Group("scaling", one, none, False),
        Group("so3_scaling", torch.cat([turns, one]), none, False),
    ]
    # O(2) of a plane leaves the third axis as it is
    for name, (i, j) in {"o2xy": (0, 1), "o2yz": (1, 2), "o2xz": (0, 2)}.items():
        groups.append(Group(name, _turn(i, j)[None], _flip(i)[None], True))
    return {g.name: g for g in groups}


GROUPS = _make()


def group(name: str) -> Group:
    if name not in GROUPS:
        raise ValueError(f"group is {name!r}; choose one of {', '.join(GROUPS)}")
    return GROUPS[name]
