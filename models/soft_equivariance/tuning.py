"""Strengths of the penalties, set once from how far training went towards each group."""

from __future__ import annotations

from collections.abc import Sequence


class Tuner:
    """Records the residuals R of all groups and, once, turns them into strengths.

    `record` replaces the whole stored vector whenever any entry is below the stored one; the first `skip` calls are ignored.
    `adjust`: lambda_g / (R_g / min R)^power with the minimum over groups of non-zero strength: a group that the network cannot reach
    (large R) gets a small strength.
    """

    def __init__(self, skip: int = 50) -> None:
        self.skip, self.calls = skip, 0
        self.stored: list[float] | None = None

    def record(self, residuals: Sequence[float]) -> None:
        self.calls += 1
        if self.calls <= self.skip:
            return
        if self.stored is None or any(a < b for a, b in zip(residuals, self.stored, strict=True)):
            self.stored = [float(r) for r in residuals]

    def adjust(self, strengths: Sequence[float], power: float) -> list[float]:
        """The new strengths; groups of strength 0 keep it."""
        if self.stored is None:
            raise ValueError("no residuals were recorded before the adjustment; lower skip or adjust later")
        tiny = 1e-12  # an exactly equivariant network
        used = [max(r, tiny) for r, s in zip(self.stored, strengths, strict=True) if s != 0]
        if not used:
            return list(strengths)
        least = min(used)
        return [s / (max(r, tiny) / least) ** power if s else 0.0 for r, s in zip(self.stored, strengths, strict=True)]


def discovered(groups: Sequence[str], strengths: Sequence[float]) -> str | None:
    """The candidate of largest strength, None where all are 0 or two share the largest."""
    best = max(strengths)
    names = [g for g, s in zip(groups, strengths, strict=True) if s == best]
    return names[0] if best > 0 and len(names) == 1 else None
