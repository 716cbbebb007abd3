"""Cost of vector-field Gaussian processes. Run: python scripts/speed/rvgp.py

- the whole bunny task where its mesh is under BENCH_DATA, seconds on one thread, beside 7 s of one run of the official code on two;
- modes by sparse shift-invert against the dense decomposition, and one value and slope of the likelihood in the space of features
  against the N x N Cholesky decomposition, both as the number of points grows to 5,000.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before the numerical libraries are loaded

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from datasets.tangent_fields.surfaces.adapter import ambient, load  # noqa: E402
from datasets.tangent_fields.surfaces.config import BUNNY, Config  # noqa: E402
from datasets.tangent_fields.surfaces.shapes import blob  # noqa: E402
from models.geometry.connection import VectorManifold  # noqa: E402
from models.rvgp.gp import VectorFieldGP  # noqa: E402
from scripts.speed.timing import idle_or_not, interleaved, publish, ratio  # noqa: E402

MODES, OFFICIAL_S, DENSE = 100, 7.0, 2500


def bunny() -> str:
    """Seconds and alignment of the official task, from points to predictions."""
    root = Path(os.environ.get("BENCH_DATA", "."))
    if not (root / BUNNY.path).is_file():
        return f"The bunny's mesh ({BUNNY.path}) is not under BENCH_DATA, so its task was not timed."
    config = Config(name="bunny_field", surface="bunny", spacing=0.05, replacement=True)
    b = load(config, fold="draw0", source="real", root=root, cache=Path())
    t, times = len(b.train), []
    for _ in range(5):
        start = time.perf_counter()
        m = VectorManifold.from_points(np.concatenate([b.train.x, b.test.x]))
        gp = VectorFieldGP(*m.vector_modes(MODES)).fit(np.arange(t), b.train.y[:, 0])
        y, _ = gp.predict(np.arange(t, len(m.points)))
        times.append(time.perf_counter() - start)
    alignment = (y * b.test.y[:, 0]).sum(1).mean()
    return (
        f"Bunny task ({len(m.points)} points, {t} known): alignment {alignment:.3f}; the official code takes "
        f"{OFFICIAL_S / statistics.median(times):.0f} times as long ({OFFICIAL_S:g} s, one run on two busy cores, 308 points), goal 10 s: "
        f"{'reached' if max(times) < 10 else 'missed'}."
    )


def dense_likelihood(gp: VectorFieldGP, index: np.ndarray, y: np.ndarray) -> Callable[[], torch.Tensor]:
    """One value and slope by the N x N covariance of the components."""
    features = gp.modes[index].reshape(-1, gp.modes.shape[2])
    target = torch.as_tensor(y).reshape(-1) / gp.scale

    def call() -> torch.Tensor:
        raw = gp.parameters.raw().requires_grad_(True)
        k = (features * gp.weights(raw)) @ features.T + torch.exp(raw[3]) * torch.eye(len(target), dtype=torch.float64)
        value = torch.distributions.MultivariateNormal(torch.zeros_like(target), k).log_prob(target)
        value.backward()
        return value.detach()

    return call


def features_likelihood(gp: VectorFieldGP) -> Callable[[], torch.Tensor]:
    def call() -> torch.Tensor:
        raw = gp.parameters.raw().requires_grad_(True)
        value = gp.log_likelihood(raw)
        value.backward()
        return value.detach()

    return call


def row(n: int, last: float | None) -> tuple[str, float]:
    """One line of the table, and the seconds of everything."""
    points = blob(n)
    start = time.perf_counter()
    m = VectorManifold.from_points(points)
    values, modes = m.vector_modes(MODES)
    field = ambient(m, 0)
    known = np.random.default_rng(0).permutation(n)[: n // 2]
    gp = VectorFieldGP(values, modes).fit(known, field[known])
    gp.predict(np.arange(n))
    whole = time.perf_counter() - start
    slow = {"dense": lambda: np.linalg.eigh(m.laplacian.toarray()), "sparse": lambda: m.vector_modes(MODES)}
    spectrum = likelihood = error = "not run"
    if n <= DENSE:
        spectrum = ratio(interleaved(slow, 0.0, least=2, warm=0), "dense", "sparse", 1)
        small = VectorFieldGP(values, modes, start=gp.parameters, optimise=False).fit(known[:600], field[known[:600]])
        pair = {
            "dense": dense_likelihood(small, known[:600], field[known[:600]]),
            "features": features_likelihood(small),
        }
        a, b = (float(f()) for f in pair.values())
        error = f"{abs(a - b) / abs(a):.0e}"
        likelihood = ratio(interleaved(pair, 2.0, least=3, warm=1), "dense", "features", 1)
    growth = "" if last is None else f"{whole / last:.1f}"
    return f"| {n} | {growth} | {spectrum} | {likelihood} | {error} |", whole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[312, 625, 1250, 2500, 5000])
    parser.add_argument("--no-write", action="store_true", help="print only, leave rvgp.md alone")
    args = parser.parse_args()
    shared = idle_or_not()
    row(200, None)  # what is imported and allocated once
    first = bunny()
    lines, last = [], None
    for n in args.sizes:
        line, last = row(n, last)
        lines.append(line)
    head = [
        "# Vector-field Gaussian process: time by the number of points",
        "",
        f"`python scripts/speed/rvgp.py`, float64, one CPU thread. {shared}",
        "",
        first,
        "",
        f"A closed surface, half of its points known, {MODES} modes; whole: graph, frames, modes, search, prediction; "
        f"ratios of medians (of minima), above 1: ours is faster. Likelihoods of at most 600 points; dense up to {DENSE} points.",
        "",
        "| points | whole over the row above | dense modes / sparse modes | likelihood and slope: dense / features | relative difference |",
        "|---|---|---|---|---|",
        *lines,
        "",
        f"{args.sizes[-1]} points, all of it: {'under' if last is not None and last < 60 else 'over'} a minute.",
    ]
    publish(head, __file__, write=not args.no_write)


if __name__ == "__main__":
    main()
