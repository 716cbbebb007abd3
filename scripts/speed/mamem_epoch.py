"""Speed of an epoch of the MAMEM network with GBW batch norm. Run: python scripts/speed/mamem_epoch.py

One epoch is 300 trials (8 channels, 125 samples) in batches of 30: forward, backward, update (float32 convolutions, float64 SPD
part, one thread, theta = 1). Candidates, from one set of initial weights, with the same optimiser:

- straightforward: the same network written plainly: convolutions in torch's default memory layout, then covariance, BiMap, GBW
  (`reference_gbw`), ReEig and LogEig one matrix at a time, an eigendecomposition for every function;
- plain SPD part: our front end before that SPD part;
- network: `SPDNetwork`;
- SPD layers: forward and backward of BiMap, norm, ReEig and LogEig alone, from covariances that ask for a gradient;
- update: the optimiser's step, mostly the exponential maps of M and G.

They run interleaved after a warm-up and are timed by CPU time of the one thread. The table gives ratios of medians (and of minima)
and the largest relative difference of the weights after that warm-up epoch.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before the numerical libraries are loaded

import argparse
import copy
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from models.nn.eeg_frontend import CovarianceFrontEnd  # noqa: E402
from models.nn.riemannian_sgd import MixedRiemannianSGD, manifold_groups  # noqa: E402
from models.spdnet.net import (  # noqa: E402
    RECTIFY,
    SIZES,
    SPDNetwork,
    normalisation,
)
from scripts.speed.reference_gbw import matrix_function, reference_gbw  # noqa: E402
from scripts.speed.timing import interleaved, publish, ratio  # noqa: E402

TRIALS, CHANNELS, SAMPLES, CLASSES, BATCH = 300, 8, 125, 5, 30


def plain_front(front: CovarianceFrontEnd, x: Tensor) -> Tensor:
    """The front end with the modules' weights in the default layout, one covariance at a time."""
    y = front.spatial_norm(front.spatial(x.unsqueeze(1).float()))
    y = front.temporal_norm(front.temporal(y)).squeeze(2).double()
    covariances = []
    for trial in y:
        centred = trial - trial.mean(1, keepdim=True)
        ridge = front.eps * torch.eye(len(trial), dtype=torch.float64)
        covariances.append(centred @ centred.T / (trial.shape[1] - 1) + ridge)
    return torch.stack(covariances)


def plain_head(net: SPDNetwork, cov: Tensor) -> Tensor:
    """BiMap, GBW, ReEig, LogEig and the classifier, one matrix at a time."""
    bimap, norm = net.blocks
    x = torch.stack([bimap.weight.T @ c @ bimap.weight for c in cov])
    x, mean, var = reference_gbw(x, norm.metric, norm.bias, norm.shift, norm.running_mean, norm.running_var)
    with torch.no_grad():
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(var)
    eps = RECTIFY
    out = []
    for xi in x:
        xi = matrix_function(xi, lambda w: w.clamp_min(eps), lambda w: (w > eps).double())
        out.append(matrix_function(xi, torch.log, torch.reciprocal).flatten())
    return net.classifier(torch.stack(out))


class Training:
    """A copy of the network with its optimiser; `epoch(scores)` runs one with another forward pass."""

    def __init__(self, net: SPDNetwork, channels_last: bool):
        self.net = copy.deepcopy(net)
        if not channels_last:
            self.net.front.to(memory_format=torch.contiguous_format)
        self.optimiser = MixedRiemannianSGD(manifold_groups(self.net))

    def epoch(self, scores: Callable[[SPDNetwork, Tensor], Tensor], x: Tensor, y: Tensor) -> None:
        self.net.train()
        for i in range(0, len(x), BATCH):
            self.optimiser.zero_grad()
            cross_entropy(scores(self.net, x[i : i + BATCH]), y[i : i + BATCH]).backward()
            self.optimiser.step()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=40.0, help="time of the whole comparison")
    parser.add_argument("--no-write", action="store_true", help="print only, leave mamem_epoch.md alone")
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    spatial, temporal, kernel, hidden = SIZES["ssvep"]
    norm = partial(normalisation, "gbw", theta=1.0, momentum=0.1, eps=1e-5, official_parity=False)
    net = SPDNetwork(CovarianceFrontEnd(CHANNELS, spatial, temporal, kernel), temporal, CLASSES, [hidden], norm)
    x, y = torch.randn(TRIALS, CHANNELS, SAMPLES), torch.arange(TRIALS) % CLASSES
    with torch.no_grad():
        cov = net.front(x)
    runs = {
        "straightforward": (Training(net, False), lambda n, b: plain_head(n, plain_front(n.front, b)), x),
        "plain SPD part": (Training(net, True), lambda n, b: plain_head(n, n.front(b)), x),
        "network": (Training(net, True), lambda n, b: n(b), x),
    }
    epochs: dict[str, Callable[[], object]] = {
        name: partial(t.epoch, scores, data, y) for name, (t, scores, data) in runs.items()
    }
    for name in ("straightforward", "network"):
        epochs[name]()
    pairs = zip(runs["straightforward"][0].net.parameters(), runs["network"][0].net.parameters(), strict=True)
    difference = max(float((a - b).detach().abs().max() / b.detach().abs().max()) for a, b in pairs if b.norm() > 1e-3)
    layers, trained = copy.deepcopy(net), runs["network"][0]
    weights = [p for p in layers.blocks.parameters() if p.requires_grad]

    def spd_layers() -> None:
        for i in range(0, TRIALS, BATCH):
            c = cov[i : i + BATCH].detach().requires_grad_()
            out = layers.log(layers.blocks(c))
            torch.autograd.grad(out, [c, *weights], torch.ones_like(out))

    def update() -> None:
        for _ in range(0, TRIALS, BATCH):
            trained.optimiser.step()

    times = interleaved({**epochs, "SPD layers": spd_layers, "update": update}, args.seconds)
    publish(
        [
            "# An epoch of the MAMEM network with GBW batch norm",
            "",
            f"`python scripts/speed/mamem_epoch.py`, one CPU thread, CPU time, torch {torch.__version__}. "
            f"Ratios of medians (of minima in brackets) over {len(times['network'])} epochs of each.",
            "",
            "| what | ratio | aim |",
            "|---|---|---|",
            f"| network / straightforward implementation | {ratio(times, 'network', 'straightforward')} | at most 0.6 |",
            f"| network / straightforward SPD part behind our front end | {ratio(times, 'network', 'plain SPD part')} | |",
            f"| SPD layers (forward and backward) / network | {ratio(times, 'SPD layers', 'network')} | below 0.25 |",
            f"| update of all parameters / network | {ratio(times, 'update', 'network')} | |",
            "",
            f"Weights after one epoch differ by at most {difference:.0e} of the largest of their tensor (the convolutions are float32).",
        ],
        __file__,
        write=not args.no_write,
    )


if __name__ == "__main__":
    main()
