"""Speed of the panel method and of the geometric features. Run: python scripts/speed/panel_method.py

A half wing with its image, float64, one thread. Against a plain implementation of the same formulas (each triangle with its own
corners and edges, all points at once) in the same process: candidates take turns after a warm-up, CPU time of the process, ratios of
medians (of minima in brackets). Goals in seconds are those of the project; the table says which share of them was used.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before the numerical libraries are loaded

import argparse
import statistics
import sys
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from datasets.wings.generate import Recipe, make_many  # noqa: E402
from datasets.wings.panels import influence  # noqa: E402
from datasets.wings.sections import NACA  # noqa: E402
from datasets.wings.wing import Grid, Wing, WingFlow  # noqa: E402
from models.geometry.forms import grid_forms, local_forms, neighbours  # noqa: E402
from scripts.speed.timing import idle_or_not, interleaved, publish, ratio  # noqa: E402

WING = Wing(NACA(0.02, 0.4, 0.12), span=7, taper=0.6, sweep=20, twist=-2)


def plain(points: np.ndarray, nodes: np.ndarray, triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Solid angles and source integrals (p, t) as in textbooks, without shared corners, edges or blocks."""
    a, b, c = (nodes[triangles[:, k]][None] - points[:, None] for k in range(3))
    normal = np.cross(b - a, c - a)
    unit = normal / np.linalg.norm(normal, axis=-1, keepdims=True)
    ra, rb, rc = (np.linalg.norm(v, axis=-1) for v in (a, b, c))
    below = ra * rb * rc + (a * b).sum(-1) * rc + (a * c).sum(-1) * rb + (b * c).sum(-1) * ra
    omega = 2 * np.arctan2((a * np.cross(b, c)).sum(-1), below)
    source = -(a * unit).sum(-1) * omega
    for v, w, rv, rw in ((a, b, ra, rb), (b, c, rb, rc), (c, a, rc, ra)):
        d = np.linalg.norm(w - v, axis=-1)
        height = (v * np.cross(w - v, unit)).sum(-1) / d
        source += height * np.log((rv + rw + d) / np.maximum(rv + rw - d, 1e-14 * d))
    return omega, source


def rows(m: int, n: int, seconds: float) -> str:
    """Influence coefficients against the plain ones; the rest of the work as shares."""
    flow = WingFlow(WING, Grid.cosine(m, n))
    body = flow.body
    points, triangles = body.centres, body.split[0]
    times = interleaved(
        {
            "ours": lambda: influence(points, body.nodes, triangles),
            "plain": lambda: plain(points, body.nodes, triangles),
            "wing": lambda: WingFlow(WING, Grid.cosine(m, n)).solve([4.0]),
            "further": lambda: flow.solve([6.0]),
        },
        seconds,
        least=3,
        warm=1,
    )
    mine, theirs = influence(points, body.nodes, triangles), plain(points, body.nodes, triangles)
    error = max(float(np.abs(x - y).max()) for x, y in zip(mine, theirs, strict=True))
    share = {k: statistics.median(times[k]) / goal for k, goal in (("wing", 0.25), ("further", 0.02))}
    goals = f"{share['wing']:.2f} | {share['further']:.2f}" if (m, n) == (32, 10) else "no goal | no goal"
    return f"| {m} x {n} | {ratio(times, 'plain', 'ours', 1)} | {error:.0e} | {ratio(times, 'wing', 'further', 0)} | {goals} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=6.0, help="for each size")
    parser.add_argument("--no-write", action="store_true", help="print only, leave panel_method.md alone")
    args = parser.parse_args()
    shared = idle_or_not()
    p = np.random.default_rng(0).normal(size=(10_000, 3))
    p /= np.linalg.norm(p, axis=1, keepdims=True)
    grid = p[np.lexsort(p.T)].reshape(100, 100, 3)

    def features(forms: object) -> None:
        for name in ("metric", "connection", "gauss", "mean"):
            getattr(forms, name)

    times = interleaved(
        {
            "points": lambda: features(local_forms(p, neighbours(p, 24))),
            "grid": lambda: features(grid_forms(grid)),
        },
        args.seconds,
        warm=1,
    )
    start = time.perf_counter()
    make_many(Recipe(), [(0, 0, i) for i in range(500)], jobs=2)
    many = (time.perf_counter() - start) / 180
    lines = [
        "# Panel method and geometric features: speed",
        "",
        f"`python scripts/speed/panel_method.py`, float64, one CPU thread, numpy {np.__version__}. CPU time, ratios of medians (of "
        f"minima). {shared}",
        "",
        "| panels | influence coefficients, plain / ours | largest difference | a wing / a further incidence | share of 0.25 s for a wing "
        "and its first incidence | share of 0.02 s for a further one |",
        "|---|---|---|---|---|---|",
        *(rows(m, n, args.seconds) for m, n in ((16, 6), (32, 10), (48, 14))),
        "",
        f"500 wings at 32 x 10 panels on two processes, wall time: {many:.2f} of the goal of 180 s.",
        "",
        "Metric, connection, Gauss and mean curvature at 10,000 points, goal 0.2 s: "
        f"{statistics.median(times['points']) / 0.2:.2f} of it by fits to 24 neighbours (their search included), "
        f"{statistics.median(times['grid']) / 0.2:.3f} on a grid.",
    ]
    publish(lines, __file__, write=not args.no_write)


if __name__ == "__main__":
    main()
