"""Squares with a notch on either side, and their triangle meshes."""

from __future__ import annotations

import numpy as np

from bench.schema import BenchError

CORNERS = np.array([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
SMOOTHINGS = 4


def notch(rng: np.random.Generator, h: float) -> np.ndarray:
    """A notch of the right side, bottom to top, (b, 2): half an ellipse, centre height U(-.35, .35), depth U(.15, .45), half-height
    U(.2, .45), perturbed by cos 2t and sin 2t cos t of relative size N(0, .12) and N(0, .08); points about h apart."""
    centre, depth, half = rng.uniform((-0.35, 0.15, 0.2), (0.35, 0.45, 0.45))
    a, b = rng.normal(0, (0.12, 0.08))
    t = np.linspace(-np.pi / 2, np.pi / 2, 400)
    fine = np.column_stack(
        [1 - depth * np.cos(t) * (1 + a * np.cos(2 * t) + b * np.sin(2 * t)), centre + half * np.sin(t)]
    )
    return resample(fine, h)


def resample(line: np.ndarray, h: float) -> np.ndarray:
    """Points (k, 2) at equal arc lengths of about h on a polygonal line, both ends included."""
    s = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))])
    at = np.linspace(0, s[-1], max(2, round(s[-1] / h) + 1))
    return np.stack([np.interp(at, s, line[:, i]) for i in range(2)], 1)


def outline(rng: np.random.Generator, h: float) -> tuple[np.ndarray, np.ndarray]:
    """Boundary (b, 2), counter-clockwise from the lower left corner, spaced by about h, and the places (4,) of the corners in it."""
    right, left = notch(rng, h), notch(rng, h)
    left = np.column_stack([-left[:, 0], left[:, 1]])[::-1]
    parts = [
        CORNERS[[0, 1]],
        np.stack([CORNERS[1], right[0]]),
        right,
        np.stack([right[-1], CORNERS[2]]),
        CORNERS[[2, 3]],
        np.stack([CORNERS[3], left[0]]),
        left,
        np.stack([left[-1], CORNERS[0]]),
    ]
    lines = [resample(p, h)[:-1] for p in parts]
    start = np.cumsum([0, *map(len, lines)])
    return np.concatenate(lines), start[[0, 1, 4, 5]]


def inside(polygon: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Whether each point (n, 2) lies in the polygon (b, 2): an odd number of edges to its right."""
    a, b = polygon, np.roll(polygon, -1, axis=0)
    x, y = points[:, :1], points[:, 1:]
    crosses = (a[:, 1] > y) != (b[:, 1] > y)
    with np.errstate(divide="ignore", invalid="ignore"):
        at = a[:, 0] + (y - a[:, 1]) / (b[:, 1] - a[:, 1]) * (b[:, 0] - a[:, 0])
    return (crosses & (x < at)).sum(1) % 2 == 1


def mesh(boundary: np.ndarray, h: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Nodes (n, 2), the boundary's first, and triangles (t, 3): Delaunay of a shifted triangular lattice, a few steps of smoothing.

    Lattice points keep 0.7 h from the boundary's points, outside the circles over its edges, which are therefore in the mesh; this is
    checked and told. Areas are positive.
    """
    from scipy.spatial import Delaunay, cKDTree

    n = int(2.6 / h)
    i, j = np.meshgrid(np.arange(-n, n), np.arange(-n, n))
    lattice = h * np.column_stack([(i + 0.5 * (j % 2)).ravel(), (np.sqrt(3) / 2 * j).ravel()])
    turn, shift = rng.uniform(0, np.pi / 3), rng.uniform(0, h, 2)
    lattice = lattice @ [[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]] + shift
    away = cKDTree(boundary).query(lattice)[0]
    keep = lattice[inside(boundary, lattice) & (away > 0.7 * h)]
    points, b = np.concatenate([boundary, keep]), len(boundary)
    for step in range(SMOOTHINGS + 1):
        triangles = Delaunay(points).simplices
        triangles = triangles[inside(boundary, points[triangles].mean(1))]
        if step < SMOOTHINGS:
            ends = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
            ends = np.concatenate([ends, ends[:, ::-1]])
            count = np.bincount(ends[:, 0], minlength=len(points))
            mean = np.stack([np.bincount(ends[:, 0], points[ends[:, 1], k], len(points)) for k in range(2)], 1)
            points[b:] = (mean / np.maximum(count, 1)[:, None])[b:]
    u, v, w = points[triangles.T]
    turned = ((v - u)[:, 0] * (w - u)[:, 1] - (v - u)[:, 1] * (w - u)[:, 0]) < 0
    triangles[turned] = triangles[turned][:, ::-1]
    have = {tuple(sorted(e)) for pair in ([0, 1], [1, 2], [2, 0]) for e in triangles[:, pair].tolist()}
    if not all(tuple(sorted((k, (k + 1) % b))) in have for k in range(b)):
        raise BenchError(f"a plate's mesh at data.h={h} misses an edge of its boundary; lower data.h")
    return points, triangles.astype(np.int64)
