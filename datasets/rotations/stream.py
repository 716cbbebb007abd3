"""A training split without an end: batches are drawn, none is stored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Draw = Callable[[int, np.random.Generator], tuple[Any, Any]]


class Stream:
    """`draw(n, rng)` gives x (n, ...), y (n, ...) as float32; the length is nominal, what one pass is counted as."""

    def __init__(self, draw: Draw, nominal: int) -> None:
        self.draw, self.nominal = draw, nominal

    def __len__(self) -> int:
        return self.nominal


def rotations(n: int, rng: np.random.Generator, sampling: str) -> np.ndarray:
    """n rotation matrices (n, 3, 3) float64: haar, or an angle uniform in (-2 pi, 2 pi) about a uniform axis."""
    from scipy.spatial.transform import Rotation

    if sampling == "haar":
        return Rotation.random(n, rng=rng).as_matrix()
    axis = rng.normal(size=(n, 3))
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    return Rotation.from_rotvec(axis * rng.uniform(-2 * np.pi, 2 * np.pi, size=(n, 1))).as_matrix()
