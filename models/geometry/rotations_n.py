"""Continuous representations of SO(n): n^2 - n numbers by Gram-Schmidt, n^2 - 2n + 2 by stereographic projections besides.

Zhou et al., CVPR 2019 (arXiv 1812.07035). For n = 3 these are the 6D and, up to scales, the 5D representation.
"""

from __future__ import annotations

import torch
from torch import Tensor

from models.geometry.rotations import TINY, procrustes, stereographic, unit, unstereographic


def _size(n: int) -> None:
    if n < 2:
        raise ValueError(f"n is {n}; rotations need at least 2 dimensions")


def generalised_cross(q: Tensor) -> Tensor:
    """The vector c (..., n) with <c, v> = det [q v] for q (..., n, n - 1): orthogonal to all columns of q."""
    n = q.shape[-2]
    keep = torch.tensor([[j for j in range(n) if j != i] for i in range(n)], device=q.device)
    sign = torch.tensor([(-1.0) ** (i + n - 1) for i in range(n)], dtype=q.dtype, device=q.device)
    return sign * torch.linalg.det(q[..., keep, :])


def gram_schmidt(a: Tensor) -> Tensor:
    """The rotation whose first n - 1 columns are those of a (..., n, n - 1), orthonormalised in order: (..., n, n).

    The loop runs over the n - 1 columns; each is made orthogonal twice, which keeps R^T R = I to rounding.

    Raises
    ------
    ValueError
        Another shape, or NaN or Inf.
    """
    if a.dim() < 2 or a.shape[-2] != a.shape[-1] + 1:
        raise ValueError(f"a has shape {tuple(a.shape)}; Gram-Schmidt to SO(n) needs (..., n, n - 1)")
    if not bool(torch.isfinite(a).all()):
        raise ValueError("a holds NaN or Inf; remove those matrices")
    columns: list[Tensor] = []
    for k in range(a.shape[-1]):
        v = a[..., k]
        for _ in range(2 if columns else 0):
            q = torch.stack(columns, -1)
            v = v - (q @ (q.mT @ v.unsqueeze(-1))).squeeze(-1)
        columns.append(unit(v))
    q = torch.stack(columns, -1)
    return torch.cat([q, generalised_cross(q).unsqueeze(-1)], -1)


def gram_schmidt_inverse(r: Tensor) -> Tensor:
    """The first n - 1 columns of R (..., n, n)."""
    return r[..., :-1]


def stereo(t: Tensor, n: int) -> Tensor:
    """The rotation of t (..., n^2 - 2n + 2): (..., n, n).

    t = (R_00, R_10, t_1, .., t_{n-2}); t_k (n numbers) is the stereographic image of n(R_{k+1,0}, R_{:,k}), n + 1 numbers whose
    last n have length 1, so that nothing is lost.
    """
    _size(n)
    if t.shape[-1] != n * n - 2 * n + 2:
        raise ValueError(f"t has {t.shape[-1]} entries; SO({n}) by stereographic projection needs {n * n - 2 * n + 2}")
    u = unstereographic(t[..., 2:].unflatten(-1, (n - 2, n)) if n > 2 else t.new_zeros(*t.shape[:-1], 0, n))
    u = u / torch.linalg.vector_norm(u[..., 1:], dim=-1, keepdim=True).clamp_min(TINY)
    first = torch.cat([t[..., :2], u[..., 0]], -1)
    return gram_schmidt(torch.cat([first.unsqueeze(-1), u[..., 1:].mT], -1))


def stereo_inverse(r: Tensor) -> Tensor:
    """Exact inverse of `stereo` on rotations (..., n, n)."""
    u = torch.cat([r[..., 2:, :1], r[..., :, 1:-1].mT], -1)
    return torch.cat([r[..., :2, 0], stereographic(unit(u)).flatten(-2)], -1)


def haar_n(count: int, n: int, generator: torch.Generator | None = None) -> Tensor:
    """Rotations of uniform distribution on SO(n), float64: (count, n, n)."""
    _size(n)
    q, r = torch.linalg.qr(torch.randn(count, n, n, generator=generator, dtype=torch.float64))
    q = q * r.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)
    q[..., 0] *= torch.linalg.det(q).sign().unsqueeze(-1)
    return q


def nearest_rotation(m: Tensor) -> Tensor:
    """The rotation nearest to m (..., n, n) in the Frobenius norm."""
    if m.dim() < 2 or m.shape[-1] != m.shape[-2] or not bool(torch.isfinite(m).all()):
        raise ValueError(f"m has shape {tuple(m.shape)} or holds NaN or Inf; pass finite square matrices")
    return procrustes(m)
