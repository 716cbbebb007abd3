"""Cost of the processes of mesh-morphing Gaussian processes. Run: python scripts/speed/mmgp.py

One value and slope of the marginal likelihoods of m outputs with a Matern-5/2 kernel and a length for each of 15 inputs, in one batch,
against scikit-learn's regressor, output by output; and whole fits from the same start to the same bounds.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before the numerical libraries are loaded

import argparse
import sys
import warnings
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from models.geometry.gaussian_process import BOUNDS, MaternProcesses  # noqa: E402
from scripts.speed.timing import idle_or_not, interleaved, publish, ratio  # noqa: E402

INPUTS = 15


def data(n: int, outputs: int) -> tuple[np.ndarray, np.ndarray]:
    """Smooth functions of standardised inputs."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((n, INPUTS))
    y = np.sin(x @ rng.standard_normal((INPUTS, outputs)) / 3) + 0.01 * rng.standard_normal((n, outputs))
    return x, (y - y.mean(0)) / y.std(0)


def peers(x: np.ndarray, y: np.ndarray, optimizer: str | None) -> list:
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    limits = {k: tuple(np.exp(v)) for k, v in BOUNDS.items()}
    start = np.full(INPUTS, np.sqrt(INPUTS))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [
            GaussianProcessRegressor(
                ConstantKernel(1.0, limits["scale"]) * Matern(start, limits["length"], nu=2.5)
                + WhiteKernel(1e-2, limits["noise"]),
                optimizer=optimizer,
            ).fit(x, y[:, k])
            for k in range(y.shape[1])
        ]


def slopes(x: np.ndarray, y: np.ndarray) -> str:
    """Ratio of one value and slope, and the largest relative difference of the values."""
    ours = MaternProcesses()
    ours.x, ours.y, ours.group = torch.as_tensor(x), torch.as_tensor(y), torch.arange(y.shape[1])
    theta = np.tile(np.log([np.sqrt(INPUTS)] * INPUTS + [1.0, 1e-2]), (y.shape[1], 1))
    theirs = peers(x, y, None)
    order = theirs[0].kernel_.theta  # scikit-learn's own order of the same numbers
    value = ours.log_likelihood(torch.as_tensor(theta)).numpy()
    other = np.array([m.log_marginal_likelihood(order) for m in theirs])
    pair = {
        "scikit-learn": lambda: [m.log_marginal_likelihood(order, eval_gradient=True) for m in theirs],
        "batch": lambda: ours.value_and_slope(theta),
    }
    spent = interleaved(pair, 3.0, least=3, warm=1)
    return f"{ratio(spent, 'scikit-learn', 'batch', 1)} | {np.max(np.abs(value - other) / np.abs(other)):.0e}"


def fits(x: np.ndarray, y: np.ndarray) -> str:
    """Ratio of whole fits, and the likelihoods reached, ours minus scikit-learn's, mean over outputs."""
    ours = MaternProcesses(restarts=0, steps=300).fit(x, y)
    gain = float(ours.log_likelihood(ours.theta).mean()) - np.mean(
        [m.log_marginal_likelihood_value_ for m in peers(x, y, "fmin_l_bfgs_b")]
    )
    pair = {
        "scikit-learn": lambda: peers(x, y, "fmin_l_bfgs_b"),
        "batch": lambda: MaternProcesses(restarts=0, steps=300).fit(x, y),
    }
    return f"{ratio(interleaved(pair, 0.0, least=1, warm=0), 'scikit-learn', 'batch', 1)} | {gain:+.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--no-write", action="store_true", help="print only, leave mmgp.md alone")
    args = parser.parse_args()
    shared = idle_or_not()
    rows = []
    for n, outputs in ((50, 8), (100, 8), (100, 24), (100, 50), (200, 24)):
        x, y = data(n, outputs)
        whole = fits(x, y) if (n, outputs) == (100, 24) else "not run | not run"
        rows.append(f"| {n} | {outputs} | {slopes(x, y)} | {whole} |")
    lines = [
        "# Processes of mesh-morphing Gaussian processes: one batch against scikit-learn",
        "",
        f"`python scripts/speed/mmgp.py`, float64, one CPU thread. {shared} Ratios of medians (of minima), above 1: the batch is faster.",
        "",
        "| samples | outputs | value, slope: scikit-learn / batch | relative difference | fit: the same | likelihood, ours minus theirs |",
        "|---|---|---|---|---|---|",
        *rows,
    ]
    publish(lines, __file__, write=not args.no_write)


if __name__ == "__main__":
    main()
