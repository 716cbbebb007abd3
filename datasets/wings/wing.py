"""A wing: a section swept along the span with taper, sweep, twist and dihedral; its surface, its panels and its pressure.

Lengths in root chords, angles in degrees. x along the root chord, y to the right tip, z upwards; the left half is the image.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from datasets.wings.panels import Body, PanelMethod, Wake, pressure_coefficient, surface_velocity
from datasets.wings.sections import Section

ATTACHED = 12.0  # degrees; beyond this incidence real flow separates and potential flow says nothing about it


@dataclass(frozen=True)
class Wing:
    """Half a symmetric wing. `span` from tip to tip; `taper` tip over root chord (1 of an elliptic planform: ignored).

    `sweep` of the leading edge (of the quarter chord for an elliptic planform), `twist` of the tip relative to the root about the
    quarter chord, linear, positive nose up.
    """

    section: Section
    span: float = 6.0
    taper: float = 1.0
    sweep: float = 0.0
    dihedral: float = 0.0
    twist: float = 0.0
    planform: str = "tapered"
    name: str = "the wing"

    def __post_init__(self) -> None:
        if not (self.span > 0 and 0 < self.taper <= 2 and abs(self.sweep) < 75 and abs(self.dihedral) < 75):
            raise ValueError(
                f"{self.name}: span={self.span}, taper={self.taper}, sweep={self.sweep}, dihedral={self.dihedral}; pass span > 0, "
                "taper in (0, 2] and angles below 75 degrees"
            )
        if self.planform not in ("tapered", "elliptic"):
            raise ValueError(f"{self.name}: planform={self.planform!r} is unknown; use tapered or elliptic")

    def chord(self, eta: np.ndarray) -> np.ndarray:
        """Chord (...,) at shares eta (...,) of the half span."""
        eta = np.asarray(eta, dtype=np.float64)
        if self.planform == "elliptic":
            return np.sqrt(np.maximum(1 - eta**2, 0.0))
        return 1 - (1 - self.taper) * eta

    @property
    def area(self) -> float:
        """Projected area of both halves, in root chords squared."""
        return self.span * (np.pi / 4 if self.planform == "elliptic" else (1 + self.taper) / 2)

    @property
    def aspect_ratio(self) -> float:
        return self.span**2 / self.area

    def points(self, s: np.ndarray, eta: np.ndarray) -> np.ndarray:
        """Points (..., 3) of the surface at contour parameters s (...,) and shares eta (...,) of the half span."""
        s, eta = np.broadcast_arrays(np.asarray(s, dtype=np.float64), np.asarray(eta, dtype=np.float64))
        chord, y = self.chord(eta), 0.5 * self.span * eta
        local = self.section.contour(s) * chord[..., None]
        x, z = local[..., 0] - 0.25 * chord, local[..., 1]
        angle = np.radians(self.twist) * eta
        x, z = x * np.cos(angle) + z * np.sin(angle), z * np.cos(angle) - x * np.sin(angle)
        quarter = y * np.tan(np.radians(self.sweep)) + 0.25 * (1.0 if self.planform == "elliptic" else chord)
        return np.stack([quarter + x, y, z + y * np.tan(np.radians(self.dihedral))], -1)


@dataclass(frozen=True)
class Grid:
    """Where the panels' corners lie: contour parameters s (m + 1,) from 0 to 1 and shares eta (n + 1,) of the half span from 0 to 1."""

    s: np.ndarray
    eta: np.ndarray

    @classmethod
    def cosine(cls, chordwise: int, spanwise: int, warp: np.ndarray | None = None) -> Grid:
        """Narrow at leading edge, trailing edge and tip; `warp` (5,) in [-1, 1] moves the corners smoothly, all zero: not at all.

        s + (a sin 2 pi s + b sin(4 pi s) / 2 + c (1 - cos 2 pi s)) / 2 pi stays monotone since |a| + |b| + |c| < 1.
        """
        if chordwise < 8 or chordwise % 2 or spanwise < 4:
            raise ValueError(
                f"panels {chordwise} x {spanwise}: pass an even number >= 8 around the section and >= 4 along the span"
            )
        a, b, c, d, e = np.zeros(5) if warp is None else warp * [0.35, 0.25, 0.2, 0.3, 0.1]
        s, t = np.linspace(0, 1, chordwise + 1), np.linspace(0, 1, spanwise + 1)
        w = 2 * np.pi * s
        s = s + (a * np.sin(w) + b * np.sin(2 * w) / 2 + c * (1 - np.cos(w))) / (2 * np.pi)
        t = t + (d * np.sin(np.pi * t) + e * np.sin(2 * np.pi * t) / 2) / np.pi
        s[[0, -1]], t[[0, -1]] = [0, 1], [0, 1]
        return cls(s, np.sin(0.5 * np.pi * t))


