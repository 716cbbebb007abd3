"""Time of a flow's posterior beside a Markov chain's, at equal accuracy. Run: python scripts/speed/pta_flow.py

Posterior of the two parameters of a Hellings-Downs background on simulated arrays of five pulsars, the pulsars' own noise known. The
flow is trained by reverse KL from Laplace's approximation, without a chain, and its draws are weighted by the likelihood. The chain
(emcee, two ensembles, burn-in included) is made longer by factors of two until its worse Hellinger distance to a long chain of other
seeds is at most the flow's, or it is as long as that one. CPU time of one thread, likelihood evaluations included on both sides.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before the numerical libraries are loaded

import argparse
import statistics
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from datasets.pulsars.config import Config as Array  # noqa: E402
from datasets.pulsars.simulate import simulate  # noqa: E402
from models.pta_flow.chains import run  # noqa: E402
from models.pta_flow.config import Config  # noqa: E402
from models.pta_flow.evidence import importance, laplace  # noqa: E402
from models.pta_flow.flow import PosteriorFlow  # noqa: E402
from models.pta_flow.hellinger import hellinger  # noqa: E402
from models.pta_flow.plugin import WIDEN  # noqa: E402
from models.pta_flow.posterior import Posterior, build  # noqa: E402
from scripts.speed.timing import idle_or_not, publish  # noqa: E402

WALKERS, DRAWS = 40, 10_000


def worst(posterior: Posterior, z: np.ndarray, reference: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Largest Hellinger distance over the background's parameters."""
    a, b = (posterior.prior.theta(torch.from_numpy(np.ascontiguousarray(v))).numpy() for v in (z, reference))
    return max(hellinger(a[:, i], b[:, i], 50, weights) for i in posterior.background)


def flow(posterior: Posterior, steps: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Draws (n, d), their weights, and the effective share."""
    torch.manual_seed(0)
    generator, mode = torch.Generator().manual_seed(0), laplace(posterior, 0)
    q = PosteriorFlow(mode.z, WIDEN * mode.cov, 2, [16, 16])
    q.fit_density(posterior, steps, 256, 1e-2, generator)
    with torch.no_grad():
        z = q.sample(DRAWS, generator)
        log_weight = (posterior.log_density(z) - q.log_prob(z)).numpy()
    return z.numpy(), np.exp(log_weight - log_weight.max()), importance(log_weight)[1]


def row(draw: int, steps: int, long: int) -> tuple[str, float]:
    meta = simulate(Array(name="pulsars"), np.random.default_rng([0, draw]))
    bundle, cfg = SimpleNamespace(kind="pulsar_array", meta=meta), Config(name="pta_flow", red_noise="known")
    posterior = build(bundle, cfg, "power_law")
    chain = run(posterior, WALKERS, long, 99)
    reference = np.concatenate([chain.thinned(i)[0].reshape(-1, posterior.d) for i in range(2)])
    posterior.evaluations, start = 0, time.process_time()
    z, weights, share = flow(posterior, steps)
    ours, calls = time.process_time() - start, posterior.evaluations
    goal = worst(posterior, z, reference, weights)
    length = 25
    while True:
        posterior.evaluations, start = 0, time.process_time()
        short = run(posterior, WALKERS, length, draw)
        theirs = time.process_time() - start
        found = worst(posterior, np.concatenate(list(short.z)).reshape(-1, posterior.d), reference)
        if found <= goal or length >= long:
            break
        length *= 2
    ratio = ours / theirs
    reached = f"{found:.3f}" + ("" if found <= goal else ", not reached")
    return (
        f"| {draw} | {goal:.3f} | {share:.2f} | {reached} | {length} | {calls / posterior.evaluations:.2f} | {ratio:.2f} |",
        ratio,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=3, help="simulated arrays")
    parser.add_argument("--steps", type=int, default=120, help="optimiser steps of the flow")
    parser.add_argument("--long", type=int, default=1600, help="steps of the long chain")
    parser.add_argument("--no-write", action="store_true", help="print only, leave pta_flow.md alone")
    args = parser.parse_args()
    torch.set_num_threads(1)
    shared = idle_or_not()
    rows = [row(draw, args.steps, args.long) for draw in range(args.draws)]
    lines = [
        "# A flow and a Markov chain at equal accuracy",
        "",
        f"`python scripts/speed/pta_flow.py`, float64, one CPU thread, torch {torch.__version__}. CPU time of the flow over that "
        f"of the chain: below 1 the flow is faster. {shared}",
        "",
        f"Two parameters. Flow: {args.steps} steps of reverse KL, {DRAWS:,} weighted draws. Distances are the worse of both parameters, "
        f"to a chain of 2 x {WALKERS} walkers and {args.long} steps.",
        "",
        "| array | flow's distance | effective share of its draws | chain's distance | its steps | evaluations, flow : chain | "
        "time, flow : chain |",
        "|---|---|---|---|---|---|---|",
        *(line for line, _ in rows),
        "",
        f"Median ratio of times: {statistics.median(r for _, r in rows):.2f}.",
    ]
    publish(lines, __file__, write=not args.no_write)


if __name__ == "__main__":
    main()
