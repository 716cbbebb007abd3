"""Coding rates of the maximal coding rate reduction (Yu, Chan, You, Song and Ma, NeurIPS 2020), in nats, batched.

Points are the rows of z (..., n, d); e^2 is the squared distortion. The rates have no factor 1/2, as in Ding et al., ICCV 2023.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


class _LogDet(torch.autograd.Function):
    """log det of symmetric positive definite matrices by Cholesky factors; the gradient is the inverse, from the same factor."""

    @staticmethod
    def forward(ctx: Any, a: Tensor) -> Tensor:
        factor, info = torch.linalg.cholesky_ex(a)
        if bool(info.any()):
            raise ValueError(
                "a matrix is not positive definite to working precision: its entries are not finite or the rate's weights negative"
            )
        ctx.save_for_backward(factor)
        return 2 * factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (factor,) = ctx.saved_tensors
        return grad[..., None, None] * torch.cholesky_inverse(factor)


def logdet(a: Tensor) -> Tensor:
    """log det a (...,) of symmetric positive definite a (..., d, d); its gradient is a^-1. ValueError where one is not."""
    return _LogDet.apply(a)


def check(z: Tensor, eps2: float) -> None:
    """Raise ValueError unless z (..., n, d) are real points and eps2 is a squared distortion."""
    if z.dim() < 2 or not z.is_floating_point() or 0 in z.shape:
        raise ValueError(f"z has shape {tuple(z.shape)} and dtype {z.dtype}; give real points as rows (..., n, d)")
    if not eps2 > 0:
        raise ValueError(f"eps2={eps2} must be positive: it is the squared distortion of the code")
    if not bool(z.isfinite().all()):
        raise ValueError("z has entries that are not finite; look where they come from")


def rate(z: Tensor, eps2: float) -> Tensor:
    """R(Z; e) = log det(I + d / (n e^2) Z^T Z), z (..., n, d) -> (...,); the smaller of Z^T Z and Z Z^T is factorised."""
    check(z, eps2)
    n, d = z.shape[-2:]
    gram = z.mT @ z if d <= n else z @ z.mT
    return logdet(torch.eye(min(n, d), dtype=z.dtype, device=z.device) + d / (n * eps2) * gram)


def membership_rate(z: Tensor, weights: Tensor, eps2: float, chunk: int | None = None) -> Tensor:
    """R_c(Z, Pi; e) = sum_j (p_j / n) log det(I + d / (p_j e^2) Z^T diag(Pi_j) Z), p_j = <Pi_j, 1>: z (n, d), Pi (n, k) -> scalar.

    Column j of `weights` says how much each point belongs to group j. With a doubly stochastic Pi (k = n) every p_j is 1 and this is
    the objective of manifold linearizing and clustering: one group for each point.

    Parameters
    ----------
    weights : nonnegative, no column zero
    chunk : groups that are factorised at a time, which bounds memory to chunk d^2 entries; null: all of them
    """
    check(z, eps2)
    n, d = z.shape
    if weights.dim() != 2 or len(weights) != n:
        raise ValueError(f"weights has shape {tuple(weights.shape)} and z has {n} points; give one row for each point")
    p = weights.sum(0)
    if not bool((p > 0).all()) or not bool((weights >= 0).all()):
        raise ValueError(
            "weights has a negative entry or an empty group; memberships are nonnegative and groups are not empty"
        )
    outer = (z.unsqueeze(2) * z.unsqueeze(1)).flatten(1)
    eye = torch.eye(d, dtype=z.dtype, device=z.device)
    parts = [
        logdet(eye + (w.mT @ outer).unflatten(1, (d, d)) * (d / (q * eps2))[:, None, None])
        for w, q in zip(weights.split(chunk or len(p), 1), p.split(chunk or len(p)), strict=True)
    ]
    return (torch.cat(parts) * p).sum() / n
