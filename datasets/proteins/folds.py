"""Procedural native backbones, and decoys of any backbone by noise on its torsion angles."""

from __future__ import annotations

import numpy as np

from datasets.proteins.backbone import ideal, internal, place
from datasets.proteins.chain import LETTERS, Chain, c_beta, from_backbone

CLASH = 3.6  # Angstrom: smallest CA-CA distance of a native chain
TOUCH = (
    1.0  # Angstrom: smallest distance of any two atoms, below every bond; clashes of decoys above it are theirs to have
)
TRIES = 200
HELIX, STRAND, LOOP = range(3)
SIZES = ((6, 14), (4, 8), (2, 5))  # residues of a segment, least and most
CENTRES = ((-60.0, -45.0), (-120.0, 130.0))  # phi, psi of helix and strand, degrees
ALLOWED = (  # share, phi from and to, psi from and to of a loop residue, degrees
    (0.45, -100.0, -40.0, -70.0, -10.0),
    (0.45, -160.0, -60.0, 90.0, 180.0),
    (0.10, 40.0, 80.0, 20.0, 70.0),
)
LIKED = ("AEHKLMQR", "CFITVWY", "DGNPS")  # residues three times as frequent in their segment as the others


def natives(count: int, residues: int, spread: float, rng: np.random.Generator) -> list[Chain]:
    """Chains of ideal geometry: helices or strands joined by loops, no two CA nearer than CLASH.

    spread: standard deviation (degrees) of phi and psi around their centres in helices and strands.

    Raises
    ------
    ValueError : too few chains without a clash were found.
    """
    out: list[Chain] = []
    for _ in range(TRIES):
        kinds, phi, psi = _draw(2 * count, residues, spread, rng)
        x = place(*ideal(phi, psi))
        for k in np.flatnonzero((closest(x[..., 1, :]) >= CLASH) & apart(x))[: count - len(out)]:
            out.append(from_backbone(kinds[k], x[k], f"native {len(out)}"))
        if len(out) == count:
            return out
    raise ValueError(f"chains of {residues} residues without a clash are too rare; lower data.residues")


def closest(points: np.ndarray) -> np.ndarray:
    """Smallest distance (...) between two of the points (..., n, 3)."""
    p = points - points.mean(-2, keepdims=True)
    square = (p * p).sum(-1)
    # one matrix product for each set, as this is where the time goes; its rounding is far below any distance that matters
    d = square[..., :, None] + square[..., None, :] - 2.0 * (p @ np.swapaxes(p, -1, -2))
    i = np.arange(d.shape[-1])
    d[..., i, i] = np.inf
    return np.sqrt(np.maximum(d.min((-1, -2)), 0.0))


def apart(x: np.ndarray) -> np.ndarray:
    """Whether N, CA, C and C-beta of backbones (..., n, 3, 3) are at least TOUCH from each other."""
    atoms = np.concatenate([x, c_beta(x)[..., None, :]], -2)
    return closest(atoms.reshape(*x.shape[:-3], -1, 3)) >= TOUCH


def _draw(
    count: int, residues: int, spread: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Residue kinds and phi, psi in radians, (count, residues) each."""
    state = np.stack([_segments(residues, rng) for _ in range(count)])
    share, *box = np.array(ALLOWED).T
    low_phi, high_phi, low_psi, high_psi = np.array(box)[:, rng.choice(len(share), state.shape, p=share)]
    centre = np.array([*CENTRES, (0.0, 0.0)])[state]
    angles = []
    for k, (low, high) in enumerate(((low_phi, high_phi), (low_psi, high_psi))):
        regular = centre[..., k] + spread * rng.standard_normal(state.shape)
        angles.append(np.radians(np.where(state == LOOP, rng.uniform(low, high), regular)))
    weight = np.array([[3.0 if c in liked else 1.0 for c in LETTERS] for liked in LIKED])
    cumulative = (weight / weight.sum(1, keepdims=True)).cumsum(1)[state]
    kinds = (rng.random((*state.shape, 1)) > cumulative[..., :-1]).sum(-1)
    return kinds, angles[0], angles[1]


def _segments(residues: int, rng: np.random.Generator) -> np.ndarray:
    """HELIX or STRAND and LOOP in turn, with sizes drawn from SIZES, cut to `residues`."""
    parts: list[np.ndarray] = []
    while sum(map(len, parts)) < residues:
        state = LOOP if len(parts) % 2 else int(rng.integers(LOOP))
        low, high = SIZES[state]
        parts.append(np.full(rng.integers(low, high + 1), state))
    return np.concatenate(parts)[:residues]


def decoys(native: Chain, count: int, level: float, share: float, rng: np.random.Generator) -> list[Chain]:
    """Backbones of `native` with noise on phi and psi, bond lengths, bond angles and omega as they are.

    Each has a level s, uniform in [0, level] degrees: von Mises noise of concentration 1 / s^2 on both angles of a random
    `share` of the residues. Decoys with two atoms nearer than TOUCH are drawn again.

    Raises
    ------
    ValueError : hardly any noise leaves the chain without overlap.
    """
    length, angle, torsion = internal(native.backbone)
    found: list[np.ndarray] = []
    for _ in range(TRIES):
        s = np.radians(rng.uniform(0.0, level, (count, 1)))
        chosen = rng.random((count, len(native))).argsort(1) < round(share * len(native))
        noise = (
            rng.vonmises(0.0, 1.0 / np.maximum(s, 1e-6)[..., None] ** 2, (count, len(native), 2)) * chosen[..., None]
        )
        moved = np.repeat(torsion[None], count, 0)
        moved[:, 2::3] += noise[:, 1:, 0]  # phi
        moved[:, 0::3] += noise[:, :-1, 1]  # psi
        x = place(length[None], angle[None], moved)
        found += list(x[apart(x)])
        if len(found) >= count:
            return [from_backbone(native.kinds, x, f"{native.name}, decoy {k}") for k, x in enumerate(found[:count])]
    raise ValueError(f"decoys of {native.name} without overlapping residues are too rare; lower data.level")
