r"""Fundamental forms, connection and curvature of surfaces in space, on structured grids and at scattered points, batched, float64.

In a chart X(u, v): metric g = (E, F, G), E = <X_u, X_u>, F = <X_u, X_v>, G = <X_v, X_v>; unit normal n = X_u x X_v / |X_u x X_v|; second
form (L, M, N) = (<X_uu, n>, <X_uv, n>, <X_vv, n>); Levi-Civita connection Gamma^k_ij = g^{kl} <X_ij, X_l>, which needs no derivative of g;
Gauss curvature K = (LN - M^2) / (EG - F^2), Ricci = K g, scalar curvature 2 K, R_1212 = K det g. All these are intrinsic but for
the second form and the mean curvature H = (EN - 2 FM + GL) / (2 det g), whose signs go with n.

Source: do Carmo, Differential Geometry of Curves and Surfaces, chapters 2-4; local fits: Cazals and Pouget, CAGD 22 (2005).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

CHUNK = 2048  # points fitted at once: their systems stay in a core's cache


@dataclass(frozen=True)
class Forms:
    """First and second derivatives of a chart and what follows; all arrays (..., .) float64, one entry for each point.

    xu, xv, xuu, xuv, xvv (..., 3).
    """

    xu: np.ndarray
    xv: np.ndarray
    xuu: np.ndarray
    xuv: np.ndarray
    xvv: np.ndarray

    @property
    def metric(self) -> np.ndarray:
        """(..., 3): E, F, G."""
        return np.stack([_dot(self.xu, self.xu), _dot(self.xu, self.xv), _dot(self.xv, self.xv)], -1)

    @property
    def det(self) -> np.ndarray:
        """(...,): EG - F^2 = |X_u x X_v|^2."""
        return (np.cross(self.xu, self.xv) ** 2).sum(-1)

    @property
    def normal(self) -> np.ndarray:
        """(..., 3): X_u x X_v, of length 1."""
        n = np.cross(self.xu, self.xv)
        return n / np.linalg.norm(n, axis=-1, keepdims=True)

    @property
    def second(self) -> np.ndarray:
        """(..., 3): L, M, N with respect to `normal`."""
        n = self.normal
        return np.stack([_dot(x, n) for x in (self.xuu, self.xuv, self.xvv)], -1)

    @property
    def connection(self) -> np.ndarray:
        """(..., 2, 3): Gamma^k_ij, k = u, v and ij = uu, uv, vv."""
        e, f, g = np.moveaxis(self.metric, -1, 0)
        second = (self.xuu, self.xuv, self.xvv)
        lower = np.stack([np.stack([_dot(x, t) for x in second], -1) for t in (self.xu, self.xv)], -2)
        det = self.det[..., None]
        up_u = (g[..., None] * lower[..., 0, :] - f[..., None] * lower[..., 1, :]) / det
        up_v = (e[..., None] * lower[..., 1, :] - f[..., None] * lower[..., 0, :]) / det
        return np.stack([up_u, up_v], -2)

    @property
    def gauss(self) -> np.ndarray:
        """(...,): K."""
        low, mid, high = np.moveaxis(self.second, -1, 0)
        return (low * high - mid**2) / self.det

    @property
    def mean(self) -> np.ndarray:
        """(...,): H, extrinsic; positive where the surface bends towards `normal`."""
        (e, f, g), (low, mid, high) = np.moveaxis(self.metric, -1, 0), np.moveaxis(self.second, -1, 0)
        return (e * high - 2 * f * mid + g * low) / (2 * self.det)

    @property
    def ricci(self) -> np.ndarray:
        """(..., 3): K E, K F, K G."""
        return self.gauss[..., None] * self.metric

    @property
    def riemann(self) -> np.ndarray:
        """(...,): R_1212 = K det g, the one component of the curvature tensor of a surface."""
        return self.gauss * self.det

    def check(self, name: str = "the surface") -> Forms:
        """Self, or ValueError naming the first point where the tangents are parallel or a derivative is not finite."""
        size = _dot(self.xu, self.xu) * _dot(self.xv, self.xv)
        good = self.det > 1e-14 * size  # false for NaN too
        if not good.all():
            place = tuple(int(i) for i in np.argwhere(~good)[0])
            raise ValueError(f"the chart of {name} is singular or not finite at point {place}; drop or repair it")
        return self


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.einsum("...c,...c->...", a, b)


# ------------------------------------------------------------------------------------------ structured grids


def first_difference(x: np.ndarray, axis: int, periodic: bool = False) -> np.ndarray:
    """Derivative by grid index, second order: central, one-sided (-3, 4, -1) / 2 at the ends."""
    if periodic:
        return 0.5 * (np.roll(x, -1, axis) - np.roll(x, 1, axis))
    return np.gradient(x, axis=axis, edge_order=2)


def second_difference(x: np.ndarray, axis: int, periodic: bool = False) -> np.ndarray:
    """Second derivative by grid index, second order: (1, -2, 1), one-sided (2, -5, 4, -1) at the ends."""
    if periodic:
        return np.roll(x, -1, axis) - 2 * x + np.roll(x, 1, axis)
    x = np.moveaxis(x, axis, 0)
    out = np.empty_like(x)
    out[1:-1] = x[2:] - 2 * x[1:-1] + x[:-2]
    out[0] = 2 * x[0] - 5 * x[1] + 4 * x[2] - x[3]
    out[-1] = 2 * x[-1] - 5 * x[-2] + 4 * x[-3] - x[-4]
    return np.moveaxis(out, 0, axis)


def grid_forms(
    x: np.ndarray,
    step: tuple[float, float] = (1.0, 1.0),
    periodic: tuple[bool, bool] = (False, False),
    pieces: tuple[Sequence[int], Sequence[int]] = ((), ()),
) -> Forms:
    """Forms on structured grids x (..., a, b, 3) by second-order differences.

    step : distance of neighbouring grid lines in u and v, 1 for the index chart.
    periodic : whether the last line is followed by the first.
    pieces : lines (along u, along v) at which a new smooth piece starts; no difference is taken across.

    Raises ValueError for fewer than 4 lines in a piece, and where the chart is singular or a coordinate is not finite.
    """
    x = np.asarray(x, dtype=np.float64)
    if x.ndim < 3 or x.shape[-1] != 3:
        raise ValueError(f"x has shape {x.shape}; pass grids (..., a, b, 3)")

    def along(f: object, y: np.ndarray, axis: int) -> np.ndarray:
        cuts = [0, *pieces[axis], y.shape[axis - 3]]
        if len(cuts) > 2 and periodic[axis]:
            raise ValueError("a periodic direction has no pieces; drop one of them")
        if min(b - a for a, b in pairwise(cuts)) < 4:
            raise ValueError(
                f"a smooth piece of the grid has fewer than 4 lines in direction {'uv'[axis]}; refine it or cut less"
            )
        parts = [np.moveaxis(np.moveaxis(y, axis - 3, 0)[a:b], 0, axis - 3) for a, b in pairwise(cuts)]
        return np.concatenate([f(p, axis - 3, periodic[axis]) for p in parts], axis - 3)  # type: ignore[operator]

    (du, dv), d1, d2 = step, first_difference, second_difference
    xu = along(d1, x, 0) / du
    return Forms(
        xu, along(d1, x, 1) / dv, along(d2, x, 0) / du**2, along(d1, xu, 1) / dv, along(d2, x, 1) / dv**2
    ).check("the grid")


def brioschi(
    metric: np.ndarray, step: tuple[float, float] = (1.0, 1.0), periodic: tuple[bool, bool] = (False, False)
) -> np.ndarray:
    """Gauss curvature (..., a, b) from the metric (..., a, b, 3) alone (Theorema egregium), by second-order differences.

    K det(g)^2 = det [[F_uv - E_vv/2 - G_uu/2, E_u/2, F_u - E_v/2], [F_v - G_u/2, E, F], [G_v/2, F, G]]
    - det [[0, E_v/2, G_u/2], [E_v/2, E, F], [G_u/2, F, G]]. Where the metric itself comes from differences, the two lines next to
    a border of the grid are of first order only.
    """
    e, f, g = np.moveaxis(np.asarray(metric, dtype=np.float64), -1, 0)

    def d(y: np.ndarray, *axes: int) -> np.ndarray:
        if len(axes) == 2 and axes[0] == axes[1]:
            return second_difference(y, axes[0] - 2, periodic[axes[0]]) / step[axes[0]] ** 2
        for a in axes:
            y = first_difference(y, a - 2, periodic[a]) / step[a]
        return y

    eu, ev, gu, gv, fu, fv = d(e, 0), d(e, 1), d(g, 0), d(g, 1), d(f, 0), d(f, 1)
    det = e * g - f * f
    a, b, c, p, q = d(f, 0, 1) - 0.5 * d(e, 1, 1) - 0.5 * d(g, 0, 0), 0.5 * eu, fu - 0.5 * ev, fv - 0.5 * gu, 0.5 * gv
    first = a * det - b * (p * g - f * q) + c * (p * f - e * q)
    second = -0.5 * ev * (0.5 * ev * g - 0.5 * gu * f) + 0.5 * gu * (0.5 * ev * f - 0.5 * gu * e)
    return (first - second) / det**2


# ------------------------------------------------------------------------------------------ scattered points


def neighbours(points: np.ndarray, k: int, pieces: np.ndarray | None = None) -> np.ndarray:
    """Indices (n, k) of the k nearest points of the same smooth piece, the point itself first.

    points (n, 3); pieces (n,) labels. Raises ValueError where a piece has fewer than k points or where k points coincide.
    """
    from models.geometry.neighbourhoods import nearest

    if pieces is None:
        return nearest(points, k)
    out = np.empty((len(points), k), dtype=np.int64)
    for label in np.unique(pieces):
        own = np.flatnonzero(pieces == label)
        if len(own) < k:
            raise ValueError(
                f"piece {label:g} has {len(own)} points and {k} neighbours are asked for; lower the neighbours"
            )
        out[own] = own[nearest(points[own], k)]
    return out


def grid_windows(shape: tuple[int, int], half: int = 2, starts: Sequence[int] = ()) -> np.ndarray:
    """Indices (a b, (2 half + 1)^2) of the window about each point of a grid (a, b), moved inwards at borders, itself first.

    starts : lines along u at which a new smooth piece begins; windows stay inside their piece.
    """
    a, b = shape
    width = 2 * half + 1
    cuts = np.array([0, *starts, a])
    if np.diff(cuts).min() < width or b < width:
        raise ValueError(f"a piece of the {a} x {b} grid is narrower than the window of {width}; lower half")
    i, j = np.indices(shape)
    place = np.searchsorted(cuts, i, side="right")
    first = np.clip(i - half, cuts[place - 1], cuts[place] - width)
    second = np.clip(j - half, 0, b - width)
    rows, columns = (c.ravel() for c in np.indices((width, width)))
    index = ((first[..., None] + rows) * b + second[..., None] + columns).reshape(a * b, -1)
    own = np.argmax(index == np.arange(a * b)[:, None], axis=1)
    n = np.arange(a * b)
    index[n, own], index[n, 0] = index[n, 0], n
    return index


def local_forms(points: np.ndarray, near: np.ndarray, degree: int = 2, normals: np.ndarray | None = None) -> Forms:
    """Forms at scattered points (n, 3) from polynomial fits of the height over the tangent plane of the neighbours near (n, k).

    The chart of a point is (u, v) = the first two principal axes of its neighbours: w = sum_{i+j <= degree} b_ij u^i v^j by least squares,
    so X_u = (1, 0, b_10) and so on in that frame, and g = I + grad w grad w^T. Curvatures have order `degree` - 1 in the
    distance of neighbours, one more where these lie symmetrically. The frame's first axis has a positive third moment, its normal
    goes with `normals` (n, 3) where given (else with the heights: most neighbours lie below), so rigid motions turn xu, ..., xvv along
    and change nothing else.

    Raises ValueError where k is less than the number of coefficients or the neighbours of a point lie on a line or conic.
    """
    powers = [(d - j, j) for d in range(degree + 1) for j in range(d + 1)]  # 1, u, v, u^2, uv, v^2, ...
    if degree < 2 or near.shape[1] < len(powers):
        raise ValueError(
            f"a fit of degree {degree} needs degree >= 2 and {len(powers)} neighbours or more; there are {near.shape[1]}"
        )
    points = np.asarray(points, dtype=np.float64)
    parts = []
    for start in range(0, len(near), CHUNK):
        rows = slice(start, start + CHUNK)
        parts.append(_fit(points, near[rows], powers, None if normals is None else normals[rows], start))
    return Forms(*(np.concatenate(p) for p in zip(*parts, strict=True)))


def _fit(
    points: np.ndarray, near: np.ndarray, powers: list[tuple[int, int]], normals: np.ndarray | None, start: int
) -> tuple[np.ndarray, ...]:
    """X_u, X_v, X_uu, X_uv, X_vv (m, 3) of a chunk."""
    x = points[near] - points[near[:, :1]]
    centred = x - x.mean(1, keepdims=True)
    axes = np.linalg.eigh(np.matmul(centred.transpose(0, 2, 1), centred))[1][..., ::-1].transpose(0, 2, 1)  # rows
    along = np.matmul(centred, axes[:, 0, :, None])[..., 0]
    first = axes[:, 0] * np.where((along**3).sum(1) < 0, -1.0, 1.0)[:, None]
    third = axes[:, 2]
    side = (third * normals).sum(1) if normals is not None else -np.einsum("mkc,mc->m", x, third)
    third = third * np.where(side < 0, -1.0, 1.0)[:, None]
    frame = np.stack([first, np.cross(third, first), third], 1)
    local = np.matmul(x, frame.transpose(0, 2, 1))
    scale = np.sqrt((local[..., :2] ** 2).sum(-1).max(1))
    u, v, w = np.moveaxis(local / scale[:, None, None], -1, 0)
    design = np.stack([u**i * v**j for i, j in powers], 1)
    gram = np.matmul(design, design.transpose(0, 2, 1))
    # of equilibrated Gram matrices the pivots of a Cholesky factor tell neighbours on a line or conic
    size = np.sqrt(np.einsum("mii->mi", gram)).clip(1e-150)
    try:
        lower = np.linalg.cholesky(gram / (size[:, :, None] * size[:, None]))
        bad = np.einsum("mii->mi", lower).min(1) < 1e-6
    except np.linalg.LinAlgError:
        bad = np.linalg.eigvalsh(gram / (size[:, :, None] * size[:, None]))[:, 0] < 1e-12
    if bad.any():
        raise ValueError(
            f"the neighbours of point {start + int(bad.argmax())} lie on a line or a conic, so no surface is fixed by them; ask for more"
        )
    b = np.linalg.solve(gram, np.matmul(design, w[..., None]))[..., 0]
    at = {p: b[:, i] for i, p in enumerate(powers)}

    def vector(in_u: float, in_v: float, height: np.ndarray) -> np.ndarray:
        return in_u * frame[:, 0] + in_v * frame[:, 1] + height[:, None] * frame[:, 2]

    return (
        vector(1, 0, at[1, 0]),
        vector(0, 1, at[0, 1]),
        vector(0, 0, 2 * at[2, 0] / scale),
        vector(0, 0, at[1, 1] / scale),
        vector(0, 0, 2 * at[0, 2] / scale),
    )
