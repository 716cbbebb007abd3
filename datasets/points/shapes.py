"""Surfaces with exact normals and curvatures, sampled uniformly by area, all clouds of a family at once (numpy, float64).

Every sampler has the signature f(count, n, rng) -> Cloud with random proportions per cloud, symmetry axis along z.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Rng = np.random.Generator


@dataclass
class Cloud:
    """`points`, `normals` (count, n, 3), normals outward (saddle: upward) and of unit length; `mean`, `gauss` (count, n) are
    the mean curvature (k1 + k2) / 2, positive where the surface bends away from its normal (a sphere has 1/r), and k1 k2."""

    points: np.ndarray
    normals: np.ndarray
    mean: np.ndarray
    gauss: np.ndarray


def _unit(v: np.ndarray) -> np.ndarray:
    return v / np.linalg.norm(v, axis=-1, keepdims=True)


def _accepted(
    count: int, n: int, rng: Rng, density: Callable[[np.ndarray], np.ndarray], draw: Callable[[int], np.ndarray]
) -> np.ndarray:
    """n draws per cloud, accepted with probability `density` <= 1 (count, m): rejection sampling with a batch of spares."""
    kept = np.empty((count, n, draw(1).shape[-1]))
    have = np.zeros(count, dtype=int)
    while (have < n).any():
        u = draw(4 * n)
        yes = rng.random(u.shape[:2]) < density(u)
        for_place = have[:, None] + np.cumsum(yes, 1) - 1
        cloud, candidate = np.nonzero(yes & (for_place < n))
        kept[cloud, for_place[cloud, candidate]] = u[cloud, candidate]
        have = np.minimum(n, have + yes.sum(1))
    return kept


def _choose(areas: np.ndarray, n: int, rng: Rng) -> np.ndarray:
    """Index of a patch (count, n), with probability proportional to its area (count, patches)."""
    edges = np.cumsum(areas, 1) / areas.sum(1, keepdims=True)
    return (rng.random((len(areas), n, 1)) > edges[:, None, :-1]).sum(-1)


def _disk(shape: tuple[int, ...], rng: Rng) -> tuple[np.ndarray, np.ndarray]:
    """Uniform points of the unit disk."""
    r, a = np.sqrt(rng.random(shape)), 2 * np.pi * rng.random(shape)
    return r * np.cos(a), r * np.sin(a)


def ellipsoid(count: int, n: int, rng: Rng, axes: np.ndarray | None = None) -> Cloud:
    """x^2/a^2 + y^2/b^2 + z^2/c^2 = 1; K = 1 / (abc |g|^2)^2 and 2H = (sum a_i^2 - |x|^2) / (abc)^2 / |g|^3, g = x_i / a_i^2."""
    a = (
        np.stack([rng.uniform(0.5, 0.8, count), rng.uniform(0.8, 1.1, count), rng.uniform(1.2, 1.8, count)], 1)
        if axes is None
        else axes
    )
    a = a[:, None, :]
    # a uniform point u of the sphere has area element |u / a| times a constant
    u = _accepted(
        count,
        n,
        rng,
        lambda u: np.linalg.norm(u / a, axis=-1) * a.min(-1),
        lambda m: _unit(rng.normal(size=(count, m, 3))),
    )
    x, g = u * a, u / a
    size = np.linalg.norm(g, axis=-1)
    volume = a.prod(-1) ** 2
    gauss = 1 / (volume * size**4)
    mean = ((a**2).sum(-1) - (x**2).sum(-1)) / (2 * volume * size**3)
    return Cloud(x, g / size[..., None], mean, gauss)


def torus(count: int, n: int, rng: Rng, radii: tuple[np.ndarray, np.ndarray] | None = None) -> Cloud:
    """Axis circle R in the plane z = 0, tube r: K = cos v / (r (R + r cos v)), H = (R + 2 r cos v) / (2 r (R + r cos v))."""
    big = np.ones(count) if radii is None else radii[0]
    small = rng.uniform(0.2, 0.5, count) if radii is None else radii[1]
    big, small = big[:, None], small[:, None]
    uv = _accepted(
        count,
        n,
        rng,
        lambda w: (big + small * np.cos(w[..., 1])) / (big + small),
        lambda m: 2 * np.pi * rng.random((count, m, 2)),
    )
    u, v = uv[..., 0], uv[..., 1]
    ring = big + small * np.cos(v)
    points = np.stack([ring * np.cos(u), ring * np.sin(u), small * np.sin(v)], -1)
    normals = np.stack([np.cos(v) * np.cos(u), np.cos(v) * np.sin(u), np.sin(v)], -1)
    return Cloud(points, normals, (ring + small * np.cos(v)) / (2 * small * ring), np.cos(v) / (small * ring))


def box(count: int, n: int, rng: Rng) -> Cloud:
    """Surface of a cuboid with half sides in [0.4, 1] x [0.6, 1.2] x [0.8, 1.6]; flat, so both curvatures are 0 (edges have area 0)."""
    half = rng.uniform([0.4, 0.6, 0.8], [1.0, 1.2, 1.6], (count, 3))
    areas = half.prod(1, keepdims=True) / half
    axis = _choose(areas, n, rng)
    sign = rng.choice([-1.0, 1.0], (count, n))
    normals = np.eye(3)[axis] * sign[..., None]
    inside = rng.uniform(-1, 1, (count, n, 3))
    points = half[:, None] * np.where(normals != 0, normals, inside)
    return Cloud(points, normals, np.zeros((count, n)), np.zeros((count, n)))


def cylinder(count: int, n: int, rng: Rng) -> Cloud:
    """Capped cylinder of radius r and half height h: H = 1 / (2 r) on the side, 0 on the caps, K = 0."""
    r, h = rng.uniform(0.3, 0.7, (count, 1)), rng.uniform(0.7, 1.4, (count, 1))
    patch = _choose(np.concatenate([4 * np.pi * r * h, np.pi * r**2, np.pi * r**2], 1), n, rng)
    a = 2 * np.pi * rng.random((count, n))
    x, y = _disk((count, n), rng)
    cap = np.where(patch == 1, 1.0, -1.0)
    side = patch == 0
    points = np.stack(
        [
            r * np.where(side, np.cos(a), x),
            r * np.where(side, np.sin(a), y),
            h * np.where(side, rng.uniform(-1, 1, (count, n)), cap),
        ],
        -1,
    )
    normals = np.stack([np.where(side, np.cos(a), 0), np.where(side, np.sin(a), 0), np.where(side, 0, cap)], -1)
    return Cloud(points, normals, np.where(side, 1 / (2 * r), 0.0), np.zeros((count, n)))


def cone(count: int, n: int, rng: Rng) -> Cloud:
    """Cone with base radius r and height h, closed by its base: H = h / (2 rho sqrt(r^2 + h^2)) at distance rho from the axis, K = 0."""
    r, h = rng.uniform(0.5, 1.0, (count, 1)), rng.uniform(1.0, 2.0, (count, 1))
    slant = np.hypot(r, h)
    side = _choose(np.concatenate([np.pi * r * slant, np.pi * r**2], 1), n, rng) == 0
    rho, a = r * np.sqrt(rng.random((count, n))), 2 * np.pi * rng.random((count, n))
    points = np.stack([rho * np.cos(a), rho * np.sin(a), np.where(side, h * (1 - rho / r), 0.0)], -1)
    out = np.stack([h / slant * np.cos(a), h / slant * np.sin(a), np.broadcast_to(r / slant, a.shape)], -1)
    normals = np.where(side[..., None], out, np.array([0.0, 0.0, -1.0]))
    return Cloud(points, normals, np.where(side, h / (2 * rho * slant), 0.0), np.zeros((count, n)))


def saddle(count: int, n: int, rng: Rng) -> Cloud:
    """Patch z = a x^2 - b y^2 over [-1, 1]^2: with W^2 = 1 + 4 a^2 x^2 + 4 b^2 y^2, K = -4 a b / W^4,
    H = (-a (1 + 4 b^2 y^2) + b (1 + 4 a^2 x^2)) / W^3 for the upward normal."""
    a, b = rng.uniform(0.4, 0.8, (count, 1)), rng.uniform(0.4, 0.8, (count, 1))

    def weight(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.sqrt(1 + 4 * (a * x) ** 2 + 4 * (b * y) ** 2)

    xy = _accepted(
        count,
        n,
        rng,
        lambda w: weight(w[..., 0], w[..., 1]) / weight(np.ones((count, 1)), np.ones((count, 1))),
        lambda m: rng.uniform(-1, 1, (count, m, 2)),
    )
    x, y = xy[..., 0], xy[..., 1]
    w = weight(x, y)
    points = np.stack([x, y, a * x**2 - b * y**2], -1)
    normals = np.stack([-2 * a * x, 2 * b * y, np.ones_like(x)], -1) / w[..., None]
    mean = (-a * (1 + 4 * (b * y) ** 2) + b * (1 + 4 * (a * x) ** 2)) / w**3
    return Cloud(points, normals, mean, -4 * a * b / w**4)


FAMILIES = {"ellipsoid": ellipsoid, "torus": torus, "box": box, "cylinder": cylinder, "cone": cone, "saddle": saddle}


def mixed(count: int, n: int, rng: Rng) -> tuple[Cloud, np.ndarray]:
    """`count` clouds of `n` points with the families in equal shares (class k at positions k, k + 6, ...), and their class."""
    label = np.arange(count) % len(FAMILIES)
    fields = {
        f: np.empty((count, n, 3) if f in ("points", "normals") else (count, n)) for f in Cloud.__dataclass_fields__
    }
    for k, sample in enumerate(FAMILIES.values()):
        rows = np.flatnonzero(label == k)
        if len(rows):
            part = sample(len(rows), n, rng)
            for f, values in fields.items():
                values[rows] = getattr(part, f)
    return Cloud(**fields), label
