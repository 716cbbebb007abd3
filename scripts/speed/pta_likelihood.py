"""Speed of the pulsar-timing likelihood beside a dense covariance. Run: python scripts/speed/pta_likelihood.py

Pulsars of 120 observations and 6 frequencies with red noise each and a Hellings-Downs background, one CPU thread, float64. The dense
candidate is given what does not depend on the parameters: the timing models are projected out beforehand (G^T F and G^T N G with G their
orthonormal complement), and what remains is to build G^T C G and to factor it, by LAPACK's Cholesky, or to invert it as older codes do.
Ours is called with one set of parameters, and with 64 at once; its construction is timed apart. Candidates take turns; the clock counts
this process' CPU time.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before the numerical libraries are loaded

import argparse
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from scipy.linalg import block_diag, cho_factor, cho_solve, null_space

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from datasets.pulsars.config import Config  # noqa: E402
from datasets.pulsars.simulate import simulate  # noqa: E402
from models.pta_flow.correlations import overlap  # noqa: E402
from models.pta_flow.likelihood import ArrayLikelihood  # noqa: E402
from models.pta_flow.projection import fourier, reduce  # noqa: E402
from models.pta_flow.spectra import log10_phi  # noqa: E402
from scripts.speed.timing import idle_or_not, interleaved, publish, ratio  # noqa: E402

BATCH = 64
COLUMNS = ("residuals", "sigma", "design", "times")
Dense = Callable[[np.ndarray, np.ndarray], float]


def dense(meta: dict, gamma: np.ndarray) -> tuple[Dense, Dense]:
    """ln N(G^T r; 0, G^T C G) of variances common (k,) and red (n, k), by Cholesky and by an inverse and a determinant."""
    f = torch.from_numpy(meta["frequencies"])
    complement = [null_space(p["design"].T) for p in meta["pulsars"]]
    basis = block_diag(
        *(
            g.T @ fourier(torch.from_numpy(p["times"]), f).numpy()
            for g, p in zip(complement, meta["pulsars"], strict=True)
        )
    )
    r = np.concatenate([g.T @ p["residuals"] for g, p in zip(complement, meta["pulsars"], strict=True)]) * 1e6
    noise = block_diag(
        *(g.T @ np.diag((p["sigma"] * 1e6) ** 2) @ g for g, p in zip(complement, meta["pulsars"], strict=True))
    )
    n, k = len(gamma), len(f)
    shift = len(r) * math.log(1e-6)

    def covariance(common: np.ndarray, red: np.ndarray) -> np.ndarray:
        phi = np.einsum("ab,k->akb", gamma, np.repeat(common, 2))
        phi[np.arange(n), :, np.arange(n)] += np.repeat(red, 2, axis=1)
        whole = np.zeros((n, 2 * k, n, 2 * k))
        whole[:, np.arange(2 * k), :, np.arange(2 * k)] = phi.transpose(1, 0, 2)
        return noise + basis @ (1e12 * whole.reshape(n * 2 * k, -1)) @ basis.T

    def by_cholesky(common: np.ndarray, red: np.ndarray) -> float:
        root = cho_factor(covariance(common, red), lower=True)
        log_det = 2 * np.log(np.diag(root[0])).sum()
        return -0.5 * (r @ cho_solve(root, r) + log_det + len(r) * math.log(2 * math.pi)) - shift

    def by_inverse(common: np.ndarray, red: np.ndarray) -> float:
        c = covariance(common, red)
        return -0.5 * (r @ np.linalg.inv(c) @ r + np.linalg.slogdet(c)[1] + len(r) * math.log(2 * math.pi)) - shift

    return by_cholesky, by_inverse


def row(pulsars: int, seconds: float) -> str:
    meta = simulate(Config(name="pulsars", pulsars=pulsars), np.random.default_rng(0))
    f, span = torch.from_numpy(meta["frequencies"]), meta["span"]
    start = time.process_time()
    reduced = [reduce(*(torch.from_numpy(p[c]) for c in COLUMNS), f) for p in meta["pulsars"]]
    gamma = overlap("hd", torch.from_numpy(np.stack([p["position"] for p in meta["pulsars"]])))
    likelihood = ArrayLikelihood(reduced, gamma)
    build = time.process_time() - start
    by_cholesky, by_inverse = dense(meta, gamma.numpy())
    rng = np.random.default_rng(1)
    theta = np.stack([rng.uniform(-15, -13.5, (BATCH, pulsars + 1)), rng.uniform(2, 5, (BATCH, pulsars + 1))], -1)
    phi = 10 ** log10_phi("power_law", f, span, torch.from_numpy(theta))
    common, red = phi[:, 0], phi[:, 1:]
    times = interleaved(
        {
            "ours": lambda: likelihood(common[:1], red[:1]),
            "batch": lambda: likelihood(common, red),
            "cholesky": lambda: by_cholesky(common[0].numpy(), red[0].numpy()),
            "inverse": lambda: by_inverse(common[0].numpy(), red[0].numpy()),
        },
        seconds,
        least=5,
        warm=1,
    )
    times["batch"] = [t / BATCH for t in times["batch"]]
    error = abs(float(likelihood(common[:1], red[:1])) - by_cholesky(common[0].numpy(), red[0].numpy()))
    once = build / float(np.median(times["ours"]))
    return (
        f"| {pulsars} | {pulsars * 117} | {ratio(times, 'cholesky', 'ours', 0)} | {ratio(times, 'inverse', 'ours', 0)} | "
        f"{ratio(times, 'cholesky', 'batch', 0)} | {error:.0e} | {once:.0f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=15.0, help="of each size")
    parser.add_argument("--no-write", action="store_true", help="print only, leave pta_likelihood.md alone")
    args = parser.parse_args()
    torch.set_num_threads(1)
    shared = idle_or_not()
    lines = [
        "# The likelihood of an array of pulsars: speed",
        "",
        f"`python scripts/speed/pta_likelihood.py`, float64, one CPU thread, torch {torch.__version__}, numpy {np.__version__}. CPU time, "
        f"ratios of medians (of minima in brackets); above 1 this project is faster. {shared}",
        "",
        f"120 observations of each pulsar, 6 frequencies, Hellings-Downs. Batches are of {BATCH} parameters, per parameter. The "
        "last column is the construction, once for a data set, in single evaluations.",
        "",
        "| pulsars | size of the covariance | dense, Cholesky / ours, goal 10 at 20 pulsars | dense, inverse / ours | "
        "Cholesky / ours in a batch | difference, nat | construction |",
        "|---|---|---|---|---|---|---|",
        *(row(n, args.seconds) for n in (5, 10, 20)),
    ]
    publish(lines, __file__, write=not args.no_write)


if __name__ == "__main__":
    main()
