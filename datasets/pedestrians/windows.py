"""From tables of positions to windows of consecutive steps."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.schema import BenchError


def read_table(path: Path) -> np.ndarray:
    """(n, 4) float64 of a text file: frame, pedestrian, x, y (metres); further columns are not read."""
    try:
        table = np.loadtxt(path, usecols=(0, 1, 2, 3), ndmin=2)
    except ValueError as error:
        raise BenchError(f"{path} is no table of frame, pedestrian, x, y ({error}); get it again") from None
    if not len(table) or not np.isfinite(table).all():
        raise BenchError(f"{path} is empty or holds NaN or Inf; get it again")
    return table


def cut(table: np.ndarray, length: int) -> tuple[np.ndarray, np.ndarray]:
    """All windows of `length` consecutive positions of one pedestrian: (n, length, 2) in metres, and the frame (n,) each ends at.

    Consecutive means one step apart, the most common distance of frames in the table; where a pedestrian is lost and found again no
    window crosses the gap.
    """
    order = np.lexsort((table[:, 0], table[:, 1]))
    frame, who, place = table[order, 0], table[order, 1], table[order, 2:4]
    frames = np.unique(frame)
    if len(frames) < 2:
        raise BenchError(f"the table has {len(frames)} frames; two at least are needed")
    steps, counts = np.unique(np.diff(frames), return_counts=True)
    step = steps[counts.argmax()]
    joined = (np.diff(who) == 0) & (np.diff(frame) == step)
    if len(joined) < length - 1:
        return np.zeros((0, length, 2)), np.zeros(0)
    whole = np.lib.stride_tricks.sliding_window_view(joined, length - 1).all(1)
    start = np.flatnonzero(whole)
    return place[start[:, None] + np.arange(length)], frame[start + length - 1]


def split_in_time(
    places: np.ndarray, ends: np.ndarray, first: np.ndarray, share: float
) -> tuple[np.ndarray, np.ndarray]:
    """Windows (n, length, 2) that end before the last `share` of the frames, and those that begin (`first`, (n,)) in it.

    Windows across the border are in neither, so that no position is in both.
    """
    border = ends.min() + (1 - share) * (ends.max() - ends.min())
    return places[ends < border], places[first >= border]
