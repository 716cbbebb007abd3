r"""Low-order panel method for incompressible potential flow about closed bodies with sharp trailing edges, float64.

With the free stream V, outward normals n and a perturbation potential phi that vanishes inside the body, Green's third identity has
the source strength dphi/dn = -n.V and the doublet strength mu = phi on the surface. At a point inside (Dirichlet condition)

    sum_j mu_j Omega_ij + sum_w (mu_upper - mu_lower)_w Omega_iw = sum_j (n_j . V) int_j dS / r,

Omega being signed solid angles, positive seen from inside. Panels are pairs of flat triangles, so a closed body has no gaps: solid
angles of a row add up to 4 pi, which sets the diagonal. The surface velocity is V_tan + grad_s mu, Cp = 1 - |v|^2 / |V|^2.

Sources: Morino and Kuo, AIAA Journal 12 (1974); Katz and Plotkin, Low-Speed Aerodynamics, chapters 9-12; solid angle of a triangle: van
Oosterom and Strackee, IEEE Trans. Biomed. Eng. 30 (1983).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import lu_factor, lu_solve

CHUNK = 32  # points at once: their arrays stay in a core's cache
WELD = 1e-9  # nodes closer than this share of the body's size are one


def influence(points: np.ndarray, nodes: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Solid angles and source integrals (p, t) of flat triangles (t, 3) of nodes (v, 3), seen from points (p, 3).

    Omega = 2 atan2(a.(b x c), |a||b||c| + (a.b)|c| + (a.c)|b| + (b.c)|a|) with a, b, c from the point to the corners, positive where the
    normal (b - a) x (c - a) points away from it; int dS / r = sum_edges h log((r1 + r2 + d) / (r1 + r2 - d)) - z Omega.
    Heights z, edge distances h and dot products are linear in the point or follow from distances, so the work is matrix products
    and one square root per node, one logarithm per edge, one arc tangent per triangle.
    """
    corners = [nodes[triangles[:, k]] for k in range(3)]
    normal = np.cross(corners[1] - corners[0], corners[2] - corners[0])
    unit = normal / np.linalg.norm(normal, axis=1, keepdims=True)
    pairs = np.sort(triangles[:, [[0, 1], [1, 2], [2, 0]]], axis=-1)
    edges, which = np.unique(pairs.reshape(-1, 2), axis=0, return_inverse=True)
    which = which.reshape(-1, 3)
    d = np.linalg.norm(nodes[edges[:, 1]] - nodes[edges[:, 0]], axis=1)
    outs = [np.cross(corners[(k + 1) % 3] - corners[k], unit) / d[which[:, k], None] for k in range(3)]
    omega, source = np.empty((2, len(points), len(triangles)))
    for i in range(0, len(points), CHUNK):
        rows = slice(i, i + CHUNK)
        p = points[rows]
        # differences, not |x|^2 + |y|^2 - 2 x.y, which loses the digits of near pairs
        r = np.sqrt(sum((p[:, k, None] - nodes[:, k]) ** 2 for k in range(3)))
        r1, r2 = r[:, edges[:, 0]], r[:, edges[:, 1]]
        both, product = r1 + r2, r1 * r2
        # on an edge h is zero and the logarithm must stay finite
        log = np.log((both + d) / np.maximum(both - d, 1e-14 * d))
        dot = 0.5 * (both * both - d * d) - product  # of the vectors to both ends of the edge
        height = (corners[0] * normal).sum(1) - p @ normal.T  # a.(b x c), six times the volume
        turned = [dot[:, which[:, (k + 1) % 3]] * r[:, triangles[:, k]] for k in range(3)]
        below = product[:, which[:, 0]] * r[:, triangles[:, 2]] + turned[0] + turned[1] + turned[2]
        omega[rows] = 2 * np.arctan2(height, below)
        source[rows] = ((p @ unit.T) - (corners[0] * unit).sum(1)) * omega[rows]
        for start, out, edge in zip(corners, outs, which.T, strict=True):
            source[rows] += ((start * out).sum(1) - p @ out.T) * log[:, edge]
    return omega, source


def weld(nodes: np.ndarray) -> np.ndarray:
    """(v,) number of the first node at the same place."""
    size = max(float(np.ptp(nodes, axis=0).max()), np.finfo(np.float64).tiny)
    places = np.round(nodes / (WELD * size)).astype(np.int64)
    _, first, inverse = np.unique(places, axis=0, return_index=True, return_inverse=True)
    return first[inverse.ravel()]


