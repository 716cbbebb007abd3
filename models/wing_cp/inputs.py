"""What the regressors see of a surface: coordinates, conditions, and scaled geometric features, standardised on the training split.

Metric: log E, F / sqrt(EG), log G; connection and curvatures: sign(x) log(1 + |x|), since they span decades near a leading edge.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bench.schema import BenchError, Bundle
from models.geometry.forms import Forms, grid_forms, grid_windows, local_forms, neighbours
from models.wing_cp.config import FEATURES

GEOMETRY = ("metric", "connection", "gauss", "mean")
PIECE, CONDITIONS = 6, 7  # columns of a sample: 0-2 place, 3-5 outward normal, 6 smooth piece, 7... conditions


def signed_log(x: np.ndarray) -> np.ndarray:
    """sign(x) log(1 + |x|)."""
    return np.sign(x) * np.log1p(np.abs(x))


def forms_of(x: np.ndarray, grid: tuple[int, int] | None, chart: str, k: int, starts: Sequence[int] = ()) -> Forms:
    """Forms, arrays (n, P, ...), of surfaces x (n, P, >= 7) in the chart of their grid or of tangent planes; H follows the given normals.

    The normal column may be zero where it is unknown: then normals point away from most neighbours. starts : rows of the grid at which
    a new smooth piece begins. Raises BenchError where a smooth piece of scattered points has fewer than k.
    """
    n, p = x.shape[:2]
    points, normal = x[..., :3], x[..., 3:6]
    if chart == "grid":
        if grid is None:
            raise ValueError("chart=grid needs structured surfaces; take chart=tangent")
        forms = grid_forms(points.reshape(n, *grid, 3), pieces=(starts, ()))
        forms = Forms(*(getattr(forms, f).reshape(n, p, 3) for f in ("xu", "xv", "xuu", "xuv", "xvv")))
        turned = np.einsum("npc,npc->np", forms.normal, normal) < 0
        if turned.mean() > 0.5:  # grid lines the other way round: exchange u and v
            forms = Forms(forms.xv, forms.xu, forms.xvv, forms.xuv, forms.xuu)
        return forms
    flat = points.reshape(-1, 3)
    if grid is not None:
        near = (grid_windows(grid, starts=starts) + (np.arange(n) * p)[:, None, None]).reshape(n * p, -1)
    else:
        near = _near(x, k, "method.neighbours")
    forms = local_forms(flat, near, normals=normal.reshape(-1, 3) if np.abs(normal).max() > 0 else None)
    return Forms(*(getattr(forms, f).reshape(n, p, 3) for f in ("xu", "xv", "xuu", "xuv", "xvv")))


def _near(x: np.ndarray, k: int, what: str) -> np.ndarray:
    """Indices (n P, k) of the nearest points of the same smooth piece of the same surface; BenchError where there are fewer."""
    piece = x[..., PIECE]
    labels = (np.arange(len(x))[:, None] * (piece.max() + 1) + piece).ravel()
    _, first, counts = np.unique(labels, return_index=True, return_counts=True)
    if counts.min() < k:
        i = int(first[counts.argmin()]) // x.shape[1]
        raise BenchError(
            f"surface {i} of a split has a smooth piece of {counts.min()} points and {what}={k}; lower it, or take more points"
        )
    return neighbours(x[..., :3].reshape(-1, 3), k, labels)


def point_features(
    forms: Forms, normal: np.ndarray, parts: tuple[str, ...], grid: tuple[int, int] | None
) -> np.ndarray:
    """Scaled features (n, P, c) by name: metric 3, connection 6, gauss 1, mean 1, normal 3, index 2."""
    out = []
    for part in parts:
        if part == "metric":
            e, f, g = np.moveaxis(forms.metric, -1, 0)
            out.append(np.stack([np.log(e), f / np.sqrt(e * g), np.log(g)], -1))
        elif part == "connection":
            out.append(signed_log(forms.connection.reshape(*forms.xu.shape[:2], 6)))
        elif part in ("gauss", "mean"):
            out.append(signed_log(getattr(forms, part))[..., None])
        elif part == "normal":
            out.append(normal if np.abs(normal).max() > 0 else forms.normal)
        else:
            if grid is None:
                raise ValueError("features=index needs structured surfaces; scattered points have no grid index")
            place = np.stack(np.meshgrid(*(np.linspace(-1, 1, m) for m in grid), indexing="ij"), -1).reshape(-1, 2)
            out.append(np.broadcast_to(place, (len(normal), *place.shape)))
    return np.concatenate(out, -1)


def pooled(features: np.ndarray, x: np.ndarray, k: int) -> np.ndarray:
    """Mean and maximum (n, P, 2 c) of features (n, P, c) over the k nearest points of the same smooth piece, the point included."""
    n, p, c = features.shape
    near = _near(x, k, "method.pool")
    local = features.reshape(-1, c)[near]
    return np.concatenate([local.mean(1), local.max(1)], -1).reshape(n, p, 2 * c)


class SurfaceInputs:
    """Turns samples x (n, P, d) of a bundle into point inputs (n, P, c) and conditions (n, q), float32, standardised.

    Means and standard deviations are those of the training split; columns that are constant there become zero.
    """

    def __init__(self, cfg: Any, bundle: Bundle) -> None:
        self.cfg, self.grid = cfg, bundle.meta.get("grid")
        self.starts = bundle.meta.get("starts") or ()
        self.chart = cfg.chart if cfg.chart != "auto" else "grid" if self.grid else "tangent"
        points, conditions = self.raw(np.asarray(bundle.train.x, dtype=np.float64))
        self.shift, self.scale = _standard(points.reshape(-1, points.shape[-1]))
        self.c_shift, self.c_scale = _standard(conditions)
        self.sizes = points.shape[-1], conditions.shape[-1]

    def raw(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Point inputs and conditions before standardisation, float64."""
        parts = FEATURES[self.cfg.features]
        columns = [x[..., :3]]
        if parts:
            needed = any(p in GEOMETRY for p in parts) or not np.abs(x[..., 3:6]).max() > 0
            forms = forms_of(x, self.grid, self.chart, self.cfg.neighbours, self.starts) if needed else None
            columns.append(point_features(forms, x[..., 3:6], parts, self.grid))  # type: ignore[arg-type]
            if self.cfg.pool:
                local = point_features(forms, x[..., 3:6], tuple(p for p in parts if p in GEOMETRY), self.grid)  # type: ignore[arg-type]
                columns.append(pooled(local, x, self.cfg.pool))
        return np.concatenate(columns, -1), x[:, 0, CONDITIONS:]

    def __call__(self, x: Any) -> tuple[np.ndarray, np.ndarray]:
        points, conditions = self.raw(np.asarray(x, dtype=np.float64))
        return (
            ((points - self.shift) * self.scale).astype(np.float32),
            ((conditions - self.c_shift) * self.c_scale).astype(np.float32),
        )


def _standard(columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    spread = columns.std(0)
    still = spread < 1e-9 * np.maximum(1.0, np.abs(columns).max(0))
    return columns.mean(0), np.where(still, 0.0, 1 / np.where(still, 1.0, spread))
