"""Which back end is fastest: the rule behind backend="auto", read off the table that scripts/speed/gaunt_tp.py prints."""

from __future__ import annotations


def candidates(top1: int, top2: int) -> tuple[str, ...]:
    """Back ends that the rule can name for these degrees, on any device and batch."""
    return ("sphere", "grid", "separable") if max(top1, top2) >= 7 else ("sphere", "grid")


def choose(top1: int, top2: int, batch: int, device: str = "cpu") -> str:
    """The back end for degrees 0..top1 and 0..top2 and `batch` products at once.

    CPU: up to degree 3, and for small batches, the fewest operations win (whole sphere); above, half the grid; from degree 7 on and
    for middle batches one angle after the other. GPU: launches dominate, the whole sphere.
    """
    degree = max(top1, top2)
    if device != "cpu" or degree <= 3 or batch <= 8 * (12 - min(degree, 8)):
        return "sphere"
    if degree >= 7 and batch <= 3000:
        return "separable"
    return "grid"
