"""Chains from PDB files.

Fixed columns of ATOM records, of which this project needs eight: a library would bring a tree of objects per file, 10 to 50 times
slower to build, where a CASP edition is tens of thousands of files. mmCIF is not read.
"""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

from datasets.proteins.chain import BACKBONE, NAMES, Chain

KIND = {name: i for i, name in enumerate(NAMES)}
MODIFIED = {"MSE": "MET", "SEC": "CYS", "PYL": "LYS"}  # written as the residue they were made from
RULES = ("error", "drop")


def read_pdb(path: Path, chain: str = "", incomplete: str = "error") -> Chain:
    """One chain of the first model of a PDB file (or .gz): the named one, or the first of the file.

    Of alternative locations the one of highest occupancy is taken, the first among equals; hydrogens, waters and ligands are left
    out. incomplete: what happens to a residue without N, CA or C, or of a kind that is none of the 20: `error` or `drop`.

    Raises
    ------
    ValueError : no ATOM record, columns that are no numbers, an incomplete or unknown residue, overlapping atoms.
    """
    if incomplete not in RULES:
        raise ValueError(f"incomplete={incomplete!r} is unknown; use {' or '.join(RULES)}")
    residues: dict[str, tuple[str, dict[str, tuple[float, list[float]]]]] = {}
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="ascii", errors="replace") as lines:
        for number, line in enumerate(lines, 1):
            record, residue = line[:6].rstrip(), line[17:20].strip()
            if record == "ENDMDL":
                break
            if record != "ATOM" and not (record == "HETATM" and residue in MODIFIED):
                continue
            chain = chain or line[21:22]
            if line[21:22] != chain:
                continue
            name, element = line[12:16].strip(), line[76:78].strip()
            if (element or name.lstrip("0123456789")[:1]) in ("H", "D"):
                continue
            try:
                position = [float(line[a : a + 8]) for a in (30, 38, 46)]
                occupancy = float(line[54:60].strip() or 1.0)
            except ValueError:
                raise ValueError(
                    f"{path.name}, line {number}: columns 31 to 60 are no numbers; mend the file"
                ) from None
            atoms = residues.setdefault(line[22:27].strip(), (MODIFIED.get(residue, residue), {}))[1]
            if name not in atoms or occupancy > atoms[name][0]:
                atoms[name] = (occupancy, position)
    if not residues:
        which = f" of chain {chain}" if chain else ""
        raise ValueError(f"{path.name} has no ATOM record{which}; give a PDB file with a protein chain")
    return _assemble(path.name, residues, incomplete)


def _assemble(
    name: str, residues: dict[str, tuple[str, dict[str, tuple[float, list[float]]]]], incomplete: str
) -> Chain:
    kept = {}
    for label, (kind, atoms) in residues.items():
        absent = [a for a in BACKBONE if a not in atoms]
        if not absent and kind in KIND:
            kept[label] = (kind, atoms)
        elif incomplete == "error":
            what = f"has no atom {absent[0]}, so that its frame is undefined" if absent else "is none of the 20 kinds"
            raise ValueError(
                f"residue {kind} {label} of {name} {what}; complete the file, or leave such residues out with incomplete=drop"
            )
    if len(kept) < 2:
        raise ValueError(f"{name} has {len(kept)} residues with N, CA and C; at least 2 are needed: remove the file")
    return Chain(
        np.array([KIND[kind] for kind, _ in kept.values()]),
        np.array([[atoms[a][1] for a in BACKBONE] for _, atoms in kept.values()]),
        list(kept),
        np.array([p for _, atoms in kept.values() for _, p in atoms.values()]),
        np.repeat(np.arange(len(kept)), [len(atoms) for _, atoms in kept.values()]),
        name,
    )
