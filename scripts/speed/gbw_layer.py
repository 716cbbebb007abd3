"""Speed of the GBW batch norm, Bures-Wasserstein distance and mean. Run: python scripts/speed/gbw_layer.py

Candidates of the layer (forward and backward, float64, one thread, training mode, theta = 1):

- reference: `reference_gbw`, one matrix at a time;
- batched: the same equations with batched eigen-functions, nothing shared between them;
- layer: `GBWBatchNorm`.

Candidates run interleaved after a warm-up; the table gives ratios of medians (and of minima) and the largest
relative difference of outputs and gradients. Distance and mean are compared with pyriemann at the accuracy
stated in the table.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before the numerical libraries are loaded

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from models.gbw_rbn.norm import GBWBatchNorm  # noqa: E402
from models.geometry import spd  # noqa: E402
from scripts.speed.reference_gbw import reference_gbw  # noqa: E402
from scripts.speed.timing import interleaved, publish, ratio  # noqa: E402

SIZES = [(30, 12), (30, 20), (30, 30), (64, 20), (128, 12), (30, 60)]


def random_spd(k: int, n: int, generator: torch.Generator, floor: float = 0.1) -> Tensor:
    """k random SPD matrices (k, n, n) with unit scale."""
    a = torch.randn(k, n, 2 * n, dtype=torch.float64, generator=generator)
    return a @ a.mT / (2 * n) + floor * torch.eye(n, dtype=torch.float64)


def batched_gbw(x: Tensor, metric: Tensor, bias: Tensor, shift: Tensor, eps: float = 1e-5) -> Tensor:
    """Training forward of theta = 1, batched, with a new eigendecomposition for every function."""
    eye = torch.eye(x.shape[-1], dtype=x.dtype)
    c, h = spd.inv_sqrtm(metric), spd.sqrtm(metric)
    z, base = c @ x @ c, c @ bias @ c
    b0 = z.mean(0)
    root, inverse = spd.sqrtm(b0), spd.inv_sqrtm(b0)
    s = spd.sqrtm(root @ z @ root).mean(0)
    mean = inverse @ s @ s @ inverse
    tangent = spd.bw_transport_to_identity(mean, spd.bw_log(mean, z))
    var = 0.25 * tangent.square().sum((-2, -1)).mean()
    log = 2 * (spd.absm(eye + tangent / 2) - eye)
    log = 2 * (spd.absm(eye + 0.5 * shift / (var + eps).sqrt() * log) - eye)
    return h @ spd.bw_exp(base, spd.bw_transport_from_identity(base, log)) @ h


def difference(a: list[Tensor], b: list[Tensor]) -> float:
    """Largest |a - b| relative to the largest |b| of each pair."""
    return max(float((u - v).detach().abs().max() / v.detach().abs().max()) for u, v in zip(a, b, strict=True))


def layer_row(k: int, n: int, seconds: float) -> str:
    """One line of the layer table."""
    generator = torch.Generator().manual_seed(n)
    layer = GBWBatchNorm(n)
    with torch.no_grad():
        layer.metric.copy_(random_spd(1, n, generator, 0.5)[0])
        layer.bias.copy_(random_spd(1, n, generator, 0.5)[0])
    x = random_spd(k, n, generator).requires_grad_()
    seed = spd.sym(torch.randn(k, n, n, dtype=torch.float64, generator=generator))
    inputs = [x, layer.metric, layer.bias, layer.shift]
    mean, var = layer.running_mean.clone(), layer.running_var.clone()

    def run(forward: Callable[[], Tensor]) -> list[Tensor]:
        out = forward()
        grads = torch.autograd.grad(out, inputs, seed)
        return [out.detach(), *(spd.sym(g) if g.dim() > 1 else g for g in grads)]

    forwards = {
        "reference": lambda: reference_gbw(*inputs, mean, var)[0],
        "batched": lambda: batched_gbw(*inputs),
        "layer": lambda: layer(x),
    }
    results = {name: run(f) for name, f in forwards.items()}
    error = max(
        difference(results["layer"], results["reference"]),
        difference(results["batched"], results["reference"]),
    )
    times = interleaved({name: (lambda f=f: run(f)) for name, f in forwards.items()}, seconds)
    ratios = [ratio(times, slow, "layer", 1) for slow in ("reference", "batched")]
    return f"| {k} | {n} | {ratios[0]} | {ratios[1]} | {error:.0e} |"


def pyriemann_rows(k: int, n: int, seconds: float) -> list[str]:
    """Distance and mean against pyriemann on the same arrays."""
    import numpy as np
    from pyriemann.geometry.distance import distance_wasserstein
    from pyriemann.geometry.mean import mean_wasserstein

    generator = torch.Generator().manual_seed(1)
    a, b = random_spd(k, n, generator), random_spd(k, n, generator)
    an, bn = a.numpy(), b.numpy()
    theirs, ours = distance_wasserstein(an, bn), spd.bw_distance(a, b).numpy()
    exact = np.array([_exact_distance(u, v) for u, v in zip(an, bn, strict=True)])
    times = interleaved(
        {"pyriemann": lambda: distance_wasserstein(an, bn), "ours": lambda: spd.bw_distance(a, b)}, seconds
    )
    rows = [
        (
            f"| distance | {k} | {n} | {ratio(times, 'pyriemann', 'ours', 1)} | "
            f"{np.abs(ours / exact - 1).max():.0e} | {np.abs(theirs / exact - 1).max():.0e} |"
        )
    ]
    limit = spd.bw_mean(a, n_iter=200, tol=1e-15)
    scale = float(limit.norm())
    # the loosest stopping rule of ours that is at least as accurate as pyriemann's default
    their_error = float((torch.from_numpy(mean_wasserstein(an)) - limit).norm()) / scale
    for exponent in range(4, 15):
        tol = 10.0**-exponent
        our_error = float((spd.bw_mean(a, tol=tol) - limit).norm()) / scale
        if our_error <= their_error:
            break
    times = interleaved({"pyriemann": lambda: mean_wasserstein(an), "ours": lambda: spd.bw_mean(a, tol=tol)}, seconds)
    rows.append(
        f"| mean (tol {tol:.0e}) | {k} | {n} | {ratio(times, 'pyriemann', 'ours', 1)} | {our_error:.0e} | "
        f"{their_error:.0e} |"
    )
    return rows


def _exact_distance(a, b) -> float:
    import numpy as np

    nuclear = np.linalg.svd(np.linalg.cholesky(a).T @ np.linalg.cholesky(b), compute_uv=False).sum()
    return float(np.sqrt(np.trace(a) + np.trace(b) - 2 * nuclear))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4.0, help="time per comparison")
    parser.add_argument("--no-write", action="store_true", help="print only, leave gbw_layer.md alone")
    args = parser.parse_args()
    torch.set_num_threads(1)
    lines = [
        "# GBW batch norm: how many times faster",
        "",
        (
            f"`python scripts/speed/gbw_layer.py`, float64, one CPU thread, torch {torch.__version__}. "
            "Ratios of medians (of minima in brackets)."
        ),
        "",
        "## Layer, forward and backward, training",
        "",
        "| batch | n | reference / layer | batched without sharing / layer | largest relative difference |",
        "|---|---|---|---|---|",
    ]
    lines += [layer_row(k, n, args.seconds) for k, n in SIZES]
    lines += [
        "",
        "## Bures-Wasserstein distance and mean against pyriemann",
        "",
        "| what | matrices | n | pyriemann / ours | our relative error | pyriemann's |",
        "|---|---|---|---|---|---|",
    ]
    lines += pyriemann_rows(64, 20, args.seconds)
    publish(lines, __file__, write=not args.no_write)


if __name__ == "__main__":
    main()
