"""Closed surfaces with outward normals for oriented estimation: six families in random poses, with noise along random directions."""

from __future__ import annotations

import numpy as np

from datasets.points.bundle import rotations
from datasets.points.shapes import Cloud, Rng, _choose, _unit, box, cylinder, ellipsoid, torus


def sphere(count: int, n: int, rng: Rng) -> Cloud:
    """Spheres of radius 1: K = H = 1."""
    return ellipsoid(count, n, rng, np.ones((count, 3)))


def capsule(count: int, n: int, rng: Rng) -> Cloud:
    """Cylinder of radius r in [0.3, 0.7] and half height h in [0.5, 1.2] closed by half spheres.

    H = 1 / (2 r), K = 0 on the side; H = 1 / r, K = 1 / r^2 on the ends.
    """
    r, h = rng.uniform(0.3, 0.7, (count, 1)), rng.uniform(0.5, 1.2, (count, 1))
    side = _choose(np.concatenate([4 * np.pi * r * h, 4 * np.pi * r**2], 1), n, rng) == 0
    a = 2 * np.pi * rng.random((count, n))
    ring = np.stack([np.cos(a), np.sin(a), np.zeros_like(a)], -1)
    ball = _unit(rng.normal(size=(count, n, 3)))
    normals = np.where(side[..., None], ring, ball)
    level = np.where(side, rng.uniform(-1, 1, (count, n)), np.sign(ball[..., 2])) * h
    points = r[..., None] * normals
    points[..., 2] += level
    return Cloud(points, normals, np.where(side, 1 / (2 * r), 1 / r), np.where(side, 0.0, 1 / r**2))


CLOSED = {
    "sphere": sphere,
    "ellipsoid": ellipsoid,
    "torus": torus,
    "box": box,
    "cylinder": cylinder,
    "capsule": capsule,
}


def draw_closed(
    count: int, n: int, noise: list[float], rng: Rng
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """points, normals (count, n, 3) float32, family and noise level (count,): every family with every level in turn.

    Cloud k is of family k mod 6 and level (k div 6) mod len(noise), in a random pose. Gaussian noise of that share of the diagonal
    of the bounding box is added to the points; the normals stay those of the surface, as in PCPNet.
    """
    family = np.arange(count) % len(CLOSED)
    level = np.arange(count) // len(CLOSED) % len(noise)
    points, normals = np.empty((count, n, 3)), np.empty((count, n, 3))
    for k, sample in enumerate(CLOSED.values()):
        rows = np.flatnonzero(family == k)
        if len(rows):
            cloud = sample(len(rows), n, rng)
            points[rows], normals[rows] = cloud.points, cloud.normals
    turn = rotations(count, rng).transpose(0, 2, 1)
    points, normals = points @ turn, normals @ turn
    diagonal = np.linalg.norm(np.ptp(points, axis=1), axis=1)
    spread = np.asarray(noise)[level] * diagonal
    points = points + spread[:, None, None] * rng.normal(size=points.shape)
    return points.astype(np.float32), normals.astype(np.float32), family, level
