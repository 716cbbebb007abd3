"""Which back end is fastest: the rule behind backend="auto", read off the table that scripts/speed/gaunt_tp.py prints."""

from __future__ import annotations

CANDIDATES = ("sphere", "grid")
"""What the rule can name. The others lose everywhere in the table, or win by a few percent in single cells."""


def choose(
    tops: tuple[int, int, int], batch: int, device: str = "cpu", threads: int = 1, backward: bool = False
) -> str:
    """The back end for degrees `tops` (of x, y and z) and `batch` products at once, with or without a backward pass to come.

    Half the grid takes half the operations and three times the calls. It pays where there is enough to compute for each thread,
    with a backward pass at higher degrees; on a GPU, where calls cost most, never.
    """
    degree = sum(tops)  # of the integrand: 4 L for a full product
    work = batch * (degree + 2) ** 2 / 3 * sum((t + 1) ** 2 for t in tops)  # nodes times coefficients
    least, enough = (24, 1.5e7) if backward else (20, 4e6)
    return "grid" if device == "cpu" and degree >= least and work >= enough * threads else "sphere"
