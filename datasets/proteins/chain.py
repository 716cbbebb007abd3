"""A protein chain as arrays, and the sentences about chains that no residue frame can be put on."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

LETTERS = "ACDEFGHIKLMNPQRSTVWY"
NAMES = ("ALA CYS ASP GLU PHE GLY HIS ILE LYS LEU MET ASN PRO GLN ARG SER THR VAL TRP TYR").split()  # as LETTERS
BACKBONE = ("N", "CA", "C")
NEAREST = 0.5  # Angstrom; any two atoms of a molecule are farther apart
FLATTEST = 1e-3  # sine of the angle N-CA-C below which no plane is spanned
CB = (-0.58273431, 0.56802827, -0.54067466)  # of b x c, b, c: ideal C-beta from b = CA - N, c = C - CA


@dataclass(frozen=True)
class Chain:
    """n residues. `kinds` (n,) index into LETTERS; `backbone` (n, 3, 3) N, CA, C in Angstrom, float64; `labels` (n,) residue
    number and insertion code; `atoms` (m, 3) all heavy atoms and `owner` (m,) their residues, in [0, n)."""

    kinds: np.ndarray
    backbone: np.ndarray
    labels: list[str]
    atoms: np.ndarray
    owner: np.ndarray
    name: str = field(default="a chain")

    def __len__(self) -> int:
        return len(self.kinds)

    def __post_init__(self) -> None:
        self._check()

    def take(self, keep: np.ndarray) -> Chain:
        """The residues `keep` (indices in ascending order), as a chain."""
        place = np.full(len(self), -1)
        place[keep] = np.arange(len(keep))
        mine = place[self.owner] >= 0
        labels = [self.labels[i] for i in keep]
        return Chain(
            self.kinds[keep], self.backbone[keep], labels, self.atoms[mine], place[self.owner[mine]], self.name
        )

    def _check(self) -> None:
        """ValueError for a frame or a direction that is undefined; one sentence, with the residue and the remedy."""
        from scipy.spatial import cKDTree

        if len(self) < 2:
            raise ValueError(f"{self.name} has {len(self)} residues; contacts need at least 2")
        bad = ~np.isfinite(self.backbone).all((1, 2))
        if bad.any():
            i = int(bad.argmax())
            raise ValueError(
                f"residue {self._which(i)} of {self.name} lacks a backbone atom (N, CA or C), so that its frame is undefined; "
                "complete the model, or leave such residues out with incomplete=drop"
            )
        if not np.isfinite(self.atoms).all():
            raise ValueError(f"{self.name} has an atom at a position that is not finite; mend the file")
        pairs = cKDTree(self.atoms).query_pairs(NEAREST, output_type="ndarray")
        if len(pairs):
            i, j = (self._which(int(self.owner[k])) for k in pairs[0])
            gap = np.linalg.norm(self.atoms[pairs[0, 0]] - self.atoms[pairs[0, 1]])
            raise ValueError(
                f"two atoms of {self.name} overlap, residues {i} and {j}, {gap:.2f} Angstrom apart (at least {NEAREST:g} are "
                "needed); remove the model or the duplicate atom"
            )
        a, b = self.backbone[:, 0] - self.backbone[:, 1], self.backbone[:, 2] - self.backbone[:, 1]
        sine = np.linalg.norm(np.cross(a, b), axis=1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
        if sine.min() < FLATTEST:
            i = self._which(int(sine.argmin()))
            raise ValueError(f"N, CA and C of residue {i} of {self.name} lie on a line; remove that residue")

    def _which(self, i: int) -> str:
        return f"{NAMES[self.kinds[i]]} {self.labels[i]}"


def c_beta(backbone: np.ndarray) -> np.ndarray:
    """Ideal positions (..., 3) of C-beta from N, CA, C (..., 3, 3): tetrahedral, 1.52 Angstrom from CA."""
    n, ca, c = np.moveaxis(backbone, -2, 0)
    b, c = ca - n, c - ca
    return ca + CB[0] * np.cross(b, c) + CB[1] * b + CB[2] * c


def from_backbone(kinds: np.ndarray, backbone: np.ndarray, name: str) -> Chain:
    """A chain without side chains: N, CA, C and, but for glycine, C-beta are its atoms."""
    n = len(kinds)
    beta = np.flatnonzero(kinds != LETTERS.index("G"))
    atoms = np.concatenate([backbone.reshape(-1, 3), c_beta(backbone)[beta]])
    return Chain(kinds, backbone, [str(i + 1) for i in range(n)], atoms, np.r_[np.repeat(np.arange(n), 3), beta], name)
