"""Backbones N, CA, C from internal coordinates and back.

Atoms are numbered along the chain: N_0, CA_0, C_0, N_1, ... A chain of n residues has 3n - 1 bond lengths, 3n - 2 bond angles and
3n - 3 torsion angles; the torsions are psi_0, omega_1, phi_1, psi_1, omega_2, phi_2, ... Angles in radians, lengths in Angstrom.
"""

from __future__ import annotations

import numpy as np

LENGTHS = (1.46, 1.52, 1.33)  # N-CA, CA-C, C-N
ANGLES = (111.0, 117.0, 121.0)  # N-CA-C, CA-C-N, C-N-CA; degrees


def internal(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bond lengths, bond angles and torsion angles (..., 3n - 1), (..., 3n - 2), (..., 3n - 3) of backbones (..., n, 3, 3).

    Torsions lie in (-pi, pi], positive for a clockwise turn of the far bond seen along the middle one (IUPAC).
    """
    p = x.reshape(*x.shape[:-3], -1, 3)
    bond = np.diff(p, axis=-2)
    length = np.linalg.norm(bond, axis=-1)
    a, b = bond[..., :-1, :], bond[..., 1:, :]
    normal = np.cross(a, b)
    angle = np.arctan2(np.linalg.norm(normal, axis=-1), -(a * b).sum(-1))
    m, n = normal[..., :-1, :], normal[..., 1:, :]
    torsion = np.arctan2((m * b[..., 1:, :]).sum(-1) * length[..., 1:-1], (m * n).sum(-1))
    return length, angle, torsion


def place(length: np.ndarray, angle: np.ndarray, torsion: np.ndarray) -> np.ndarray:
    """Backbones (..., n, 3, 3) of internal coordinates: the inverse of `internal` up to a rigid motion (NeRF).

    Atom after atom, as each needs the three before it; all chains of the batch together. The first atom is the origin, the second on
    the x axis, the third in the upper half of the xy plane.
    """
    length, angle, torsion = np.broadcast_arrays(length, _pad(angle, 1), _pad(torsion, 2))
    p = np.zeros((*length.shape[:-1], length.shape[-1] + 1, 3))
    p[..., 1, 0] = length[..., 0]
    direction, up = np.zeros_like(p[..., 0, :]), np.zeros_like(p[..., 0, :])
    direction[..., 0], up[..., 2] = 1.0, 1.0
    # the bond in the basis (direction of the last bond, in-plane, normal of the last plane)
    along = -length * np.cos(angle)
    across = length * np.sin(angle)
    level, rise = across * np.cos(torsion), across * np.sin(torsion)
    for k in range(1, length.shape[-1]):
        side = np.cross(up, direction)
        bond = along[..., k, None] * direction + level[..., k, None] * side + rise[..., k, None] * up
        p[..., k + 1, :] = p[..., k, :] + bond
        up = np.cross(direction, bond)
        up /= np.linalg.norm(up, axis=-1, keepdims=True)
        direction = bond / length[..., k, None]
    return p.reshape(*p.shape[:-2], -1, 3, 3)


def _pad(values: np.ndarray, front: int) -> np.ndarray:
    """Numbers by the bond they place: bond k has angle k - 1 and torsion k - 2; the torsion of bond 1 is 0, which keeps it in the plane."""
    return np.concatenate([np.zeros((*values.shape[:-1], front)), values], -1)


def ideal(phi: np.ndarray, psi: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Internal coordinates of ideal geometry (LENGTHS, ANGLES, omega = 180 degrees) for phi, psi (..., n); phi_0 and psi_(n-1) have
    no atom to place."""
    n = phi.shape[-1]
    length = np.resize(LENGTHS, 3 * n - 1)
    angle = np.radians(np.resize(ANGLES, 3 * n - 2))
    omega = np.full_like(phi, np.pi)
    torsion = np.stack([psi[..., :-1], omega[..., 1:], phi[..., 1:]], -1)
    return length, angle, torsion.reshape(*phi.shape[:-1], -1)
