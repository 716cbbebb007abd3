"""Rosenbrock's valley."""

from __future__ import annotations

import numpy as np

from models.geometry.objectives.base import Objective


class Rosenbrock(Objective):
    """f(x) = sum_{i<d} 100 (x_{i+1} - x_i^2)^2 + (1 - x_i)^2, d >= 2; x* = (1, ..., 1), f* = 0; the Hessian is indefinite in places."""

    convex = False

    def __init__(self, dim: int = 2) -> None:
        if dim < 2:
            raise ValueError(f"dim={dim}: Rosenbrock's function needs at least 2 variables")
        self.dim, self.minimum, self.minimiser = dim, 0.0, np.ones(dim)

    def value_and_gradient(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        head, slope = x[..., :-1], x[..., 1:] - x[..., :-1] ** 2
        g = np.zeros_like(x)
        g[..., :-1] = -400 * head * slope - 2 * (1 - head)
        g[..., 1:] += 200 * slope
        return (100 * slope**2 + (1 - head) ** 2).sum(-1), g

    def hessian(self, x: np.ndarray) -> np.ndarray:
        h = np.zeros((*x.shape, self.dim))
        i = np.arange(self.dim - 1)
        h[..., i, i] = 1200 * x[..., :-1] ** 2 - 400 * x[..., 1:] + 2
        h[..., i + 1, i + 1] += 200.0
        h[..., i, i + 1] = h[..., i + 1, i] = -400 * x[..., :-1]
        return h
