"""A step of normalised logistic regression beside a bare pair of matrix-vector products. Run: python scripts/speed/lr_perceptron_step.py

Candidates, float64, one thread, interleaved after a warm-up: the pair z @ theta, w @ z in NumPy; one update of norm_lr_gd without
and with the curves (loss, gradient norm, accuracy at every step); and the same update written plainly with softmax(log_expit(-m)).
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before the numerical libraries are loaded

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
from scipy.special import log_expit, softmax  # noqa: E402

from models.lr_perceptron.algorithms import sweep, update  # noqa: E402
from scripts.speed.timing import interleaved, ratio  # noqa: E402

SIZES = ((1000, 100), (10_000, 100), (100_000, 100), (100_000, 20), (20_000, 1000))


def row(n: int, d: int, seconds: float = 8.0) -> str:
    draw = np.random.default_rng(0)
    z, theta, w = draw.normal(size=(n, d)), draw.normal(size=d) / np.sqrt(d), draw.normal(size=n)

    def step(curves: bool) -> np.ndarray:
        return update(z, theta, sweep(z, theta, "norm_lr_gd", curves), "norm_lr_gd", 1.0, 1)

    candidates = {
        "pair": lambda: (z @ theta, w @ z),
        "step": lambda: step(False),
        "curves": lambda: step(True),
        "plain": lambda: softmax(log_expit(-(z @ theta))) @ z,
    }
    error = np.abs(candidates["step"]() - candidates["plain"]()).max() / np.abs(candidates["plain"]()).max()
    times = interleaved(candidates, seconds, least=15)
    cells = [ratio(times, name, "pair") for name in ("step", "curves", "plain")]
    return f"| {n} | {d} | {' | '.join(cells)} | {error:.0e} |"


def main() -> None:
    print("# Normalised logistic regression: one step beside a bare pair of matrix-vector products\n")
    print(
        "`python scripts/speed/lr_perceptron_step.py`, float64, one CPU thread, "
        f"numpy {np.__version__}. Times over that of the pair: ratios of medians (of minima in brackets) of processor time, interleaved.\n"
    )
    print(
        "| n | d | step | step with curves | plain NumPy step | relative difference of the steps |\n|---|---|---|---|---|---|"
    )
    for n, d in SIZES:
        print(row(n, d), flush=True)


if __name__ == "__main__":
    main()
