"""Neighbourhoods of point clouds: nearest points, principal axes, and local polynomial fits (jets), batched over points."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def check_points(points: np.ndarray, name: str = "the cloud") -> None:
    """Raise ValueError, in one sentence, unless points (n, 3) are finite numbers."""
    if points.ndim != 2 or points.shape[1] != 3:
        raise ValueError(f"{name} has shape {points.shape}; give points (n, 3)")
    if not np.isfinite(points).all():
        row = int(np.flatnonzero(~np.isfinite(points).all(1))[0])
        raise ValueError(f"point {row} of {name} is not finite (NaN or Inf); drop or repair it")


def nearest(points: np.ndarray, k: int, query: np.ndarray | None = None) -> np.ndarray:
    """Indices (q, k) of the k nearest points of each queried point (all by default), by distance, the point itself first.

    points (n, 3); query (q,) indices. Raises ValueError where there are fewer than k points, where k of them coincide, or where
    a coordinate is not finite.
    """
    from scipy.spatial import cKDTree

    check_points(points)
    if len(points) < k:
        raise ValueError(f"the cloud has {len(points)} points and {k} neighbours are asked for; lower the neighbours")
    query = np.arange(len(points)) if query is None else query
    distance, index = cKDTree(points).query(points[query], k=range(1, k + 1))
    if k > 1 and not distance[:, -1].all():
        row = int(query[np.argmin(distance[:, -1])])
        raise ValueError(f"the {k} nearest points of point {row} coincide; remove duplicates or raise the neighbours")
    away = index[:, 0] != query  # of coincident points another one may come first
    if away.any():
        hit = index[away] == query[away, None]
        place = np.where(hit.any(1), hit.argmax(1), k - 1)
        index[np.flatnonzero(away), place] = index[away, 0]
        index[away, 0] = query[away]
    return index


def principal_axes(x: Tensor) -> tuple[Tensor, Tensor]:
    """Variances (..., 3), descending, and axes (..., 3, 3), one in each column, of neighbourhoods x (..., k, 3) about their means.

    The axes are the left singular vectors of (x - mean)^T, up to sign, computed in float64 from the covariance.
    """
    centred = (x - x.mean(-2, keepdim=True)).double()
    values, axes = torch.linalg.eigh(centred.mT @ centred / x.shape[-2])
    return values.flip(-1).to(x.dtype), axes.flip(-1).to(x.dtype)


def pca_normals(x: Tensor) -> Tensor:
    """Normals (..., 3) of neighbourhoods x (..., k, 3): the direction of least variance, sign arbitrary."""
    return principal_axes(x)[1][..., 2]


def jet_normals(x: Tensor, order: int) -> Tensor:
    """Normals (..., 3) at the first point of neighbourhoods x (..., k, 3) from a polynomial height function of degree `order`.

    Cazals and Pouget 2005: in the frame of the principal axes, w = sum_{i+j <= order} b_ij u^i v^j by least squares of minimal
    norm; the normal of the graph at the point is (-b_10, -b_01, 1). Lengths are divided by the radius of the neighbourhood, which
    conditions the columns. Sign arbitrary. Raises ValueError where k is smaller than the number of coefficients.
    """
    powers = [(i, d - i) for d in range(order + 1) for i in range(d, -1, -1)]  # 1, u, v, u^2, uv, v^2, ...
    if x.shape[-2] < len(powers):
        raise ValueError(
            f"a jet of order {order} has {len(powers)} coefficients and there are {x.shape[-2]} neighbours; raise them"
        )
    axes = principal_axes(x)[1].double()
    local = (x - x[..., :1, :]).double() @ axes
    local = local / local.norm(dim=-1).amax(-1)[..., None, None].clamp_min(torch.finfo(torch.float64).tiny)
    u, v, w = local.unbind(-1)
    columns = torch.stack([u**i * v**j for i, j in powers], -1)
    # gelsd copes with neighbourhoods on a line; LAPACK only, hence the trip to the CPU
    b = torch.linalg.lstsq(columns.cpu(), w[..., None].cpu(), driver="gelsd").solution[..., 0].to(x.device)
    gradient = torch.stack([-b[..., 1], -b[..., 2], torch.ones_like(b[..., 0])], -1)
    normal = (axes @ gradient[..., None])[..., 0]
    return (normal / normal.norm(dim=-1, keepdim=True)).to(x.dtype)
