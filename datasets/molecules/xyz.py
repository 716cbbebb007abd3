"""Extended-xyz files as padded arrays: the reader is that of ase."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.schema import BenchError

OVERLAP = 0.1  # angstrom


@dataclass(frozen=True)
class Geometries:
    """z (n, A) int64, 0 where a molecule has fewer than A atoms; r (n, A, 3) angstrom; energy (n,) eV; forces (n, A, 3) eV/angstrom.

    Forces are NaN for geometries without forces, and 0 on padding. float64.
    """

    z: np.ndarray
    r: np.ndarray
    energy: np.ndarray
    forces: np.ndarray

    def __len__(self) -> int:
        return len(self.z)

    def take(self, index: np.ndarray) -> Geometries:
        return Geometries(self.z[index], self.r[index], self.energy[index], self.forces[index])

    def padded(self, atoms: int) -> Geometries:
        more = atoms - self.z.shape[1]
        wide = [(0, 0), (0, more), (0, 0)]
        return Geometries(np.pad(self.z, wide[:2]), np.pad(self.r, wide), self.energy, np.pad(self.forces, wide))

    def bound(self, free: dict[int, float]) -> Geometries:
        """Energies relative to free atoms; BenchError where an element's is not known."""
        missing = sorted(set(np.unique(self.z).tolist()) - {0} - set(free))
        if missing:
            raise BenchError(
                f"no free-atom energy for atomic number {missing[0]}; add a frame of one such atom to the file"
            )
        table = np.zeros(int(self.z.max()) + 1)
        for number, energy in free.items():
            if number < len(table):
                table[number] = energy
        return Geometries(self.z, self.r, self.energy - table[self.z].sum(1), self.forces)


def read(path: Path, energy_key: str = "energy", forces_key: str = "forces") -> Geometries:
    """All frames of an extended-xyz file. BenchError: no frame, no energy, atoms on top of each other, numbers that are not finite."""
    from ase.io import read as ase_read

    try:
        frames = ase_read(path, index=":", format="extxyz")
    except Exception as error:
        raise BenchError(
            f"{path} is not readable as extended xyz ({error}); see the comment line of its first frame"
        ) from None
    if not frames:
        raise BenchError(f"{path} holds no geometry")
    atoms = max(len(f) for f in frames)
    z, r = np.zeros((len(frames), atoms), dtype=np.int64), np.zeros((len(frames), atoms, 3))
    energy, forces = np.empty(len(frames)), np.zeros((len(frames), atoms, 3))
    for k, frame in enumerate(frames):
        n = len(frame)
        z[k, :n], r[k, :n] = frame.numbers, frame.positions
        energy[k] = _value(frame, energy_key, path, k)
        found = _forces(frame, forces_key)
        forces[k, :n] = np.nan if found is None else found
    if not (np.isfinite(r).all() and np.isfinite(energy).all()):
        raise BenchError(f"{path} has a position or an energy that is not finite; mend or leave out that frame")
    closest(z, r, str(path))
    return Geometries(z, r, energy, forces)


def _value(frame, key: str, path: Path, k: int) -> float:
    known = dict(frame.info)
    if frame.calc is not None:  # ase moves the usual names there
        known |= {name: v for name, v in frame.calc.results.items() if np.ndim(v) == 0}
    if key not in known:
        raise BenchError(f"frame {k} of {path} has no {key}; data.energy_key names the energy in the comment line")
    return float(known[key])


def _forces(frame, key: str) -> np.ndarray | None:
    if frame.calc is not None and key in frame.calc.results:
        return frame.calc.results[key]
    return frame.arrays.get(key)


def closest(z: np.ndarray, r: np.ndarray, name: str) -> None:
    """BenchError where two atoms of a geometry overlap."""
    gap = np.linalg.norm(r[:, :, None] - r[:, None], axis=-1)
    real = z > 0
    pairs = real[:, :, None] & real[:, None] & ~np.eye(z.shape[1], dtype=bool)
    bad = (gap < OVERLAP) & pairs
    if bad.any():
        k, i, j = np.argwhere(bad)[0]
        raise BenchError(
            f"atoms {i} and {j} of geometry {k} of {name} are {gap[k, i, j]:.3g} angstrom apart; mend or leave out that frame"
        )


def free_atoms(path: Path, energy_key: str = "energy") -> dict[int, float]:
    """Atomic number -> energy (eV) of a file with one atom per frame."""
    frames = read(path, energy_key)
    if frames.z.shape[1] != 1:
        raise BenchError(f"{path} has frames of several atoms; the energies of free atoms are frames of one atom each")
    return dict(zip(frames.z[:, 0].tolist(), frames.energy.tolist(), strict=True))
