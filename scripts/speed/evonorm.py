"""Speed of EvoNorm against batch normalisation and ReLU. Run: python scripts/speed/evonorm.py

Forward and backward, training mode, float32, one thread, sizes of a ResNet-18 on 32 x 32 images. Reference: eager BatchNorm2d and
ReLU. Candidates: EvoNorm-B0 and S0, eager and under torch.compile (compilation is timed apart), and timm's S0 and B0, eager.
Candidates take turns after a warm-up; times are processor seconds. Ratios of medians (of minima); accuracy is the largest relative
difference of compiled and eager gradients.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before the numerical libraries are loaded

import argparse
import functools
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from models.evonorm import EvoNormB0, EvoNormS0  # noqa: E402
from models.nn.torchvision_ops import cure  # noqa: E402

cure()
from timm.layers import EvoNorm2dB0, EvoNorm2dS0  # noqa: E402

from scripts.speed.timing import interleaved, publish, ratio  # noqa: E402

SIZES = [(32, 64, 32), (32, 128, 16), (32, 256, 8)]  # images, channels, height = width


def gradients(layer: Callable[[Tensor], Tensor], x: Tensor, seed: Tensor) -> Tensor:
    """Gradient by x of <layer(x), seed>; those of the parameters are computed with it."""
    x.grad = None
    layer(x).backward(seed)
    assert x.grad is not None
    return x.grad


def row(n: int, c: int, h: int, seconds: float) -> tuple[list[str], dict[str, float]]:
    torch.manual_seed(0)
    x, seed = torch.randn(n, c, h, h).requires_grad_(), torch.randn(n, c, h, h)
    layers: dict[str, Callable[[Tensor], Tensor]] = {
        "bn": nn.Sequential(nn.BatchNorm2d(c), nn.ReLU(inplace=True)),
        "B0 eager": EvoNormB0(c),
        "S0 eager": EvoNormS0(c),
        "B0 timm": EvoNorm2dB0(c),
        "S0 timm": EvoNorm2dS0(c),
    }
    compile_s, error = {}, {}
    for name, layer in (("B0", EvoNormB0(c)), ("S0", EvoNormS0(c))):
        torch._dynamo.reset()
        compiled = torch.compile(layer)
        start = time.perf_counter()
        got = gradients(compiled, x, seed).clone()
        compile_s[name] = time.perf_counter() - start
        plain = gradients(layers[f"{name} eager"], x, seed)
        error[name] = float((got - plain).abs().max() / plain.abs().max())
        layers[f"{name} compiled"] = compiled
    times = interleaved({name: functools.partial(gradients, layer, x, seed) for name, layer in layers.items()}, seconds)
    cells = [f"{n} x {c} x {h} x {h}"]
    for name in ("B0 eager", "B0 timm", "B0 compiled", "S0 eager", "S0 timm", "S0 compiled"):
        cells.append(ratio(times, name, "bn"))
    return [*cells, f"{max(error.values()):.0e}"], compile_s


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=15.0, help="time per size")
    parser.add_argument("--no-write", action="store_true", help="print only, leave evonorm.md alone")
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = [row(*size, args.seconds) for size in SIZES]
    names = ["size", "B0 eager", "B0 timm", "B0 compiled", "S0 eager", "S0 timm", "S0 compiled", "difference"]
    lines = [
        "# EvoNorm: time over that of eager BatchNorm2d + ReLU, forward and backward",
        "",
        f"`python scripts/speed/evonorm.py`, float32, one CPU thread, torch {torch.__version__}. Ratios of medians (of minima); "
        "difference: compiled against eager gradient, relative. Compilation is not in the ratios.",
        "",
        "| " + " | ".join(names) + " |",
        "|" + "---|" * len(names),
        *("| " + " | ".join(cells) + " |" for cells, _ in rows),
    ]
    publish(lines, __file__, write=not args.no_write)
    print("compilation (s):", ", ".join(f"{k} {v:.1f}" for _, c in rows for k, v in c.items()))


if __name__ == "__main__":
    main()
