"""Representations made of tensors, and the linear maps between two tensor spaces that commute with a group."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from models.soft_equivariance.groups import Group, group

DIM = 3
CUT = 1e-8  # eigenvalues of the summed constraints below it are null; the others are of order 1


@dataclass(frozen=True)
class Rep:
    """`counts[r]` tensors of rank r: scalars, vectors, 3 x 3 tensors, .... A feature vector holds them in this order."""

    counts: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.counts or any(c < 0 for c in self.counts) or not any(self.counts):
            raise ValueError(f"counts are {self.counts}; give the number of tensors of each rank, one of them positive")

    @property
    def size(self) -> int:
        return sum(c * DIM**r for r, c in enumerate(self.counts))

    def blocks(self) -> Iterator[tuple[int, int, slice]]:
        """(rank, count, place) of every rank that occurs."""
        start = 0
        for r, c in enumerate(self.counts):
            if c:
                yield r, c, slice(start, start + c * DIM**r)
            start += c * DIM**r

    def split(self, x: Tensor) -> list[Tensor]:
        """x (..., size) as tensors (..., count, 3, .., 3) by rank, ranks without tensors as empty ones."""
        parts = x.split([c * DIM**r for r, c in enumerate(self.counts)], -1)
        return [
            p.reshape(*x.shape[:-1], c, *[DIM] * r) for r, (c, p) in enumerate(zip(self.counts, parts, strict=True))
        ]

    def matrix(self, h: Tensor) -> Tensor:
        """rho(h) (n, size, size) of elements h (n, 3, 3): block diagonal of Kronecker powers."""
        out = h.new_zeros(len(h), self.size, self.size)
        for r, c, place in self.blocks():
            power = h.new_ones(len(h), 1, 1)
            for _ in range(r):
                power = torch.einsum("nij,nkl->nikjl", power, h).reshape(len(h), power.shape[1] * DIM, -1)
            eye = torch.eye(c, dtype=h.dtype, device=h.device)
            out[:, place, place] = torch.einsum("ab,nij->naibj", eye, power).reshape(len(h), c * DIM**r, -1)
        return out


def _act(m: Tensor, d: int, n: int) -> Tensor:
    """m (3, 3) on index d of n indices, as a matrix of size 3^n."""
    left, right = torch.eye(DIM**d, dtype=m.dtype), torch.eye(DIM ** (n - d - 1), dtype=m.dtype)
    return torch.kron(torch.kron(left, m.contiguous()), right)


@functools.lru_cache(maxsize=256)
def basis(name: str, rank_in: int, rank_out: int) -> Tensor:
    """Orthonormal rows N (k, 3^(rank_out + rank_in)), float64, that span the equivariant maps; N^T N is their projector.

    A map W of shape (3^rank_out, 3^rank_in), flattened, is equivariant when rho_out(h) W = W rho_in(h): d rho(A) w = 0 for the Lie
    generators, A on output and -A^T on input indices, and rho(h) w = w for the discrete ones, h on output and h^-T on input indices.
    """
    g: Group = group(name)
    n = rank_out + rank_in
    total = torch.zeros(DIM**n, DIM**n, dtype=torch.float64)
    for a in g.algebra:
        k = sum((_act(a if d < rank_out else -a.mT, d, n) for d in range(n)), torch.zeros_like(total))
        total += k.mT @ k
    for h in g.discrete:
        k = torch.ones(1, 1, dtype=torch.float64)
        for d in range(n):
            k = torch.kron(k, h if d < rank_out else torch.linalg.inv(h).mT.contiguous())
        k = k - torch.eye(DIM**n, dtype=torch.float64)
        total += k.mT @ k
    w, v = torch.linalg.eigh(total)
    return v[:, w < CUT].mT.contiguous()


def dimension(name: str, rep_in: Rep, rep_out: Rep) -> int:
    """Number of independent equivariant maps from rep_in to rep_out: the trace of the projector."""
    return sum(a * b * len(basis(name, r, s)) for r, a, _ in rep_in.blocks() for s, b, _ in rep_out.blocks())
