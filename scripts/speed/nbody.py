"""Time of the n-body data: all 14,000 simulations, beside one simulation after another. Run: python scripts/speed/nbody.py

Both make the same numbers from the same initial states; the second advances one simulation at a time by the same formulas, as the
released generator does. One process, processor time.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before the numerical libraries are loaded

import argparse
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from datasets.nbody.simulator import draws, simulate  # noqa: E402
from scripts.speed.timing import idle_or_not, interleaved, publish, ratio  # noqa: E402

GOAL_S, COUNT, FEW = 360.0, 14000, 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20.0, help="for the comparison")
    parser.add_argument("--no-write", action="store_true", help="print only, leave nbody.md alone")
    args = parser.parse_args()
    shared = idle_or_not()
    state = draws(COUNT)
    start = time.process_time()
    x, y = simulate(*state)
    whole = time.process_time() - start
    some = [s[:200] for s in state]

    def one_by_one() -> tuple[np.ndarray, np.ndarray]:
        parts = [simulate(*(s[i : i + 1] for s in state)) for i in range(FEW)]
        return np.concatenate([p[0] for p in parts]), np.concatenate([p[1] for p in parts])

    alone = one_by_one()
    gap = max(float(np.abs(a - b[:FEW]).max()) for a, b in zip(alone, (x, y), strict=True))
    times = interleaved({"alone": one_by_one, "together": lambda: simulate(*some)}, args.seconds, least=3, warm=1)
    each = {"alone": [t / FEW for t in times["alone"]], "together": [t / len(some[0]) for t in times["together"]]}
    publish(
        [
            "# The n-body data: speed",
            "",
            f"`python scripts/speed/nbody.py`, float64, one CPU thread, numpy {np.__version__}. Processor time. {shared}",
            "",
            f"{COUNT:,} simulations: {whole / GOAL_S:.2f} of the goal of six minutes, in one process.",
            "",
            f"A simulation alone over one of 200 together: {ratio(each, 'alone', 'together', 0)}, medians (minima); largest difference "
            f"of the numbers {gap:.0e}.",
        ],
        __file__,
        write=not args.no_write,
    )


if __name__ == "__main__":
    main()
