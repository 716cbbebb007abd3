"""Overlap reduction functions Gamma_ab: how a common process correlates between pulsars."""

from __future__ import annotations

import torch
from torch import Tensor

CORRELATIONS = ("hd", "uncorrelated", "monopole", "dipole")


def hellings_downs(cosine: Tensor) -> Tensor:
    """Gamma of distinct pulsars at an angle of the given cosine: 3/2 x ln x - x/4 + 1/2, x = (1 - cos) / 2 (Hellings and Downs 1983)."""
    x = ((1 - cosine) / 2).clamp(0, 1)
    return 1.5 * torch.xlogy(x, x) - x / 4 + 0.5


def overlap(kind: str, positions: Tensor) -> Tensor:
    """Gamma (n, n), float64, for unit vectors `positions` (n, 3); the diagonal is 1 for every kind.

    hd: Hellings-Downs; uncorrelated: identity; monopole: all ones; dipole: cosines. Raises ValueError for vectors not of unit length.
    """
    if kind not in CORRELATIONS:
        raise ValueError(f"correlation={kind!r} is unknown; use one of {', '.join(CORRELATIONS)}")
    p = positions.to(torch.float64)
    if p.dim() != 2 or p.shape[1] != 3 or not bool((p.norm(dim=1) - 1).abs().max() < 1e-6):
        raise ValueError("positions must be unit vectors, one row of three for each pulsar")
    cosine = p @ p.T
    cosine = ((cosine + cosine.T) / 2).clamp(-1, 1)  # a product by blocks need not be symmetric to the last digit
    off = {"hd": hellings_downs(cosine), "monopole": torch.ones_like(cosine), "dipole": cosine}.get(
        kind, torch.zeros_like(cosine)
    )
    return torch.where(torch.eye(len(p), dtype=torch.bool), 1.0, off)
