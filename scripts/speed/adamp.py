"""Speed of AdamP and SGDP on the parameters of ResNet-18. Run: python scripts/speed/adamp.py

Candidates (float32, one thread, one step on given gradients; the gradients of convolutions are orthogonal to their weights, and the
step size is so small that they stay so, hence every convolution is projected in every step, as behind batch normalisation, and
the linear layer is not):

- per parameter: `AdamP(foreach=False)`, tensor by tensor, as the equations are written (so does the released code);
- foreach: `AdamP(foreach=True)`;
- Adam foreach, Adam fused: torch.optim.Adam.

Candidates take turns after a warm-up; times are processor seconds of the thread, which other programs on the machine disturb least. The
table gives ratios of medians (of minima), and the largest difference of the weights after
three steps in float64.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before the numerical libraries are loaded

import argparse
import sys
import time
from pathlib import Path

import torch
from torch import nn

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from models.adamp import SGDP, AdamP  # noqa: E402
from models.image_classifier.norms import factory  # noqa: E402
from models.nn.convnets import BasicBlock, ResNet  # noqa: E402
from scripts.speed.timing import interleaved, publish, ratio  # noqa: E402


def parameters(dtype: torch.dtype) -> list[nn.Parameter]:
    """Weights of ResNet-18 with 1000 classes and fixed gradients; those of convolutions are orthogonal to each row."""
    torch.manual_seed(0)
    net = ResNet(3, factory("bn_relu"), BasicBlock, (2, 2, 2, 2))
    params = [nn.Parameter(p.detach().to(dtype)) for p in [*net.parameters(), *nn.Linear(512, 1000).parameters()]]
    for p in params:
        g = 0.01 * torch.randn(p.shape, dtype=dtype)
        if p.dim() == 4:
            rows, w = g.flatten(1), p.detach().flatten(1)
            g = (rows - w * ((rows * w).sum(1, keepdim=True) / w.square().sum(1, keepdim=True))).view_as(p)
        p.grad = g
    return params


def candidates(dtype: torch.dtype = torch.float32, lr: float = 1e-9) -> dict[str, torch.optim.Optimizer]:
    options = {"lr": lr, "weight_decay": 1e-2}
    return {
        "AdamP per parameter": AdamP(parameters(dtype), **options, foreach=False),
        "AdamP foreach": AdamP(parameters(dtype), **options),
        "Adam foreach": torch.optim.Adam(parameters(dtype), lr=lr, foreach=True),
        "Adam fused": torch.optim.Adam(parameters(dtype), lr=lr, fused=True),
        "SGDP per parameter": SGDP(parameters(dtype), momentum=0.9, **options, foreach=False),
        "SGDP foreach": SGDP(parameters(dtype), momentum=0.9, **options),
        "SGD foreach": torch.optim.SGD(parameters(dtype), lr=lr, momentum=0.9, weight_decay=1e-2, foreach=True),
    }


def difference(a: torch.optim.Optimizer, b: torch.optim.Optimizer) -> float:
    """Largest difference of the weights after three steps."""
    for _ in range(3):
        a.step()
        b.step()
    pairs = zip(a.param_groups[0]["params"], b.param_groups[0]["params"], strict=True)
    return max(float((p - q).detach().abs().max()) for p, q in pairs)


def measure(rounds: int) -> dict[str, list[float]]:
    """Processor seconds of each step by candidate, after three steps of warm-up."""
    optimisers = candidates()
    times = interleaved({name: o.step for name, o in optimisers.items()}, 0.0, time.thread_time, least=rounds, warm=3)
    for name, o in optimisers.items():
        if isinstance(o, AdamP | SGDP):
            for p, (channels, layer) in o.projected_steps().items():
                wanted = rounds + 3 if p.dim() == 4 else 0
                assert (channels, layer) == (wanted, 0), f"{name}: {channels} steps of {rounds + 3} were projected"
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=25, help="steps of each candidate")
    parser.add_argument("--no-write", action="store_true", help="print only, leave adamp.md alone")
    args = parser.parse_args()
    torch.set_num_threads(1)
    fresh = measure(args.rounds)
    double = candidates(torch.float64, lr=1e-3)
    error = {k: difference(double[f"{k} foreach"], double[f"{k} per parameter"]) for k in ("AdamP", "SGDP")}
    del double
    kept = measure(args.rounds)

    pairs = [
        ("AdamP per parameter", "AdamP foreach"),
        ("AdamP foreach", "Adam foreach"),
        ("AdamP foreach", "Adam fused"),
        ("Adam foreach", "Adam fused"),
        ("SGDP per parameter", "SGDP foreach"),
        ("SGDP foreach", "SGD foreach"),
    ]
    lines = [
        "# AdamP and SGDP: time of a step on the parameters of ResNet-18",
        "",
        f"`python scripts/speed/adamp.py`, float32, one CPU thread, torch {torch.__version__}. Ratios of medians (of minima).",
        "",
        "Every convolution is projected in every step, the linear layer never. In a fresh process large temporaries are new pages of "
        "memory each time; once larger blocks were freed, the allocator keeps pages and temporaries cost less.",
        "",
        "| time of | over time of | fresh process | allocator keeps pages |",
        "|---|---|---|---|",
        *(f"| {a} | {b} | {ratio(fresh, a, b)} | {ratio(kept, a, b)} |" for a, b in pairs),
        "",
        f"Largest difference of the weights after three steps, float64, foreach against per parameter: AdamP {error['AdamP']:.0e}, "
        f"SGDP {error['SGDP']:.0e}.",
    ]
    publish(lines, __file__, write=not args.no_write)


if __name__ == "__main__":
    main()