@dataclass(frozen=True)
class Body:
    """A closed surface: nodes (v, 3) and panels (n, 4), counter-clockwise seen from outside; a triangle repeats a corner.

    mirror : the body is one half, the other being its image under y -> -y; the cut lies in the plane y = 0 and stays open.
    name : what error messages call it.
    """

    nodes: np.ndarray
    panels: np.ndarray
    mirror: bool = False
    name: str = "the body"

    @cached_property
    def welded(self) -> np.ndarray:
        """Panels (n, 4) of node numbers in which coincident nodes have one number."""
        return weld(self.nodes)[self.panels]

    @cached_property
    def split(self) -> tuple[np.ndarray, np.ndarray]:
        """Triangles (t, 3) of node numbers and the panel (t,) of each; those without area (a repeated corner) are left out."""
        quads = self.welded
        triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
        owner = np.tile(np.arange(len(quads)), 2)
        a, b, c = triangles.T
        whole = (a != b) & (b != c) & (c != a)
        return triangles[whole], owner[whole]

    @cached_property
    def centres(self) -> np.ndarray:
        """(n, 3): means of the corners."""
        return self.nodes[self.panels].mean(1)

    @cached_property
    def areas(self) -> np.ndarray:
        """(n, 3): area vectors, outward; exact for flat and for bilinear panels."""
        p = self.nodes[self.panels]
        return 0.5 * np.cross(p[:, 2] - p[:, 0], p[:, 3] - p[:, 1])

    @property
    def normals(self) -> np.ndarray:
        """(n, 3): unit normals, outward."""
        return self.areas / np.linalg.norm(self.areas, axis=1, keepdims=True)

    def check(self) -> None:
        """Raise ValueError, in one sentence naming the panel, where the surface is not closed, inverted, or a panel has no area."""
        nodes, name = self.nodes, self.name
        if not np.isfinite(nodes).all():
            raise ValueError(f"node {_first(~np.isfinite(nodes).all(1))} of {name} is not finite; repair it")
        size = np.ptp(nodes, axis=0).max()
        flat = np.linalg.norm(self.areas, axis=1) < 1e-12 * size**2
        if flat.any():
            raise ValueError(f"panel {_first(flat)} of {name} has no area; merge it with a neighbour or leave it out")
        quads = self.welded
        start, end = quads.ravel(), np.roll(quads, -1, axis=1).ravel()
        panel, real = np.repeat(np.arange(len(quads)), 4), start != end
        if self.mirror:
            cut = np.abs(nodes[:, 1]) < WELD * size
            real &= ~(cut[start] & cut[end])
        start, end, panel = start[real], end[real], panel[real]
        forward, backward = start * len(nodes) + end, end * len(nodes) + start
        again = np.zeros(len(forward), bool)
        again[np.setdiff1d(np.arange(len(forward)), np.unique(forward, return_index=True)[1])] = True
        if again.any():
            k = _first(again)
            raise ValueError(
                f"panel {panel[k]} of {name} is turned against its neighbour (or there twice); reverse its corners"
            )
        open_ = ~np.isin(backward, forward)
        if open_.any():
            raise ValueError(
                f"{name} is open: an edge of panel {panel[_first(open_)]} has no panel beside it; close the surface"
            )
        if self.volume <= 0:
            raise ValueError(f"{name} is inverted: its normals point inwards; reverse the corners of its panels")

    @property
    def volume(self) -> float:
        """Enclosed volume (of one half where mirrored), sum z n_z dA over triangles; positive with outward normals."""
        t = self.nodes[self.split[0]]
        return float((t[:, :, 2].mean(1) * np.cross(t[:, 1] - t[:, 0], t[:, 2] - t[:, 0])[:, 2]).sum() / 2)


def _first(flags: np.ndarray) -> int:
    return int(np.flatnonzero(flags)[0])


@dataclass(frozen=True)
class Wake:
    """Straight strips that leave a trailing edge: nodes (w + 1, 3) of the edge from root to tip, the panels (w,) above and below it.

    `direction` (3,) unit vector of the strips, kept for all incidences (a frozen wake); `length` in units of the body.
    """

    edge: np.ndarray
    upper: np.ndarray
    lower: np.ndarray
    direction: tuple[float, float, float] = (1.0, 0.0, 0.0)
    length: float = 50.0


