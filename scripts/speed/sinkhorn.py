"""Speed of Sinkhorn's iterations beside the Python Optimal Transport library. Run: python scripts/speed/sinkhorn.py

Plans of (n, n) problems in float64, n up to 1024, at equal accuracy: POT's tolerance is on another norm, so it is lowered by tens until
its plan's marginals are at least as good as asked for, and no further. Problems: the projection of MLC, |C C^T| of unit vectors of
dimension 128 with the successor's eta, and of clustered ones of dimension 16; and transport between two clouds in the plane, where
convergence is slow. Also forward and backward: the implicit gradient against that through the log-domain iterations, both converged.

Candidates take turns on one thread, each timed after a call of its own that is not. The clock counts this process' CPU time; the
tables give ratios of medians (of minima).
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before the numerical libraries are loaded

import argparse
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from models.geometry.sinkhorn import potentials, sinkhorn, sinkhorn_steps  # noqa: E402
from scripts.speed.timing import idle_or_not, interleaved, publish, ratio  # noqa: E402

LOG_SIZE = 256  # POT's log-domain solver is timed up to this size: above, it takes many times as long


def problems(n: int) -> dict[str, tuple[Tensor, float]]:
    """Cost (n, n) float64 and epsilon."""
    g = torch.Generator().manual_seed(0)
    c = normalize(torch.randn(n, 128, generator=g, dtype=torch.float64), dim=1)
    groups = torch.randn(8, 16, generator=g, dtype=torch.float64).repeat(n // 8, 1)
    tight = normalize(groups + 0.5 * torch.randn(n, 16, generator=g, dtype=torch.float64), dim=1)
    x, y = torch.rand(2, n, 2, generator=g, dtype=torch.float64)
    return {
        "MLC, d = 128, eta = .175": (-(c @ c.T).abs(), 0.175),
        "MLC, clustered, d = 16, eta = .15": (-(tight @ tight.T).abs(), 0.15),
        "two clouds in the plane, epsilon = .02": (torch.cdist(x, y).square(), 0.02),
    }


def error(plan: np.ndarray) -> float:
    """Deviation of the marginals from 1 / n, 1-norm, the worse of both."""
    n = len(plan)
    return max(float(np.abs(plan.sum(axis) - 1 / n).sum()) for axis in (0, 1))


def row(name: str, cost: Tensor, epsilon: float, tol: float, repeats: int) -> str:
    import ot

    n = len(cost)
    a, mass, c = np.full(n, 1 / n), torch.full((n,), 1 / n, dtype=torch.float64), cost.numpy()

    def ours() -> np.ndarray:
        return potentials(cost, epsilon, mass, mass, tol=tol, steps=100_000).plan.numpy()

    def pot(method: str, stop: float) -> np.ndarray:
        return ot.sinkhorn(a, a, c, epsilon, method=method, stopThr=stop, numItermax=100_000, warn=False)

    def calibrated(method: str) -> Callable[[], np.ndarray]:
        stop = tol
        while error(pot(method, stop)) > tol and stop > 1e-16:
            stop /= 10
        return lambda: pot(method, stop)

    candidates = {"ours": ours, "pot": calibrated("sinkhorn")}
    if n <= LOG_SIZE:
        candidates["log"] = calibrated("sinkhorn_log")
    times = interleaved(candidates, 0.0, least=repeats, prime=True)
    log = ratio(times, "log", "ours") if n <= LOG_SIZE else "not timed"
    mine, theirs = ours(), candidates["pot"]()
    steps = potentials(cost, epsilon, mass, mass, tol=tol, steps=100_000).steps
    difference = float(np.abs(mine - theirs).max() * n)
    return (
        f"| {name} | {n} | {tol:.0e} | {ratio(times, 'pot', 'ours')} | {log} | {steps} | {error(mine):.0e} | {error(theirs):.0e} | "
        f"{difference:.0e} |"
    )


def torch_row(name: str, cost: Tensor, epsilon: float, tol: float, repeats: int) -> str:
    """Against POT's log-domain iterations on torch tensors, at equal accuracy; the exact assignment is where both go as epsilon falls."""
    import ot
    from scipy.optimize import linear_sum_assignment

    n = len(cost)
    mass = torch.full((n,), 1 / n, dtype=cost.dtype)

    def ours() -> Tensor:
        return potentials(cost, epsilon, mass, mass, tol=tol, steps=100_000).plan

    stop = tol

    def pot() -> Tensor:
        return ot.sinkhorn(
            mass, mass, cost, epsilon, method="sinkhorn_log", stopThr=stop, numItermax=100_000, warn=False
        )

    while error(pot().numpy()) > tol and stop > 1e-16:
        stop /= 10
    times = interleaved({"ours": ours, "pot": pot}, 0.0, least=repeats, warm=1)
    mine, theirs = ours(), pot()
    rows, columns = linear_sum_assignment(cost.numpy())
    exact = float(cost.numpy()[rows, columns].mean())
    above = (float((mine * cost).sum()) - exact) / (float(cost.mean()) - exact)
    return (
        f"| {name} | {n} | {tol:.0e} | {ratio(times, 'pot', 'ours')} | {error(mine.numpy()):.0e} | {error(theirs.numpy()):.0e} | "
        f"{float((mine - theirs).abs().max() * n):.0e} | {above:.3f} |"
    )


