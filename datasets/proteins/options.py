"""Choices that simulated decoys and CASP models share; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass

from bench.schema import DataConfig, option


@dataclass
class Proteins(DataConfig):
    """What joins two residues, and what is to be predicted of each."""

    contacts: str = option(
        "distance",
        "edges: CA nearer than `radius`, or Voronoi cells of atoms that touch",
        choices=("distance", "voronoi"),
    )
    radius: float = option(10.0, "Angstrom: of distance contacts, and of the count of neighbours", low=1.0)
    label: str = option(
        "lddt",
        "local score: lDDT on CA, or CAD score of Voronoi contact areas (window 2, neighbours 1)",
        choices=("lddt", "cad"),
    )
