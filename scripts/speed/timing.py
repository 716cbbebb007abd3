"""Interleaved timing, shared by the speed tables: candidates take turns, so that what disturbs the machine disturbs them alike."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path


def interleaved(
    candidates: Mapping[str, Callable[[], object]],
    seconds: float,
    clock: Callable[[], float] = time.process_time,
    least: int = 7,
    warm: int = 2,
    prime: bool = False,
) -> dict[str, list[float]]:
    """Seconds of each call by candidate, after `warm` calls of each that do not count.

    seconds: wall time to spend in all, though at least `least` calls of each are made. clock: processor time of the process unless
    told; what other programs take from a single-threaded one is no part of it. prime: an untimed call of the same candidate
    before each timed one, where its data would otherwise have left the cache.
    """
    for f in candidates.values():
        for _ in range(warm):
            f()
    times: dict[str, list[float]] = {name: [] for name in candidates}
    stop = time.perf_counter() + seconds
    while time.perf_counter() < stop or len(next(iter(times.values()))) < least:
        for name, f in candidates.items():
            if prime:
                f()
            start = clock()
            f()
            times[name].append(clock() - start)
    return times


def ratio(times: Mapping[str, list[float]], a: str, b: str, digits: int = 2) -> str:
    """a over b: ratio of medians, in brackets of minima."""
    median = statistics.median(times[a]) / statistics.median(times[b])
    return f"{median:.{digits}f} ({min(times[a]) / min(times[b]):.{digits}f})"


def idle_or_not() -> str:
    """Whether other work shares the machine now, as a sentence of a table; ask before the timings start."""
    shared = os.getloadavg()[0] / (os.cpu_count() or 1) > 0.8
    return (
        "The machine was shared with other work during these timings." if shared else "The machine was otherwise idle."
    )


def publish(lines: Sequence[str], script: str, write: bool) -> None:
    """Print a table of Markdown lines and, if `write`, keep it beside the script that made it."""
    text = "\n".join(lines) + "\n"
    print(text)
    if write:
        Path(script).with_suffix(".md").write_text(text)
