"""Potentials at the electrodes of current dipoles in a spherical head of four shells, in closed form.

The dipole in a homogeneous sphere has a closed form (Mosher, Leahy, Lewis 1999, IEEE TBME 46, eq. 20-22); brain, fluid, skull
and skin are taken into account by three such dipoles with fitted depths and weights (Berg and Scherg 1994). A test compares the
result with MNE-Python's forward solution. The electrodes are those of the ideal 10-10 system on a sphere, so that neither MNE
nor a template head is needed.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

RADIUS = 0.09  # m
SHELLS = ((0.90, 0.33), (0.92, 1.0), (0.97, 0.004), (1.0, 0.33))  # outer radius relative to the head, conductivity S/m
MU, WEIGHT = (0.9448, 0.6677, -0.2920), (0.13686, 0.68369, -0.01019)  # Berg-Scherg fit of these shells
DEPTH = 0.80  # distance of the cortical dipoles from the centre, in radii of the head
N_BACKGROUND = 60
N_FREE = 256  # places for channels whose name says nothing
CORTEX = (
    "Fp1",
    "Fp2",
    "F3",
    "Fz",
    "F4",
    "FC3",
    "FCz",
    "FC4",
    "C3",
    "Cz",
    "C4",
    "C5",
    "C6",
    "CP3",
    "CPz",
    "CP4",
    "P3",
    "Pz",
    "P4",
    "POz",
    "O1",
    "Oz",
    "O2",
    "T7",
    "T8",
)
ALIASES = {"t3": "t7", "t4": "t8", "t5": "p7", "t6": "p8"}


@dataclass(frozen=True)
class Leadfield:
    """`gain` (n_electrodes, n_dipoles, 3) V per A m, for dipoles along x (right), y (front), z (up); `position`
    (n_dipoles, 3) m from the centre of the head; `electrodes` and `dipoles` names ("C3", ..., "background0", ...)."""

    gain: np.ndarray
    position: np.ndarray
    electrodes: tuple[str, ...]
    dipoles: tuple[str, ...]

    def rows(self, names: tuple[str, ...]) -> list[int]:
        """Row of each channel. A name that the 10-10 system does not know gets a place of its own, always the same."""
        known = {e.lower(): i for i, e in enumerate(self.electrodes)}
        at = [known.get(ALIASES.get(n.lower(), n.lower())) for n in names]
        if sum(i is None for i in at) > N_FREE:
            raise ValueError(f"channels: more than {N_FREE} names are not of the 10-10 system; simulate fewer channels")
        free = iter(range(len(self.electrodes) - N_FREE, len(self.electrodes)))
        return [next(free) if i is None else i for i in at]

    def direction(self, name: str) -> np.ndarray:
        """Unit vector from the centre of the head through a dipole: its radial direction."""
        p = self.position[self.dipoles.index(name)]
        return p / np.linalg.norm(p)

    def pattern(self, name: str, direction: np.ndarray) -> np.ndarray:
        """Potentials (n_electrodes,) of a dipole with a unit direction (3,)."""
        return self.gain[:, self.dipoles.index(name)] @ direction


@functools.cache
def leadfield() -> Leadfield:
    """The leadfield; computed once per process, in milliseconds."""
    places = electrodes()
    rng = np.random.default_rng(20)  # fixed: the anatomy is part of the model, not of an experiment
    deep = rng.normal(size=(N_BACKGROUND, 3))
    deep *= rng.uniform(0.3, 0.8, (N_BACKGROUND, 1)) / np.linalg.norm(deep, axis=1, keepdims=True)
    deep[:, 2] = np.maximum(deep[:, 2], -0.3)  # no brain in the neck
    dipoles = RADIUS * np.concatenate([DEPTH * np.array([places[n] for n in CORTEX]), deep])
    where = RADIUS * np.array(list(places.values()))
    gain = np.stack([potential(where, d) for d in dipoles], axis=1)
    return Leadfield(gain, dipoles, tuple(places), CORTEX + tuple(f"background{i}" for i in range(N_BACKGROUND)))


def potential(electrode: np.ndarray, dipole: np.ndarray) -> np.ndarray:
    """Potentials (n, 3) in V per A m at electrodes (n, 3) m on the head of unit dipoles along x, y, z at `dipole` (3,) m.

    The reference is at infinity. With rq = mu dipole, d = r - rq, F = |d| (|r| |d| + |r|^2 - r.rq):
    v = sum_k w_k / (4 pi sigma) [(c1 - c2 r.rq) rq + c2 |rq|^2 r] / |rq|^2,
    c1 = 2 d.rq / |d|^3 + 1/|d| - 1/|r|,  c2 = 2 / |d|^3 + (|d| + |r|) / (|r| F).
    """
    r = np.linalg.norm(electrode, axis=1)
    total = np.zeros_like(electrode)
    for mu, weight in zip(MU, WEIGHT, strict=True):
        rq = mu * dipole
        d = electrode - rq
        n, inner = np.linalg.norm(d, axis=1), electrode @ rq
        c1 = 2 * (d @ rq) / n**3 + 1 / n - 1 / r
        c2 = 2 / n**3 + (n + r) / (r * n * (r * n + r**2 - inner))
        total += weight * ((c1 - c2 * inner)[:, None] * rq / (rq @ rq) + c2[:, None] * electrode)
    return total / (4 * np.pi * SHELLS[-1][1])


def electrodes() -> dict[str, np.ndarray]:
    """Unit vectors of the ideal 10-10 system: Cz on top, Fpz, T7, Oz and T8 on the equator, equal steps along every row.

    After the named ones come the `N_FREE` places for other names, spread evenly over the upper head.
    """
    ring = {"Fp1": 18, "AF7": 36, "F7": 54, "FT7": 72, "T7": 90, "TP7": 108, "P7": 126, "PO7": 144, "O1": 162}
    places = {"Fpz": _at(90, 0), "Oz": _at(90, 180), "Nz": _at(112.5, 0), "Iz": _at(112.5, 180)}
    for name, angle in ring.items():  # odd numbers are left, the even one above is its mirror image
        stem, number = name.rstrip("17"), int(name[-1])
        places[name], places[f"{stem}{number + 1}"] = _at(90, angle), _at(90, -angle)
        if number == 7:
            places[f"{stem}9"], places[f"{stem}10"] = _at(112.5, angle), _at(112.5, -angle)
    rows = {
        "AF": ("AF", 67.5),
        "F": ("F", 45),
        "FC": ("FT", 22.5),
        "C": ("T", 0),
        "CP": ("TP", -22.5),
        "P": ("P", -45),
        "PO": ("PO", -67.5),
    }
    for stem, (outer, polar) in rows.items():
        left, middle = places[f"{outer}7"], _at(polar, 0)
        normal = np.cross(middle - left, left * (-1, 1, 1) - left)  # of the plane through both ends and the middle
        normal /= np.linalg.norm(normal)
        centre = normal * (normal @ middle)
        u, v = middle - centre, left - centre
        angle = np.arccos(np.clip(u @ v / (u @ u), -1, 1))
        side = (v - np.cos(angle) * u) / np.sin(angle)
        places[f"{stem}z"] = middle
        for number, step in ((1, 0.25), (3, 0.5), (5, 0.75)):
            point = centre + np.cos(step * angle) * u + np.sin(step * angle) * side
            places[f"{stem}{number}"], places[f"{stem}{number + 1}"] = point, point * (-1, 1, 1)
    for i in range(N_FREE):  # a spiral of golden angles, taken in large steps so that any first few are spread as well
        j = 157 * i % N_FREE
        places[f"free{i}"] = _at(np.degrees(np.arccos(1 - 1.3 * (j + 0.5) / N_FREE)), 222.492235949962 * j)
    return places


def _at(polar: float, angle: float) -> np.ndarray:
    """Unit vector `polar` degrees from the top, turned `angle` degrees from the front to the left."""
    a, b = np.radians(polar), np.radians(angle)
    return np.array([-np.sin(a) * np.sin(b), np.sin(a) * np.cos(b), np.cos(a)])
