"""Colour refinement (1-WL) of many graphs at once, exact: colours are integers, compared by equality."""

from __future__ import annotations

import numpy as np


def wl_classes(adjacency: np.ndarray, colours: np.ndarray | None = None) -> np.ndarray:
    """Class (N,) of each graph under 1-WL: equal where colour refinement cannot tell two graphs apart.

    adjacency (N, n, n) of zeros and ones, padded vertices without edges and with a colour of their own in `colours`
    (N, n, integer; default all 0). Every round recolours a vertex by its colour and the sorted colours of its neighbours,
    jointly for all graphs, until the number of colours stays.
    """
    number, n, _ = adjacency.shape
    colour = (
        np.zeros((number, n), dtype=np.int64)
        if colours is None
        else np.unique(colours, return_inverse=True)[1].reshape(number, n)
    )
    edge, count = adjacency > 0, 0
    while True:
        around = np.sort(np.where(edge, colour[:, None, :] + 1, 0), axis=-1)
        rows = np.concatenate([colour[..., None], around], -1).reshape(number * n, n + 1)
        kinds, colour = np.unique(rows, axis=0, return_inverse=True)
        colour = colour.reshape(number, n)
        if len(kinds) == count:
            return np.unique(np.sort(colour, -1), axis=0, return_inverse=True)[1].reshape(-1)
        count = len(kinds)


def pairs_within(classes: np.ndarray) -> int:
    """Number of pairs of equal classes."""
    size = np.bincount(classes)
    return int((size * (size - 1) // 2).sum())
