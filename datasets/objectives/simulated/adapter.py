"""Draw the arrays and build the objective."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.schema import Arrays, Bundle, fingerprint
from datasets.objectives.simulated.config import Config
from datasets.objectives.task import Minimum
from models.geometry import objectives as o


def load(config: Config, *, fold: str, source: str, root: Path, cache: Path) -> Bundle:
    """`train` holds the drawn rows (x = A, y = b) or, for a function without data, its start; no test split.

    `meta`: `objective`; `start` (n,): ones for log-sum-exp and the linear residual, (-2, 2, ...) for Rosenbrock's functions,
    uniform on [0, 1] for Chebyshev's; `metric`: B = A^T A before centring for log-sum-exp (+ 1e-8 I for m < n), A^T A + 1e-8 I for
    the linear residual, otherwise None for I.
    """
    # the generator of the published experiments, so that a draw is the published one
    draw = np.random.RandomState(int(fold.removeprefix("draw")))
    n, start, metric, rows, target = config.n or 2, None, None, None, None
    m, mu = config.m or n, config.mu or 1.0
    if config.function == "log_sum_exp":
        rows = np.ascontiguousarray(draw.uniform(-1, 1, (n, m)).T)  # a_i are the columns of the drawn matrix
        target, start = draw.uniform(-1, 1, m), np.ones(n)
        objective, metric = o.LogSumExp(rows, target, mu), rows.T @ rows
        if m < n:  # singular
            metric += 1e-8 * np.eye(n)
    elif config.function == "linear_residual":
        rows, target, start = draw.uniform(-1, 1, (m, n)), draw.uniform(-1, 1, m), np.ones(n)
        objective, metric = o.LinearResidual(rows, target, config.p), rows.T @ rows + 1e-8 * np.eye(n)
    elif config.function == "rosenbrock":
        objective, start = o.Rosenbrock(n), np.resize([-2.0, 2.0], n)
    elif config.function == "rosenbrock_residual":
        objective, start = o.RosenbrockResidual(config.p), np.array([-2.0, 2.0])
    else:
        objective, start = o.ChebyshevResidual(n, config.p), draw.uniform(0, 1, n)
    return Bundle(
        kind="objective",
        train=Arrays(start[None] if rows is None else rows, target),
        val=None,
        test=None,
        n_out=0,
        shape=(n,),
        group=fold,
        origin="simulated",
        fingerprint=fingerprint(config.function, mu, config.p, start, rows, target),
        task=Minimum(known=True),
        card={"licence": config.licence, "source": "simulated as in the experiment; nothing is downloaded"},
        meta={"objective": objective, "start": start, "metric": metric},
    )
