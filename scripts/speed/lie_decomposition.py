"""Cost of the Lie-group network beside a plain one. Run: python scripts/speed/lie_decomposition.py

Training steps (forward and backward, float32, one thread) of the network at its reduced scale, interleaved after a warm-up, against

- same parameters: the plain network with as many parameters, the baseline of the experiments;
- same convolutions: a plain network whose channels are (channels) x (samples), which sums the same products in its convolutions
  and so shows what the kernels themselves cost.

Peer and ours compute different functions; what is compared is the price of the group.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before the numerical libraries are loaded

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from models.geometry import lie  # noqa: E402
from models.lie_decomposition.network import LieNetwork, PlainNetwork, count, matched_channels  # noqa: E402
from scripts.speed.timing import interleaved, publish, ratio  # noqa: E402


def step(net: nn.Module, x: torch.Tensor) -> Callable[[], object]:
    def run() -> None:
        net.zero_grad()
        net(x).square().mean().backward()

    return run


def row(group: str, channels: int, samples: int, size: int, batch: int, seconds: float) -> str:
    torch.manual_seed(0)
    net = LieNetwork(1, 10, group=group, channels=channels, samples=samples, width=24)
    options = {"blocks": 1, "kernel": 5, "head": 256}
    c = matched_channels(count(net), 1, 10, **options)
    x = torch.randn(batch, 1, size, size)
    nets = {
        "ours": net,
        "parameters": PlainNetwork(1, 10, channels=c),
        "products": PlainNetwork(1, 10, channels=channels * samples),
    }
    times = interleaved({name: step(n, x) for name, n in nets.items()}, seconds)
    ratios = [ratio(times, "ours", name) for name in ("parameters", "products")]
    return f"| {group} | {channels} | {samples} | {size} | {batch} | {ratios[0]} | {ratios[1]} |"


def polar_row(n: int, count_: int, seconds: float) -> str:
    """The batched polar decomposition against scipy's, one matrix at a time, and their largest difference."""
    from scipy.linalg import polar

    generator = torch.Generator().manual_seed(n)
    g = torch.randn(count_, n, n, dtype=torch.float64, generator=generator)
    g[torch.linalg.det(g) < 0, 0] *= -1
    arrays = list(g.numpy())
    times = interleaved(
        {"scipy": lambda: [polar(a, side="left") for a in arrays], "ours": lambda: lie.polar(g)}, seconds
    )
    error = max(
        float((lie.polar(g).r[k] - torch.from_numpy(polar(a, side="left")[0])).abs().max())
        for k, a in enumerate(arrays)
    )
    return f"| {n} | {count_} | {ratio(times, 'scipy', 'ours')} | {error:.0e} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=6.0, help="time per comparison")
    parser.add_argument("--no-write", action="store_true", help="print only, leave lie_decomposition.md alone")
    args = parser.parse_args()
    torch.set_num_threads(1)
    lines = [
        "# Lie-group convolutions: cost beside plain ones",
        "",
        (
            f"`python scripts/speed/lie_decomposition.py`, float32, one CPU thread, torch {torch.__version__}, training steps. "
            "Ratios of medians (of minima in brackets); above 1 the group network takes longer."
        ),
        "",
        "| group | channels | samples | pixels | batch | against equal parameters | against equal convolutions |",
        "|---|---|---|---|---|---|---|",
        *(row(g, 8, m, 18, 16, args.seconds) for g in ("sl2", "gl2") for m in (6, 12)),
        "",
        "## Polar decompositions, float64, against scipy one by one",
        "",
        "| n | matrices | scipy / ours | largest difference of R |",
        "|---|---|---|---|",
        *(polar_row(n, 400, args.seconds / 3) for n in (2, 3)),
    ]
    publish(lines, __file__, write=not args.no_write)


if __name__ == "__main__":
    main()
