"""A stand-in for real molecules: ethanol with Morse potentials between all pairs, whose energies and forces are exact."""

from __future__ import annotations

import numpy as np

from datasets.molecules.xyz import Geometries

BOND, BOND_DEPTH, FAR_DEPTH, STEEPNESS = 1.7, 4.0, 0.2, 1.5  # angstrom, eV, eV, 1 / angstrom


def morse(z: np.ndarray, rest: np.ndarray, r: np.ndarray) -> Geometries:
    """E = sum_{i<j} D ((1 - exp(-a (d - d0)))^2 - 1), d0 the distances at rest (A, 3); z (A,), r (n, A, 3)."""
    i, j = np.triu_indices(len(z), 1)
    at_rest = np.linalg.norm(rest[i] - rest[j], axis=-1)
    depth = np.where(at_rest < BOND, BOND_DEPTH, FAR_DEPTH)
    gap = r[:, i] - r[:, j]
    d = np.linalg.norm(gap, axis=-1)
    e = np.exp(-STEEPNESS * (d - at_rest))
    slope = (2.0 * depth * STEEPNESS * (1.0 - e) * e / d)[..., None] * gap
    forces = np.zeros_like(r)
    np.add.at(forces, (slice(None), i), -slope)
    np.add.at(forces, (slice(None), j), slope)
    return Geometries(np.tile(z, (len(r), 1)), r, (depth * ((1.0 - e) ** 2 - 1.0)).sum(1), forces)


def geometries(count: int, spread: float, seed: int) -> Geometries:
    """`count` geometries, each atom displaced by normal numbers of standard deviation `spread` (angstrom), turned at random."""
    from ase.build import molecule
    from scipy.spatial.transform import Rotation

    atoms = molecule("CH3CH2OH")
    rng = np.random.default_rng(seed)
    r = atoms.positions + spread * rng.standard_normal((count, len(atoms), 3))
    turn = Rotation.random(count, rng=rng).as_matrix()
    return morse(atoms.numbers.astype(np.int64), atoms.positions, np.einsum("nij,naj->nai", turn, r))
