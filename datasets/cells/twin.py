"""Counts of cells that branch in time."""

from __future__ import annotations

import numpy as np

from datasets.cells.readers import Table

TIMES = 5  # sampling times 0 to 4


def branching(cells: int, genes: int, rng: np.random.Generator) -> Table:
    """A trunk that parts into two arms at half time; Poisson counts with rates exp(b + A tanh(B u)) of the position u in the plane.

    Types: trunk, left, right. Times: 0 to 4, at which a cell stands near time / 4 of its way.
    """
    time = rng.integers(TIMES, size=cells)
    along = np.clip((time + 0.35 * rng.standard_normal(cells)) / (TIMES - 1), 0, 1)
    side = np.where(rng.random(cells) < 0.5, 1.0, -1.0)
    u = np.column_stack([along, side * np.maximum(along - 0.5, 0) * 1.6]) + 0.02 * rng.standard_normal((cells, 2))
    hidden = np.tanh(u @ (2.5 * rng.standard_normal((2, 12))) + 0.5 * rng.standard_normal(12))
    rate = np.exp(hidden @ (0.5 * rng.standard_normal((12, genes))) + rng.standard_normal(genes))
    label = np.where(along < 0.5, "trunk", np.where(side > 0, "right", "left"))
    return Table(rng.poisson(rate).astype(np.float64), label, time.astype(np.float64))
