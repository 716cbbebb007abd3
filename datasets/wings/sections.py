"""Aerofoil sections of unit chord with a sharp trailing edge: NACA four digits, CST, and coordinates from a table.

Every section has `contour(s)`: s (...,) in [0, 1] runs from the trailing edge along the lower side, over the leading edge at 1/2, back
along the upper side; the result (..., 2) is x in [0, 1] along the chord and z upwards, float64. On either side x is about
(1 + cos 2 pi s) / 2, so equal steps of s are narrow at both edges.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np


class Section(Protocol):
    def contour(self, s: np.ndarray) -> np.ndarray: ...


def _sides(s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x and the side (-1 lower, 1 upper) of parameters s."""
    s = np.asarray(s, dtype=np.float64)
    return 0.5 * (1 + np.cos(2 * np.pi * s)), np.where(s < 0.5, -1.0, 1.0)


@dataclass(frozen=True)
class NACA:
    """NACA four-digit section: camber m, its place p and thickness t as shares of the chord; the thickness is square to the mean line.

    Thickness 5 t (0.2969 sqrt(x) - 0.1260 x - 0.3516 x^2 + 0.2843 x^3 - 0.1036 x^4), the last coefficient closing the trailing edge
    (Abbott and von Doenhoff, Theory of Wing Sections).
    """

    camber: float = 0.0
    place: float = 0.4
    thickness: float = 0.12

    def __post_init__(self) -> None:
        if not (0 <= self.camber < 0.2 and 0.05 <= self.place <= 0.95 and 0 < self.thickness < 0.5):
            raise ValueError(
                f"camber={self.camber}, place={self.place}, thickness={self.thickness}: pass shares of the chord, camber below "
                "0.2, place in [0.05, 0.95], thickness in (0, 0.5)"
            )

    def contour(self, s: np.ndarray) -> np.ndarray:
        x, side = _sides(s)
        m, p = self.camber, self.place
        half = 5 * self.thickness * (0.2969 * np.sqrt(x) + x * (-0.1260 + x * (-0.3516 + x * (0.2843 - 0.1036 * x))))
        front = x < p
        mean = np.where(front, m / p**2 * (2 * p * x - x**2), m / (1 - p) ** 2 * (1 - 2 * p + 2 * p * x - x**2))
        slope = np.where(front, 2 * m / p**2 * (p - x), 2 * m / (1 - p) ** 2 * (p - x))
        scale = side * half / np.sqrt(1 + slope**2)
        return np.stack([x - scale * slope, mean + scale], -1)


@dataclass(frozen=True)
class CST:
    """Class-shape transformation: z = sqrt(x) (1 - x) sum_k A_k B_k(x), Bernstein polynomials B_k (Kulfan, J. Aircraft 45, 2008).

    upper, lower : weights A_k of either side; those of the lower side are usually negative.
    """

    upper: tuple[float, ...]
    lower: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.upper or not self.lower:
            raise ValueError("upper and lower need at least one weight each")

    def contour(self, s: np.ndarray) -> np.ndarray:
        from scipy.interpolate import BPoly

        x, side = _sides(s)
        shape = [BPoly(np.asarray(w, dtype=np.float64)[:, None], [0.0, 1.0])(x) for w in (self.lower, self.upper)]
        return np.stack([x, np.sqrt(x) * (1 - x) * np.where(side < 0, *shape)], -1)


@dataclass(frozen=True)
class Coordinates:
    """A section from a table (k, 2) in Selig's order: trailing edge, upper side, leading edge, lower side, trailing edge.

    Turned and scaled to a chord from (0, 0) to (1, 0), the trailing edge closed by a wedge, and interpolated by a cubic spline
    over arc length. `name` is what messages call it.
    """

    table: np.ndarray
    name: str = "the section"

    @cached_property
    def _spline(self) -> tuple[object, float]:
        """The spline over arc length (0 to 1, lower side first) and the arc length at the leading edge."""
        from scipy.interpolate import CubicSpline

        xy = np.asarray(self.table, dtype=np.float64)
        if xy.ndim != 2 or xy.shape[1] != 2 or len(xy) < 10:
            raise ValueError(f"{self.name} has shape {xy.shape}; pass a table (k, 2) of at least 10 points")
        if not np.isfinite(xy).all():
            raise ValueError(f"point {int(np.argmin(np.isfinite(xy).all(1)))} of {self.name} is not finite; repair it")
        xy = xy[np.r_[True, np.abs(np.diff(xy, axis=0)).sum(1) > 1e-9]][::-1]
        tail = 0.5 * (xy[0] + xy[-1])
        nose = int(np.argmax(((xy - tail) ** 2).sum(1)))
        if not 2 < nose < len(xy) - 3:
            raise ValueError(
                f"{self.name} has no upper and lower side in Selig's order; sort it from the upper trailing edge"
            )
        chord = tail - xy[nose]
        turn = np.array([[chord[0], -chord[1]], [chord[1], chord[0]]]) / (chord @ chord)
        xy = (xy - xy[nose]) @ turn
        gap = xy[-1, 1] - xy[0, 1]
        xy[:, 1] -= 0.5 * gap * xy[:, 0] * np.where(np.arange(len(xy)) < nose, -1, 1)
        xy[[0, -1]] = [1.0, 0.0]
        inner = np.interp(np.linspace(0.05, 0.95, 19), xy[nose:, 0], xy[nose:, 1]) - np.interp(
            np.linspace(0.05, 0.95, 19), xy[nose::-1, 0], xy[nose::-1, 1]
        )
        if inner.min() <= 0:
            raise ValueError(
                f"{self.name} has its lower side above its upper side; sort it from the upper trailing edge"
            )
        arc = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(xy, axis=0), axis=1))])
        return CubicSpline(arc / arc[-1], xy), float(arc[nose] / arc[-1])

    def contour(self, s: np.ndarray) -> np.ndarray:
        spline, nose = self._spline
        x, side = _sides(s)
        return spline(nose + side * x * np.where(side < 0, nose, 1 - nose))  # type: ignore[operator]


def extent(section: Section) -> tuple[float, float]:
    """Largest thickness and largest height of the mean line, shares of the chord, from 201 stations of either side."""
    s = np.linspace(0, 0.5, 201)
    lower, upper = section.contour(s), section.contour(1 - s)
    x = np.linspace(0.01, 0.99, 99)
    z = [np.interp(x, side[::-1, 0], side[::-1, 1]) for side in (lower, upper)]
    return float((z[1] - z[0]).max()), float(np.abs(z[0] + z[1]).max() / 2)
