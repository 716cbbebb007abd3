"""Cost of frame averaging against the backbone alone. Run: python scripts/speed/frame_averaging.py

- wrapper / |F| calls: one call of the wrapper on B clouds against |F| calls of the backbone on the same B clouds;
- wrapper / loop: the wrapper against a loop over frames that calls the backbone once for each (same result, error stated);
- frame part: share of the wrapper's time that covariance and eigenvectors take;
- graphs: the average over all frames of the 853 graphs in one batch against a loop over graphs.

One process, one thread, float32, evaluation and training step (forward and backward), candidates interleaved after a warm-up,
ratios of medians (of minima).
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before the numerical libraries are loaded

import argparse
import statistics
import sys
from pathlib import Path

import torch
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from datasets.graphs.sets import connected_seven  # noqa: E402
from models.geometry.frames import FrameAveraging, euclidean_frames, from_frames, to_frames  # noqa: E402
from models.geometry.graph_frames import PermutationFrameAveraging  # noqa: E402
from models.nn.dgcnn import DGCNN  # noqa: E402
from models.nn.gin import GIN  # noqa: E402
from models.nn.pointnet import PointNet  # noqa: E402
from scripts.speed.timing import interleaved, publish, ratio  # noqa: E402


def step(f, net: nn.Module, backward: bool):
    """The call, followed by the gradient of the sum of squares where `backward`."""

    def run() -> Tensor:
        if not backward:
            with torch.no_grad():
                return f()
        net.zero_grad()
        y = f()
        y.square().sum().backward()
        return y.detach()

    return run


def cloud_row(name: str, net: nn.Module, group: str, clouds: int, n: int, backward: bool, seconds: float) -> str:
    net.eval()
    x = torch.randn(clouds, n, 3) * torch.tensor([1.0, 1.5, 2.5])
    wrapper = FrameAveraging(net, group, "equivariant", on_degenerate="ignore")
    size = euclidean_frames(x, group).rotation.shape[1]

    def calls() -> Tensor:
        return torch.stack([net(x) for _ in range(size)]).mean(0)

    def loop() -> Tensor:
        frames = euclidean_frames(x, group)
        framed = to_frames(frames, x)
        y = torch.stack([net(framed[:, k]) for k in range(size)], 1)
        return from_frames(frames, y).mean(1)

    with torch.no_grad():
        error = float((wrapper(x) - loop()).abs().max() / loop().abs().max())
    candidates = {"wrapper": wrapper_call(wrapper, x), "calls": calls, "loop": loop}
    runs = {k: step(f, net, backward) for k, f in candidates.items()}
    runs["frames"] = lambda: euclidean_frames(x, group)
    times = interleaved(runs, seconds)
    share = 100 * statistics.median(times["frames"]) / statistics.median(times["wrapper"])
    kind = "step" if backward else "forward"
    return (
        f"| {name} | {group} | {clouds} x {n} | {kind} | {ratio(times, 'wrapper', 'calls')} | "
        f"{ratio(times, 'wrapper', 'loop')} | {share:.1f} % | {error:.0e} |"
    )


def wrapper_call(wrapper: nn.Module, x: Tensor):
    return lambda: wrapper(x)


def graph_row(seconds: float) -> str:
    import numpy as np

    a = torch.as_tensor(np.stack(connected_seven()))[::20].float()
    wrapper = PermutationFrameAveraging(GIN(7, 0, 10, identity=True)).eval()
    with torch.no_grad():
        one = torch.cat([wrapper(g[None]) for g in a])
        error = float((wrapper(a) - one).abs().max() / one.abs().max())
        times = interleaved({"batch": lambda: wrapper(a), "loop": lambda: [wrapper(g[None]) for g in a]}, seconds)
    return f"| {len(a)} graphs | {ratio(times, 'loop', 'batch')} | {error:.0e} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4.0, help="time per comparison")
    parser.add_argument("--no-write", action="store_true", help="print only, leave frame_averaging.md alone")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    small = {"per_point": True, "norm": False, "head": (128, 64), "skip": [1]}
    lines = [
        "# Frame averaging: cost against the backbone",
        "",
        f"`python scripts/speed/frame_averaging.py`, float32, one CPU thread, torch {torch.__version__}. Ratios of medians (of minima).",
        "",
        "| backbone | group | clouds x points | what | wrapper / F calls | wrapper / loop over frames | frame part | relative difference |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for clouds, n in ((20, 128), (32, 512)):
        for backward in (False, True):
            lines.append(cloud_row("PointNet", PointNet(3, **small), "E(3)", clouds, n, backward, args.seconds))
    lines.append(cloud_row("PointNet", PointNet(3, **small), "SE(3)", 20, 128, False, args.seconds))
    lines.append(cloud_row("DGCNN", DGCNN(3, per_point=True, norm=False, k=16), "E(3)", 8, 128, False, args.seconds))
    lines += [
        "",
        "| permutation frames, all elements | loop over graphs / batch | relative difference |",
        "|---|---|---|",
    ]
    lines.append(graph_row(args.seconds))
    publish(lines, __file__, write=not args.no_write)


if __name__ == "__main__":
    main()
