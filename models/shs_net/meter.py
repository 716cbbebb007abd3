"""How exactly the trained network commutes with similarities of the cloud, sampling held fixed."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bench.schema import Metric
from models.geometry.equivariance import EuclideanAction, equivariance_errors
from models.shs_net.net import SHSNet
from models.shs_net.patches import align, to_query


class Shift(EuclideanAction):
    """x -> s x + t without rotation, under which normals stay."""

    def __init__(self) -> None:
        super().__init__("E(3)", "vector", scale=True)

    def draw(self, count: int, generator: torch.Generator, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        _, s, t = super().draw(count, generator, like)
        return torch.eye(3, dtype=like.dtype, device=like.device).expand(count, 3, 3), s, t

    def perturb(self, r: Tensor, w: Tensor) -> Tensor:
        return r


def oriented_normals(
    net: SHSNet, patch: Tensor, sample: Tensor, farthest: Tensor, missing: Tensor | None = None, **axes: Any
) -> Tensor:
    """Oriented normals (B, 3) at patch[:, 0] from raw points: patch (B, N, 3) by distance, sample (B, M, 3), farthest (B, 3)."""
    local, shape = to_query(patch, sample, farthest, missing)
    u = align(local, **axes)
    return (net(local @ u, shape @ u).oriented()[:, None] @ u.mT)[:, 0]


def symmetry(
    net: SHSNet, patch: Tensor, sample: Tensor, farthest: Tensor, generator: torch.Generator, **axes: Any
) -> list[Metric]:
    """Errors under translation and scaling (`similarity_error`) and under rotations (`equivariance_error`), in float64.

    The same points are drawn before and after the motion. Rotations go through the signs of the principal axes, which are
    arbitrary by default; with signs=moment the error is that of rounding.
    """
    net = net.double().eval()
    n = patch.shape[1]
    x = torch.cat([patch, sample, farthest[:, None]], 1).double()

    def f(points: Tensor) -> Tensor:
        return oriented_normals(net, points[:, :n], points[:, n:-1], points[:, -1], **axes)

    shift = equivariance_errors(f, Shift(), x, draws=4, steps=3, generator=generator)
    turn = equivariance_errors(f, EuclideanAction("SO(3)", "vector"), x, draws=4, steps=3, generator=generator)
    return [*shift.metrics("similarity"), *turn.metrics()]
