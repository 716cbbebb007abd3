"""How nearly orthogonal n unit vectors of R^d can be: lower bounds on the largest |cosine| (coherence). Imports nothing heavy."""

from __future__ import annotations

import math


def welch_bound(n: int, d: int) -> float:
    """sqrt((n - d) / (d (n - 1))) for n > d, and 0 for n <= d, where orthonormal vectors exist (Welch 1974)."""
    return math.sqrt((n - d) / (d * (n - 1))) if n > d else 0.0


def lower_bound(n: int, d: int) -> float:
    """The better of the Welch bound and, for n > d (d + 1) / 2, the orthoplex bound 1 / sqrt(d) (Conway, Hardin and Sloane 1996)."""
    orthoplex = 1 / math.sqrt(d) if n > d * (d + 1) // 2 else 0.0
    return max(welch_bound(n, d), orthoplex)


def check_reachable(n: int, d: int, max_cos: float) -> None:
    """Raise ValueError, saying what angle can be reached, where no n unit vectors of R^d keep |cosine| <= max_cos."""
    least = lower_bound(n, d)
    if max_cos >= least - 1e-12:
        return
    need = next((k for k in range(d, n + 1) if lower_bound(n, k) <= max_cos), n)
    raise ValueError(
        f"max_cos={max_cos:g} (an angle of {angle(max_cos):.2f} degrees) is out of reach for {n} vectors of dimension {d}: no more than "
        f"{angle(least):.2f} degrees, max_cos={least:.4g}, is possible; allow that or take dimension {need} or more"
    )


def angle(cosine: float) -> float:
    """Degrees between lines with this |cosine|."""
    return math.degrees(math.acos(min(1.0, max(0.0, cosine))))
