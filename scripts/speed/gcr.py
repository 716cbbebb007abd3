"""Speed of the Grassmann head, of its geodesic step, and of the generator of basis vectors. Run: python scripts/speed/gcr.py

- training step of ResNet-18 on 32 x 32 images (batch 128, 100 classes) with a Grassmann head (k = 8) against a linear head with SGD;
- the head alone (1000 classes, 512 features, k = 8, batch 128): forward, backward, update, against `nn.Linear` with SGD;
- the geodesic step of 1000 subspaces (512 x 8, float32) against the same step class by class, against the batched formula with a
  singular value decomposition, and against `torch.linalg.svd` of the batch alone;
- 1000 vectors in 512 dimensions to max |cos| .0351, and where the released recursion is after the same time.

Candidates take turns on one thread, each timed after a call of its own that is not. The clock counts this process' CPU time, so that
other work on the machine disturbs less (shared caches still do); the tables give ratios of medians (of minima).
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before the numerical libraries are loaded

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from models.ebv.basis import generate, official  # noqa: E402
from models.ebv.bounds import welch_bound  # noqa: E402
from models.gcr import GrassmannHead, GrassmannSGD  # noqa: E402
from models.geometry import grassmann  # noqa: E402
from models.image_classifier.norms import factory  # noqa: E402
from models.nn.convnets import BasicBlock, ResNet  # noqa: E402
from scripts.speed.timing import idle_or_not, interleaved, publish, ratio  # noqa: E402


def training_step(net: nn.Module, head: nn.Module, x: Tensor, y: Tensor) -> Callable[[], None]:
    """Forward, backward and update of a network with its head; SGD with momentum for all Euclidean weights."""
    subspaces = [head.weight] if isinstance(head, GrassmannHead) else []
    rest = [*net.parameters(), *(p for p in head.parameters() if not any(p is s for s in subspaces))]
    optimisers: list[torch.optim.Optimizer] = []
    if rest:
        optimisers.append(torch.optim.SGD(rest, lr=0.01, momentum=0.9, weight_decay=1e-4))
    if subspaces:
        optimisers.append(GrassmannSGD(subspaces, lr=0.01, momentum=0.9))

    def step() -> None:
        for o in optimisers:
            o.zero_grad()
        cross_entropy(head(net(x)), y).backward()
        for o in optimisers:
            o.step()

    return step


def network_row(repeats: int) -> str:
    x, y = torch.randn(128, 3, 32, 32), torch.randint(100, (128,))

    def made(head: nn.Module) -> Callable[[], None]:
        torch.manual_seed(0)
        return training_step(ResNet(3, factory("bn_relu"), BasicBlock, (2, 2, 2, 2), "cifar"), head, x, y)

    times = interleaved(
        {"linear": made(nn.Linear(512, 100)), "grassmann": made(GrassmannHead(512, 100, 8))},
        0.0,
        least=repeats,
        prime=True,
    )
    return f"| ResNet-18, 32 x 32, batch 128, K = 100, k = 8 | {ratio(times, 'grassmann', 'linear')} | 1.15 |"


def head_row(repeats: int) -> str:
    x, y = torch.randn(128, 512), torch.randint(1000, (128,))
    heads = {"linear": nn.Linear(512, 1000), "wide": nn.Linear(512, 8000), "grassmann": GrassmannHead(512, 1000, 8)}
    times = interleaved(
        {n: training_step(nn.Identity(), h, x, y) for n, h in heads.items()}, 0.0, least=repeats, prime=True
    )
    return (
        f"| head alone, K = 1000, D = 512, k = 8, batch 128 | {ratio(times, 'grassmann', 'linear')} | none stated; "
        f"{ratio(times, 'grassmann', 'wide')} x a linear head with as many weights |"
    )


def by_svd(s: Tensor, h: Tensor, t: float) -> Tensor:
    """The formula of the paper."""
    u, r, vt = torch.linalg.svd(h, full_matrices=False)
    return (s @ vt.mT * (t * r).cos().unsqueeze(-2) + u * (t * r).sin().unsqueeze(-2)) @ vt


def geodesic_rows(repeats: int) -> list[str]:
    generator = torch.Generator().manual_seed(0)
    b = grassmann.random_frames(1000, 512, 8, generator).mT.contiguous()
    d = torch.randn(1000, 8, 512, generator=generator) / 20
    w, s, g = b.clone(), b.mT, d.mT

    def loop(clean: bool) -> Tensor:
        out = (by_svd(s[c], grassmann.tangent(s[c], g[c]), -0.1) for c in range(len(s)))
        return torch.stack([torch.linalg.qr(q)[0] if clean else q for q in out])

    def batched(clean: bool) -> Tensor:
        out = by_svd(s, grassmann.tangent(s, g), -0.1)
        return torch.linalg.qr(out)[0] if clean else out

    def ours(clean: bool) -> None:
        grassmann.step_(w, d, -0.1, clean=clean)

    candidates: dict[str, Callable[[], object]] = {"svd": lambda: torch.linalg.svd(g, full_matrices=False)}
    for name, f in (("loop", loop), ("batched", batched), ("ours", ours)):
        for clean in (False, True):
            candidates[f"{name} {clean}"] = lambda f=f, clean=clean: f(clean)
    times = interleaved(candidates, 0.0, least=repeats, prime=True)
    grassmann.step_(w.copy_(b), d, -0.1)
    sd, hd = s.double(), grassmann.tangent(s, g).double()
    exact = grassmann.projector(by_svd(sd[:50], hd[:50], -0.1))
    error = float((grassmann.projector(w[:50].mT.double()) - exact).abs().max())
    theirs = float((grassmann.projector(batched(False)[:50].double()) - exact).abs().max())

    def line(name: str, what: str, goals: tuple[str, str], mistake: float) -> str:
        ratios = [
            f"{ratio(times, f'{name} {clean}', f'ours {clean}')}{goal}"
            for clean, goal in zip((False, True), goals, strict=True)
        ]
        return f"| {what} | {ratios[0]} | {ratios[1]} | {mistake:.0e} |"

    alone = [f"{ratio(times, 'svd', f'ours {clean}')}{goal}" for clean, goal in ((False, ", goal 1"), (True, ""))]
    return [
        line("loop", "class by class, SVD (and QR)", (", goal 5", ""), theirs),
        line("batched", "batched, SVD (and QR)", ("", ""), theirs),
        f"| torch.linalg.svd of the batch alone | {alone[0]} | {alone[1]} | |",
        f"| this step: Gram matrix (and Cholesky factor) | 1 | 1 | {error:.0e} |",
    ]


def basis_rows() -> list[str]:
    start = time.process_time()
    ours = generate(1000, 512, 0.0351)
    spent = time.process_time() - start
    steps, start = 0, time.process_time()
    while time.process_time() - start < spent:  # how many steps of the recursion fit into the same time
        steps += 5
        official(1000, 512, 0.0351, steps=5)
    theirs = official(1000, 512, 0.0351, steps=steps)
    return [
        f"| Adam on the squared excess | {spent:.0f} | {ours.steps} | {ours.coherence:.4f} | {'yes' if ours.reached else 'no'} |",
        f"| released recursion, lr 1e-3 | {spent:.0f} | {theirs.steps} | {theirs.coherence:.4f} | {'yes' if theirs.reached else 'no'} |",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--repeats", type=int, default=5, help="timed calls of each candidate; a third of it for the network"
    )
    parser.add_argument("--no-write", action="store_true", help="print only, leave gcr.md alone")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    shared = idle_or_not()
    lines = [
        "# Grassmann head and equiangular basis vectors: speed",
        "",
        f"`python scripts/speed/gcr.py`, float32, one CPU thread, torch {torch.__version__}, {args.repeats} repeats. CPU time, ratios of "
        f"medians (of minima in brackets). {shared}",
        "",
        "## Training step: forward, backward, update",
        "",
        "| what | Grassmann / linear head | goal, at most |",
        "|---|---|---|",
        head_row(args.repeats),
        network_row(max(2, args.repeats // 3)),
        "",
        "## Geodesic step of 1000 subspaces, D = 512, k = 8",
        "",
        "| what | time over that of this step | both with re-orthonormalisation | largest error of a projector |",
        "|---|---|---|---|",
        *geodesic_rows(args.repeats),
        "",
        f"## 1000 vectors in 512 dimensions to max |cos| .0351 (Welch bound {welch_bound(1000, 512):.4f})",
        "",
        "| generator | CPU seconds (goal: below 60) | steps | max abs(cos) | reached |",
        "|---|---|---|---|---|",
        *basis_rows(),
    ]
    publish(lines, __file__, write=not args.no_write)


if __name__ == "__main__":
    main()