def gradient_row(name: str, cost: Tensor, epsilon: float, repeats: int) -> str:
    """Gradient of a fixed linear function of the plan."""
    w = torch.randn(cost.shape, generator=torch.Generator().manual_seed(1), dtype=cost.dtype)
    needed = 1
    while float((sinkhorn_steps(cost, epsilon, half_steps=needed).sum(0) - 1).abs().mean()) > 1e-6:
        needed += 4

    def gradient(plan: Callable[[Tensor], Tensor]) -> Tensor:
        c = cost.clone().requires_grad_()
        (plan(c) * w).sum().backward()
        assert c.grad is not None
        return c.grad

    def implicit() -> Tensor:
        return gradient(lambda c: sinkhorn(c, epsilon, tol=1e-6))

    def unrolled() -> Tensor:
        return gradient(lambda c: sinkhorn_steps(c, epsilon, half_steps=needed))

    times = interleaved({"implicit": implicit, "unrolled": unrolled}, 0.0, least=repeats, prime=True)
    difference = float((implicit() - unrolled()).abs().max() / implicit().abs().max())
    return f"| {name} | {len(cost)} | {needed} | {ratio(times, 'unrolled', 'implicit')} | {difference:.0e} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5, help="timed calls of each candidate")
    parser.add_argument("--no-write", action="store_true", help="print only, leave sinkhorn.md alone")
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    import ot

    torch.set_num_threads(1)
    shared = idle_or_not()
    lines = [
        "# Sinkhorn's iterations: speed",
        "",
        f"`python scripts/speed/sinkhorn.py`, float64, one CPU thread, torch {torch.__version__}, POT {ot.__version__}, {args.repeats} "
        f"repeats. CPU time, ratios of medians (of minima in brackets); above 1 this project is faster. {shared}",
        "",
        "## Plans",
        "",
        "| problem | n | accuracy | POT `sinkhorn` / ours, goal 1 | POT `sinkhorn_log` / ours | our iterations | our marginals | POT's | "
        "largest difference, in units of 1 / n |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for n in (256, 1024):
        for name, (cost, epsilon) in problems(n).items():
            lines += [row(name, cost, epsilon, tol, args.repeats) for tol in (1e-6, 1e-9)]
    lines += [
        "",
        "## POT on torch tensors, log domain",
        "",
        "Last column: how far the plan's cost is from the exact assignment's (0) towards that of the independent plan (1).",
        "",
        "| problem | n | accuracy | POT `sinkhorn_log`, torch / ours, goal 3 | our marginals | POT's | largest difference, units of 1 / n "
        "| above the assignment |",
        "|---|---|---|---|---|---|---|---|",
        *(
            torch_row(name, cost[:500, :500], epsilon, 1e-6, max(2, args.repeats // 2))
            for name, (cost, epsilon) in problems(512).items()
        ),
        "",
        "## Plan and its gradient",
        "",
        "| problem | n | half-iterations of the unrolled one | unrolled / implicit | relative difference |",
        "|---|---|---|---|---|",
        *(gradient_row(name, *problems(256)[name], args.repeats) for name in problems(256)),
    ]
    publish(lines, __file__, write=not args.no_write)


if __name__ == "__main__":
    main()
