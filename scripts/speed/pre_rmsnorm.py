"""Speed of Pre-RMSNorm and Pre-CRMSNorm against Pre-LN. Run: python scripts/speed/pre_rmsnorm.py

Candidates, float32, converted with deploy=True (plain layers, the norms' scale and offset folded into their readers):

- the norms alone: torch's LayerNorm (fused on a CPU), torch's rms_norm, RMSNorm and CRMSNorm of this project;
- timm's ViT-S/16 at 224 x 224, inference: the original (a LayerNorm in every block), Pre-RMSNorm, Pre-CRMSNorm, and, as a bound on
  what any norm can save, the original without norms (another function: timed only).

Eager, and torch.compile where a C++ compiler is present. Candidates run interleaved after a warm-up; compilation is not part of the
times. The tables give ratios of medians (of minima) to LayerNorm or to the original, and the largest difference of logits.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before the numerical libraries are loaded

import torch
from torch import Tensor, nn
from torch.nn.functional import rms_norm as torch_rms_norm

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from models.nn.torchvision_ops import cure  # noqa: E402
from models.pre_rmsnorm import CRMSNorm, RMSNorm, to_pre_crmsnorm, to_pre_rmsnorm  # noqa: E402
from scripts.speed.timing import interleaved, publish, ratio  # noqa: E402

WIDTH, TOKENS, EPS = 384, 197, 1e-6


def compiled(f: Callable, on: bool) -> Callable:
    return torch.compile(f, dynamic=False) if on else f


def norm_rows(seconds: float, compile: bool) -> list[str]:
    """One line per batch: each norm's time over LayerNorm's."""
    rows = []
    for batch in (1, 8, 32):
        x = torch.randn(batch, TOKENS, WIDTH)
        x = x - x.mean(-1, keepdim=True)
        short = x[..., :-1].contiguous()
        functions = {
            "LayerNorm": (nn.LayerNorm(WIDTH, EPS), x),
            "rms_norm": (lambda y: torch_rms_norm(y, (WIDTH,), None, EPS), x),
            "RMSNorm": (RMSNorm(WIDTH, EPS), x),
            "CRMSNorm": (CRMSNorm(WIDTH - 1, EPS), short),
        }
        calls = {}
        for name, (f, y) in functions.items():
            torch._dynamo.reset()
            g = compiled(f, compile)
            calls[name] = lambda g=g, y=y: [g(y) for _ in range(5)]
        times = interleaved(calls, seconds, time.perf_counter)
        mode = "compiled" if compile else "eager"
        cells = " | ".join(ratio(times, name, "LayerNorm", 3) for name in functions if name != "LayerNorm")
        rows.append(f"| {mode} | {batch} | {cells} |")
    return rows


def models() -> dict[str, nn.Module]:
    cure()
    import timm

    torch.manual_seed(0)
    original = timm.create_model("vit_small_patch16_224").eval()
    bare = timm.create_model("vit_small_patch16_224").eval()
    for module in list(bare.modules()):
        for name, child in module.named_children():
            if isinstance(child, nn.LayerNorm):
                setattr(module, name, nn.Identity())
    return {
        "original": original,
        "Pre-RMSNorm": to_pre_rmsnorm(original, deploy=True),
        "Pre-CRMSNorm": to_pre_crmsnorm(original, deploy=True),
        "no norm": bare,
    }


@torch.no_grad()
def model_rows(batches: list[int], seconds: float, compile: bool) -> list[str]:
    """One line per batch: each model's inference time over the original's."""
    made, rows = models(), []
    for batch in batches:
        x = torch.randn(batch, 3, 224, 224)
        calls: dict[str, Callable[[], Tensor]] = {}
        for name, model in made.items():
            f = compiled(model, compile)
            calls[name] = lambda f=f, x=x: f(x)
        expected = made["original"](x)
        gap = max(float((calls[n]() - expected).abs().max()) for n in ("Pre-RMSNorm", "Pre-CRMSNorm"))
        times = interleaved(calls, seconds, time.perf_counter)
        cells = " | ".join(ratio(times, name, "original", 3) for name in made if name != "original")
        calls_made = len(times["original"])
        rows.append(f"| {'compiled' if compile else 'eager'} | {batch} | {cells} | {gap:.0e} | {calls_made} |")
    return rows


def shown(rows: list[str]) -> list[str]:
    """The rows, printed at once: compiling takes minutes."""
    print(*rows, sep="\n", flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--seconds", type=float, default=60.0, help="time per comparison of models; norms take a twelfth"
    )
    parser.add_argument("--threads", type=int, default=1, help="threads of torch")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4], help="images per batch")
    parser.add_argument("--no-compile", action="store_true", help="eager only")
    parser.add_argument("--no-write", action="store_true", help="print only, leave pre_rmsnorm.md alone")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    compiler = shutil.which(os.environ.get("CXX", "g++"))
    modes = [False] + ([True] if compiler and not args.no_compile else [])
    lines = [
        "# Pre-RMSNorm and Pre-CRMSNorm: time over Pre-LN",
        "",
        f"`{' '.join(['python scripts/speed/pre_rmsnorm.py', *sys.argv[1:]])}`, "
        f"float32, CPU, {args.threads} thread(s), torch {torch.__version__}.",
        "Ratios of medians (of minima); below 1 is faster than LayerNorm, or than the original model.",
        "",
        f"## The norm alone, (batch, {TOKENS}, {WIDTH}), forward",
        "",
        "| mode | batch | torch's rms_norm | RMSNorm | CRMSNorm |",
        "|---|---|---|---|---|",
    ]
    for mode in modes:
        lines += shown(norm_rows(args.seconds / 12, mode))
    lines += [
        "",
        "## timm's ViT-S/16, 224 x 224, inference",
        "",
        "| mode | batch | Pre-RMSNorm | Pre-CRMSNorm | no norm (another function) | largest difference of logits | calls |",
        "|---|---|---|---|---|---|---|",
    ]
    for mode in modes:
        lines += shown(model_rows(args.batches, args.seconds, mode))
    if len(modes) == 1:
        lines += [
            "",
            "torch.compile was not timed: " + ("left out by --no-compile." if compiler else "no C++ compiler."),
        ]
    publish([*lines, "", *WHY], __file__, write=not args.no_write)


WHY = [
    "The model without norms does strictly less work than the others, so that its ratios above 1 are noise of the machine, and a ratio",
    "that is no farther from 1 than these shows no difference. A norm is a small share of a ViT-S on a CPU, where matrix products",
    "take nearly all of the time, so that no norm can save much. CRMSNorm needs a second reduction, its rows of 383 entries",
    "are not aligned.",
    "The paper's reductions of 1 % to 10 % are of GPUs in half precision, where norms are a larger share; none was timed here.",
]


if __name__ == "__main__":
    main()
