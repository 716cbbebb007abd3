"""Dense samples of closed surfaces by formula."""

from __future__ import annotations

import numpy as np

DENSE = 20000  # points from which farthest points are taken


def fibonacci_sphere(n: int) -> np.ndarray:
    """n nearly evenly spread unit vectors (n, 3)."""
    i = np.arange(n)
    z, angle = 1 - (2 * i + 1) / n, np.pi * (3 - np.sqrt(5)) * i
    ring = np.sqrt(1 - z**2)
    return np.column_stack([ring * np.cos(angle), ring * np.sin(angle), z])


def sphere(n: int = DENSE) -> np.ndarray:
    return fibonacci_sphere(n)


def blob(n: int = DENSE) -> np.ndarray:
    """A sphere stretched along its radius by 1 + x y / 2 + z^3 / 4 + sin(3 x) / 6, then along x by 1.2: no symmetry is left."""
    u = fibonacci_sphere(n)
    x, y, z = u.T
    return u * (1 + x * y / 2 + z**3 / 4 + np.sin(3 * x) / 6)[:, None] * [1.2, 1.0, 1.0]


def torus(n: int = DENSE, outer: float = 2.0, inner: float = 1.0) -> np.ndarray:
    """Radii `outer` and `inner`: a golden-ratio lattice in the angle around the axis and in the area along the tube."""
    i = np.arange(n)
    u = (i * (np.sqrt(5) - 1) / 2) % 1 * 2 * np.pi
    # area is proportional to outer + inner cos v; its integral is inverted by Newton's method
    area = (i + 0.5) / n * 2 * np.pi
    v = area.copy()
    for _ in range(50):
        v -= (v + inner / outer * np.sin(v) - area) / (1 + inner / outer * np.cos(v))
    ring = outer + inner * np.cos(v)
    return np.column_stack([ring * np.cos(u), ring * np.sin(u), inner * np.sin(v)])


SHAPES = {"sphere": sphere, "torus": torus, "blob": blob}
