"""Superposition-free scores of a model of a protein against its native structure, one number in [0, 1] for each residue."""

from __future__ import annotations

import numpy as np

from datasets.proteins.contacts import distances

INCLUDED = 15.0  # Angstrom
KEPT = (0.5, 1.0, 2.0, 4.0)  # Angstrom


def lddt(native: np.ndarray, models: np.ndarray) -> np.ndarray:
    """Local distance difference test on one atom for each residue (Mariani et al. 2013): (..., n).

    native (n, 3), models (..., n, 3), Angstrom. Of the distances of residue i to others that are below INCLUDED in the native
    structure, the share that a model keeps within each of KEPT, averaged over the four.

    Raises
    ------
    ValueError : a residue with no other one within INCLUDED, whose score is undefined.
    """
    true = distances(native)
    counted = true < INCLUDED
    np.fill_diagonal(counted, False)
    many = counted.sum(1)
    if not many.all():
        raise ValueError(
            f"residue {int(many.argmin()) + 1} of the native structure has no CA within {INCLUDED:g} Angstrom; remove that residue"
        )
    change = np.abs(distances(models) - true)
    kept = sum((change <= t).astype(float) for t in KEPT) / len(KEPT)
    return (kept * counted).sum(-1) / many


def cad(native: np.ndarray, model: np.ndarray, window: int = 2, neighbours: int = 1) -> np.ndarray:
    """Contact area difference score (Olechnovic et al. 2013): (n,).

    native T, model M (n, n) contact areas. Residue i has 1 - sum min(|T_jk - M_jk|, T_jk) / sum T_jk, over the contacts j k of the
    residues j at most `window` places from i in the sequence and of those that touch one of them in the native structure,
    `neighbours` (0 or 1) steps away. How voronota-cadscore joins the two options is not known here: this is one reading of them.

    Raises
    ------
    ValueError : a residue around which the native structure has no contact.
    """
    if neighbours not in (0, 1):
        raise ValueError(f"neighbours={neighbours}: give 0 or 1")
    lost, total = np.minimum(np.abs(native - model), native).sum(1), native.sum(1)
    place = np.arange(len(native))
    around = np.abs(place[:, None] - place) <= window
    if neighbours:
        around = around | (around @ (native > 0))
    share = around @ total
    if not share.all():
        raise ValueError(
            f"residue {int(share.argmin()) + 1} of the native structure touches no other; remove that residue"
        )
    return 1.0 - (around @ lost) / share
