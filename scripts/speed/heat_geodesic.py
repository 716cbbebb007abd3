"""Time and memory of heat-geodesic embeddings. Run: python scripts/speed/heat_geodesic.py

- a Swiss roll of 2,000 points: all pairs, time chosen over ten times, metric scaling;
- landmarks: time and the largest memory beyond the points themselves as their number grows to 50,000, 200 landmarks.

Seconds are of wall time on this machine; the columns that matter are the ratios as the number of points doubles.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before the numerical libraries are loaded

import argparse
import resource
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from datasets.manifolds.adapter import swiss_roll  # noqa: E402
from models.geometry.mds import classical, metric  # noqa: E402
from models.heat_geodesic import HeatDistances, landmark_embedding  # noqa: E402
from scripts.speed.timing import idle_or_not, publish  # noqa: E402

LANDMARKS, TIME = 200, 20.0


def roll(n: int) -> np.ndarray:
    """A noisy roll without its distances, which would take n^2."""
    rng = np.random.default_rng(0)
    t, h = 1.5 * np.pi * (1 + 2 * rng.random(n)), 5 * rng.random(n)
    x = np.zeros((n, 10))
    x[:, :3] = np.column_stack([t * np.cos(t), h, t * np.sin(t)])
    return x + 0.3 * rng.standard_normal(x.shape)


def one(n: int) -> None:
    """Landmarks in this process: prints seconds and MiB."""
    x = roll(n)
    landmark_embedding(x[:500], 20, TIME)  # what is imported and allocated once
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    landmark_embedding(x, LANDMARKS, TIME)
    print(time.perf_counter() - start, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[12500, 25000, 50000])
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--no-write", action="store_true", help="print only, leave heat_geodesic.md alone")
    args = parser.parse_args()
    if args.one:
        return one(args.one)
    shared = idle_or_not()
    # first of all: a process begins with its parent's largest memory
    rows, last = [], None
    for n in args.sizes:
        out = subprocess.run([sys.executable, __file__, "--one", str(n)], capture_output=True, text=True, check=True)
        seconds, memory = map(float, out.stdout.split())
        more = f"{seconds / last[0]:.1f} | {memory / last[1]:.1f}" if last else " | "
        rows.append(f"| {n} | {seconds:.0f} | {memory:.0f} | {more} |")
        last = seconds, memory
    rng = np.random.default_rng(0)
    x, _, _ = swiss_roll(2000, 10, rng)
    x = x + 0.3 * rng.standard_normal(x.shape)
    start = time.perf_counter()
    d = HeatDistances()(x)
    distances = time.perf_counter() - start
    metric(d, classical(d))
    whole = time.perf_counter() - start
    lines = [
        "# Heat-geodesic embedding: time and memory",
        "",
        f"`python scripts/speed/heat_geodesic.py`, float64, one CPU thread. {shared}",
        "",
        f"2,000 points, all pairs: distances with the choice of time {distances:.0f} s, with metric scaling {whole:.0f} s (goal: 60).",
        "",
        f"{LANDMARKS} landmarks, 10 neighbours, t = {TIME:g}:",
        "",
        "| points | seconds | MiB | seconds over the row above | MiB over the row above |",
        "|---|---|---|---|---|",
        *rows,
    ]
    publish(lines, __file__, write=not args.no_write)
    return None


if __name__ == "__main__":
    main()
