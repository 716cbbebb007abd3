"""Cost of GNS beside the linear solves it needs. Run: python scripts/speed/gns_cost.py

Log-sum-exp, n = m, mu = 1, float64, one thread. Three candidates in turns: the run of the optimiser; a bare Newton method that makes
the same calls in the same order (for each iteration one Hessian, for each trial one linear solve, LAPACK's Cholesky of H + lambda B by
scipy.linalg.cho_factor and cho_solve, then one value and gradient); and the same order without the solves, the oracle alone. The ratio

    (GNS - oracle) / (bare - oracle)

is the cost of the method's iterations over the linear solves that they need; GNS / bare is the cost of the whole over its parts.
What the rule adds is one triangular solve per trial for ||g||_*, where B != I, and Python's own calls.

The last table runs the published sizes: n = m = 1000 (mu = 1) and Chebyshev's chain, d = 1000, in seconds, beside what the
authors' notebook printed on their machine: two machines, so these are no ratios.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before the numerical libraries are loaded

import statistics
import sys
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import scipy  # noqa: E402
from scipy.linalg import cho_factor, cho_solve  # noqa: E402

from datasets.objectives.simulated.adapter import load  # noqa: E402
from datasets.objectives.simulated.config import Config  # noqa: E402
from models.geometry.objectives.curvature import Metric  # noqa: E402
from models.geometry.objectives.trace import Goal, Trace  # noqa: E402
from models.gns.baselines import gradient, super_newton  # noqa: E402
from models.gns.newton import Problem, gns  # noqa: E402
from scripts.speed.timing import interleaved, ratio  # noqa: E402

SIZES, SECONDS = (100, 200, 400, 800), 15.0
PRINTED = {  # seconds, outputs of the official notebook on the authors' machine
    "log-sum-exp n = 1000, gns exact": 29.012,
    "log-sum-exp n = 1000, gns Gauss-Newton": 83.920,
    "log-sum-exp n = 1000, gradient in the norm B, 1000 iterations": 3.937,
    "Chebyshev d = 1000, super-universal Newton, 100 iterations": 328.608,
    "Chebyshev d = 1000, gns Gauss-Newton, 100 iterations": 87.134,
}


def problem(function: str, n: int, gap: float = 1e-8) -> Problem:
    config = Config(name=function, function=function, n=n, mu=1.0)
    b = load(config, fold="draw3124", source="simulated", root=Path(), cache=Path())
    f, metric = b.meta["objective"], Metric(b.meta["metric"], n)
    return Problem(f, b.meta["start"], metric, Goal(f.minimum, metric, gap))


def cost_row(n: int, seconds: float) -> str:
    p, trace, shifts = problem("log_sum_exp", n), Trace(), []
    gns(p, trace, 1000, watch=lambda step, gamma, shift: shifts.append(shift))
    f, x, metric = p.objective, p.start, p.metric.dense()
    h, g, shift = f.hessian(x), f.gradient(x), float(np.median(shifts))
    solve_error = np.abs(
        f.second_order(x, "exact").solve(shift, p.metric, g) - cho_solve(cho_factor(h + shift * metric), g)
    ).max()
    trials = [len(part) for part in np.array_split(np.arange(trace.n_solves), trace.iterations)]

    def bare(solve: bool = True) -> None:
        f.value_and_gradient(x)
        for count in trials:
            h = f.hessian(x)
            for _ in range(count):
                if solve:
                    cho_solve(cho_factor(h + shift * metric, lower=True, check_finite=False), g, check_finite=False)
                f.value_and_gradient(x)

    times = interleaved({"gns": lambda: gns(p, Trace(), 1000), "bare": bare, "oracle": lambda: bare(False)}, seconds)

    def rule(of: Callable[[list[float]], float]) -> float:
        whole, plain, oracle = (of(times[name]) for name in ("gns", "bare", "oracle"))
        return (whole - oracle) / (plain - oracle)

    return (
        f"| {n} | {trace.iterations} | {trace.n_solves} | {rule(statistics.median):.2f} ({rule(min):.2f}) "
        f"| {ratio(times, 'gns', 'bare')} | {solve_error / np.abs(g).max():.0e} |"
    )


def published() -> list[str]:
    lse, chain = problem("log_sum_exp", 1000), problem("chebyshev", 1000, gap=0.0)
    calls: list[Callable[[Trace], object]] = [
        lambda t: gns(lse, t, 1000),
        lambda t: gns(lse, t, 1000, curvature="gauss_newton"),
        lambda t: gradient(lse, t, 1000),
        lambda t: super_newton(chain, t, 100),
        lambda t: gns(chain, t, 100, curvature="gauss_newton"),
    ]
    lines = []
    for (name, printed), call in zip(PRINTED.items(), calls, strict=True):
        trace = Trace()
        call(trace)
        gap = trace.value[-1] - (lse if "log" in name else chain).objective.minimum
        lines.append(f"| {name} | {trace.iterations} | {gap:.1e} | {trace.seconds[-1]:.2f} | {printed:.1f} |")
    return lines


def main() -> None:
    print("# GNS: what an iteration costs beside its linear solve\n")
    print(
        "`python scripts/speed/gns_cost.py`, float64, one CPU thread, "
        f"numpy {np.__version__}, scipy {scipy.__version__}. Ratios of medians (of minima in brackets) of processor time, interleaved.\n"
    )
    print(
        "| n = m | iterations | solves | (GNS - oracle) / (bare - oracle) | GNS / bare | relative error of the solve |"
    )
    print("|---|---|---|---|---|---|")
    for n in SIZES:
        print(cost_row(n, SECONDS), flush=True)
    print("\n## The published sizes\n")
    print("| run | iterations | f - f* | seconds here | seconds printed by the authors |\n|---|---|---|---|---|")
    print("\n".join(published()))


if __name__ == "__main__":
    main()