class PanelMethod:
    """Influence coefficients and one LU factorisation of a body; every free stream after that is two triangular solves.

    Raises ValueError as `Body.check` does. A mirrored body takes free streams in the plane y = 0 only.
    """

    def __init__(self, body: Body, wake: Wake | None = None) -> None:
        body.check()
        self.body, self.wake = body, wake
        nodes, (triangles, owner) = body.nodes, body.split
        points, n = body.centres, len(body.centres)
        flip = np.array([1.0, -1.0, 1.0])
        order = np.argsort(owner, kind="stable")  # so that the triangles of a panel stand together
        starts = np.searchsorted(owner[order], np.arange(n))
        triangles = triangles[order]
        normal = np.cross(
            nodes[triangles[:, 1]] - nodes[triangles[:, 0]], nodes[triangles[:, 2]] - nodes[triangles[:, 0]]
        )
        normal /= np.linalg.norm(normal, axis=1, keepdims=True)
        omega, right = np.zeros((n, n)), np.zeros((n, 3))
        # the image's influence on a point is the body's on the point's image
        for sign in (np.ones(3), flip) if body.mirror else (np.ones(3),):
            solid, source = influence(points * sign, nodes, triangles)
            omega += np.add.reduceat(solid, starts, axis=1)
            right += source @ (normal * sign)
        np.fill_diagonal(omega, 0.0)
        np.fill_diagonal(omega, 4 * np.pi - omega.sum(1))
        if wake is not None:
            far = wake.edge + wake.length * np.asarray(wake.direction)
            w = len(wake.edge) - 1
            near = np.arange(w)
            strips = np.concatenate(
                [
                    np.stack([near, w + 1 + near, w + 2 + near], 1),
                    np.stack([near, w + 2 + near, near + 1], 1),
                ]
            )
            strip = np.zeros((n, w))
            for sign in (np.ones(3), flip) if body.mirror else (np.ones(3),):
                solid, _ = influence(points * sign, np.concatenate([wake.edge, far]), strips)
                strip += (
                    solid[:, :w] + solid[:, w:]
                )  # corners run so that the normal points up, from lower to upper side
            omega[:, wake.upper] += strip
            omega[:, wake.lower] -= strip
        self._lu, self._right = lu_factor(omega, check_finite=False), right

    def solve(self, velocity: np.ndarray) -> np.ndarray:
        """Surface potential mu (k, n) of free streams (k, 3)."""
        velocity = np.atleast_2d(np.asarray(velocity, dtype=np.float64))
        if self.body.mirror and np.abs(velocity[:, 1]).max() > 0:
            raise ValueError(
                "a mirrored body has no side-slip: the free stream's y component must be 0; pass both halves"
            )
        return lu_solve(self._lu, self._right @ velocity.T, check_finite=False).T

    def circulation(self, mu: np.ndarray) -> np.ndarray:
        """(k, w): mu_upper - mu_lower at the trailing edge, the circulation about each strip."""
        if self.wake is None:
            raise ValueError("the body has no wake, so no circulation; pass a wake")
        return mu[:, self.wake.upper] - mu[:, self.wake.lower]


def surface_velocity(
    centres: np.ndarray,
    normals: np.ndarray,
    mu: np.ndarray,
    velocity: np.ndarray,
    periodic: bool = False,
    mirror: bool = False,
) -> np.ndarray:
    """v (k, a, b, 3) = V_tan + g^{ij} d_i mu X_j on a grid of panel centres (a, b, 3); mu (k, a, b), V (k, 3).

    Second-order differences in index space, one-sided at borders; `periodic` closes the second axis, `mirror` continues it
    evenly under y -> -y beyond its start.
    """
    x, m = centres, mu
    cut = slice(None)
    if periodic:
        x, m, cut = x[:, np.r_[-1 : x.shape[1], 0]], m[..., np.r_[-1 : m.shape[-1], 0]], slice(1, -1)
    elif mirror:
        x = np.concatenate([x[:, :1] * [1.0, -1.0, 1.0], x], 1)
        m, cut = np.concatenate([m[..., :1], m], -1), slice(1, None)
    along = [np.gradient(x, axis=k, edge_order=2)[:, cut] for k in (0, 1)]
    change = [np.gradient(m, axis=k, edge_order=2)[..., cut] for k in (-2, -1)]
    e, f, g = ((along[i] * along[j]).sum(-1) for i, j in ((0, 0), (0, 1), (1, 1)))
    det = e * g - f * f
    du = (g * change[0] - f * change[1]) / det
    dv = (e * change[1] - f * change[0]) / det
    tangential = velocity[:, None, None] - np.einsum("kc,abc->kab", velocity, normals)[..., None] * normals
    return tangential + du[..., None] * along[0] + dv[..., None] * along[1]


def pressure_coefficient(v: np.ndarray, velocity: np.ndarray) -> np.ndarray:
    """Cp (k, a, b) = 1 - |v|^2 / |V|^2."""
    return 1 - (v**2).sum(-1) / (velocity**2).sum(-1)[:, None, None]
