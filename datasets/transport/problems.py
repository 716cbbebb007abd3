"""The measures: samplers that draw (n, d) float64 points, and the true map where it is known."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Sampler = Callable[[int, np.random.Generator], np.ndarray]
Map = Callable[[np.ndarray], np.ndarray]


def convex(d: int, rng: np.random.Generator) -> tuple[Sampler, Sampler, Map]:
    """A mixture of four Gaussians and its image under T*(x) = S x + W^T diag(a) tanh(W x + b) + s, the gradient of a convex function
    and so the optimal map for the squared Euclidean cost (Brenier)."""
    means = 1.5 * rng.standard_normal((4, d))
    q = rng.standard_normal((d, d))
    s = 0.3 * np.eye(d) + 0.1 * q @ q.T / d
    w = 1.2 * rng.standard_normal((12, d)) / np.sqrt(d)
    a, b, shift = rng.random(12), rng.standard_normal(12), rng.standard_normal(d)

    def source(n: int, g: np.random.Generator) -> np.ndarray:
        return means[g.integers(4, size=n)] + 0.6 * g.standard_normal((n, d))

    def true(x: np.ndarray) -> np.ndarray:
        return x @ s + (a * np.tanh(x @ w.T + b)) @ w + shift

    return source, lambda n, g: true(source(n, g)), true


def moons() -> tuple[Sampler, Sampler]:
    """The upper moon, turned by pi/6, and an S, turned by pi/2, in the plane."""

    def turned(x: np.ndarray, angle: float, mean: tuple[float, float]) -> np.ndarray:
        c, s = np.cos(angle), np.sin(angle)
        return x @ np.array([[c, s], [-s, c]]) + np.asarray(mean)

    def source(n: int, g: np.random.Generator) -> np.ndarray:
        t = np.pi * g.random(n)
        moon = np.column_stack([np.cos(t), np.sin(t)]) + 0.05 * g.standard_normal((n, 2))
        return turned(moon, np.pi / 6, (0.0, -0.5))

    def target(n: int, g: np.random.Generator) -> np.ndarray:
        t = 3 * np.pi * (g.random(n) - 0.5)
        curve = np.column_stack([np.sign(t) * (np.cos(t) - 1), np.sin(t)]) + 0.05 * g.standard_normal((n, 2))
        return turned(0.6 * curve, np.pi / 2, (1.0, -2.0))

    return source, target


def sphere(rng: np.random.Generator) -> tuple[Sampler, Sampler]:
    """Two clusters about random centres and three others, on the unit sphere of R^3."""

    def clusters(k: int) -> Sampler:
        centres = rng.standard_normal((k, 3))
        centres /= np.linalg.norm(centres, axis=1, keepdims=True)

        def draw(n: int, g: np.random.Generator) -> np.ndarray:
            x = centres[g.integers(k, size=n)] + 0.25 * g.standard_normal((n, 3))
            return x / np.linalg.norm(x, axis=1, keepdims=True)

        return draw

    return clusters(2), clusters(3)
