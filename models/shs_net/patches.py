"""What the network sees of a query point: its nearest points, and a sample of the whole cloud that thins out with distance.

Li et al. 2023, in the notation here: patch p_i = (x_i - q) / max_i |x_i - q| over the N nearest points, by distance; sample
s_j = (x_j - q) / max over the cloud of |x_j - q|, M points drawn without replacement.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from models.geometry.neighbourhoods import check_points, principal_axes

FALL, FLOOR = 1.5, 0.05  # p = clip(1 - FALL d, FLOOR, 1)


class Drawn(NamedTuple):
    """Indices into the cloud of each query: `patch` (B, N), nearest first and the query itself at 0; `sample` (B, M), -1 where the
    cloud has no more points; `farthest` (B,)."""

    patch: Tensor
    sample: Tensor
    farthest: Tensor


class CloudSet:
    """Clouds of possibly different sizes on one device, float32: `points` (C, n, 3) about the mean of their cloud, which the network
    does not see and float32 cannot spare, zero beyond `sizes` (C,).

    Raises ValueError, in one sentence, for a coordinate that is not finite and for a cloud with fewer points than a patch.
    """

    def __init__(
        self, clouds: Sequence[Any], patch: int, device: str = "cpu", normals: Sequence[Any] | None = None
    ) -> None:
        for i, x in enumerate(clouds):
            check_points(np.asarray(x), f"cloud {i}")
            if len(x) < patch:
                raise ValueError(f"cloud {i} has {len(x)} points and a patch wants {patch}; lower method.patch")
        self.sizes = torch.tensor([len(x) for x in clouds], device=device)
        wide = [np.asarray(x, dtype=np.float64) for x in clouds]
        self.points = self._padded([x - x.mean(0) for x in wide], device)
        self.normals = None if normals is None else self._padded(normals, device)

    def _padded(self, rows: Sequence[Any], device: str) -> Tensor:
        out = torch.zeros(len(rows), int(self.sizes.max()), 3)
        for i, x in enumerate(rows):
            out[i, : len(x)] = torch.as_tensor(np.asarray(x))
        return out.to(device)

    def draw(self, cloud: Tensor, query: Tensor, patch: int, sample: int, generator: torch.Generator) -> Drawn:
        """Patches and samples of the points `query` (B,) of the clouds `cloud` (B,). Raises ValueError where a patch has no extent."""
        x = self.points[cloud]
        outside = torch.arange(x.shape[1], device=x.device) >= self.sizes[cloud][:, None]
        rows = torch.arange(len(cloud), device=x.device)
        distance = (x - x[rows, query][:, None]).norm(dim=-1).masked_fill(outside, -1.0)
        far, farthest = distance.max(1)
        order = distance.masked_fill(outside, torch.inf)
        order[rows, query] = -1.0  # first, also among coincident points
        near = order.topk(patch, largest=False, sorted=True)
        if not (near.values[:, -1] > 0).all():
            i = int((near.values[:, -1] <= 0).nonzero()[0, 0])
            raise ValueError(
                f"the {patch} nearest points of point {int(query[i])} of cloud {int(cloud[i])} coincide; "
                "remove duplicates or raise method.patch"
            )
        chosen = density_gradient(distance / far[:, None], self.sizes[cloud], sample, generator)
        absent = (chosen != query[:, None]).all(1)
        chosen[absent, 0] = query[absent]
        return Drawn(near.indices, chosen, farthest)

    def cut(self, cloud: Tensor, drawn: Drawn) -> tuple[Tensor, Tensor]:
        """Patch (B, N, 3) and sample (B, M, 3) in coordinates of the query."""
        x, rows = self.points[cloud], torch.arange(len(cloud), device=self.points.device)
        missing = drawn.sample < 0
        patch, sample = x[rows[:, None], drawn.patch], x[rows[:, None], drawn.sample.clamp_min(0)]
        return to_query(patch, sample, x[rows, drawn.farthest], missing)


def to_query(patch: Tensor, sample: Tensor, farthest: Tensor, missing: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Points (B, N, 3) and (B, M, 3) minus the query patch[:, 0], divided by the patch's radius and by |farthest - query|.

    Points of the sample that are `missing` (B, M) lie at the query.
    """
    q = patch[:, :1]
    local, shape = patch - q, sample - q
    local = local / local.norm(dim=-1).amax(1)[:, None, None]
    shape = shape / (farthest - q[:, 0]).norm(dim=-1)[:, None, None]
    return local, shape if missing is None else shape.masked_fill(missing[..., None], 0.0)


def density_gradient(distance: Tensor, sizes: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Indices (B, count) drawn without replacement with probability proportional to p = clip(1 - 1.5 d, 0.05, 1), and p = 1 for
    int(count / 1.5) uniformly chosen points; d (B, n) in [0, 1], `sizes` (B,) how many of the n points exist.

    A cloud with fewer than `count` points gives all of them in random order and then -1. Drawing in the order of Exp(1) / p
    is drawing one after another with probability proportional to p.
    """
    outside = torch.arange(distance.shape[1], device=distance.device) >= sizes[:, None]
    p = (1 - FALL * distance).clamp(FLOOR, 1.0)
    options = {"generator": generator, "device": distance.device, "dtype": distance.dtype}
    lot = torch.rand(distance.shape, **options).masked_fill(outside, torch.inf)
    uniform = lot.topk(min(int(count / FALL), distance.shape[1]), largest=False).indices
    p = p.scatter(1, uniform, 1.0)
    p = torch.where((sizes < count)[:, None], torch.ones_like(p), p)
    race = (
        torch.empty(distance.shape, device=distance.device, dtype=distance.dtype).exponential_(generator=generator) / p
    )
    first = race.masked_fill(outside, torch.inf).topk(min(count, distance.shape[1]), largest=False, sorted=True)
    index = first.indices.masked_fill(first.values.isinf(), -1)
    return torch.nn.functional.pad(index, (0, count - index.shape[1]), value=-1)


def align(patch: Tensor, *, signs: str = "arbitrary", official_parity: bool = False) -> Tensor:
    """Principal axes U (B, 3, 3) of patches (B, N, 3), in columns; aligned coordinates are p U, and normals n U.

    The query stays at the origin, as p U is linear. Signs, and so det U, are arbitrary, or fixed by sum_i (p_i U)^3 > 0 about
    the query, which turns with the cloud: then the network commutes with O(3).
    """
    with torch.no_grad():
        if official_parity:
            return torch.linalg.svd((patch - patch.mean(1, keepdim=True)).mT, full_matrices=False).U
        axes = principal_axes(patch)[1]
        if signs == "moment":
            odd = (patch.double() @ axes.double()).pow(3).sum(1)
            axes = axes * torch.where(odd < 0, -1.0, 1.0).to(axes.dtype)[:, None]
        return axes