@dataclass(frozen=True)
class Flow:
    """Pressure on the wing's panels: cp (k, m, n), circulation (k, n) in chords times V, potential (k, m, n)."""

    alpha: np.ndarray
    cp: np.ndarray
    circulation: np.ndarray
    mu: np.ndarray


class WingFlow:
    """The panel method on a wing, set up once; `solve` for any incidences. The tip is closed by a flat cap."""

    def __init__(self, wing: Wing, grid: Grid, direction: float = 0.0) -> None:
        """`direction`: incidence (degrees) of the frozen wake."""
        self.wing, self.grid = wing, grid
        m, n = len(grid.s) - 1, len(grid.eta) - 1
        nodes = wing.points(grid.s[:, None], grid.eta[None])
        nodes[-1] = nodes[0]  # the trailing edge is one line
        k = np.arange((m + 1) * (n + 1)).reshape(m + 1, n + 1)
        panels = np.stack([k[:-1, :-1], k[1:, :-1], k[1:, 1:], k[:-1, 1:]], -1).reshape(-1, 4)
        if wing.chord(np.ones(())) > 0:
            i = np.arange(m // 2)
            tip = k[:, -1]
            panels = np.concatenate([panels, np.stack([tip[i], tip[i + 1], tip[m - 1 - i], tip[m - i]], -1)])
        self.shape, self.nodes = (m, n), nodes
        self.body = Body(nodes.reshape(-1, 3), panels, mirror=True, name=wing.name)
        angle = np.radians(direction)
        last = np.arange((m - 1) * n, m * n)
        wake = Wake(nodes[0], last, np.arange(n), (float(np.cos(angle)), 0.0, float(np.sin(angle))))
        self.method = PanelMethod(self.body, wake)

    @cached_property
    def centres(self) -> np.ndarray:
        """(m, n, 3): panel centres of the right half."""
        return self.body.centres[: self.shape[0] * self.shape[1]].reshape(*self.shape, 3)

    @cached_property
    def areas(self) -> np.ndarray:
        """(m, n, 3): outward area vectors."""
        return self.body.areas[: self.shape[0] * self.shape[1]].reshape(*self.shape, 3)

    def solve(self, alpha: np.ndarray, mach: np.ndarray | float = 0.0) -> Flow:
        """Flow at incidences alpha (k,) in degrees; Mach numbers below 0.7 by Prandtl and Glauert, Cp / sqrt(1 - M^2).

        Warns where the incidence of root or tip is beyond attached flow.
        """
        alpha = np.atleast_1d(np.asarray(alpha, dtype=np.float64))
        mach = np.broadcast_to(np.asarray(mach, dtype=np.float64), alpha.shape)
        if not np.isfinite(alpha).all() or not (mach >= 0).all() or not (mach < 0.7).all():
            raise ValueError(
                f"{self.wing.name}: alpha={alpha}, mach={mach}; pass finite degrees and Mach numbers in [0, 0.7)"
            )
        worst = np.abs(np.stack([alpha, alpha + self.wing.twist])).max()
        if worst > ATTACHED:
            warnings.warn(
                f"{self.wing.name}: an incidence of {worst:.1f} degrees is beyond attached flow (about {ATTACHED:g}), where potential "
                "flow has no separation and its pressure means little; lower alpha",
                stacklevel=2,
            )
        a = np.radians(alpha)
        velocity = np.stack([np.cos(a), np.zeros_like(a), np.sin(a)], -1)
        mu = self.method.solve(velocity)
        m, n = self.shape
        grid = mu[:, : m * n].reshape(-1, m, n)
        normals = self.areas / np.linalg.norm(self.areas, axis=-1, keepdims=True)
        v = surface_velocity(self.centres, normals, grid, velocity, mirror=True)
        cp = pressure_coefficient(v, velocity) / np.sqrt(1 - mach**2)[:, None, None]
        return Flow(alpha, cp, self.method.circulation(mu), grid)

    def force(self, flow: Flow) -> tuple[np.ndarray, np.ndarray]:
        """Lift and drag coefficients (k,) from the pressure on both halves: -sum Cp dA / S, along and across the free stream."""
        force = -2 * np.einsum("kmn,mnc->kc", flow.cp, self.areas) / self.wing.area
        a = np.radians(flow.alpha)
        return force[:, 2] * np.cos(a) - force[:, 0] * np.sin(a), force[:, 0] * np.cos(a) + force[:, 2] * np.sin(a)

    def circulation_lift(self, flow: Flow) -> np.ndarray:
        """Lift coefficient (k,) by Kutta and Joukowski: 2 sum Gamma dy / (V S), both halves."""
        width = np.diff(self.nodes[0, :, 1])
        return 2 * 2 * (flow.circulation @ width) / self.wing.area
