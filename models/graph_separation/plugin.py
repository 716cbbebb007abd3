"""The separation test as a method of the harness."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.schema import Bundle, Metric, Result, SolverMethod
from models.geometry.equivariance import permutation_errors
from models.geometry.graph_frames import PermutationFrameAveraging, frame_sizes
from models.graph_separation.config import Config
from models.graph_separation.refinement import pairs_within, wl_classes
from models.nn.gin import GIN, GraphMLP

EMBEDDING = 10


class GraphSeparation(SolverMethod):
    cfg: Config

    def skip(self, bundle: Bundle) -> str | None:
        if self.cfg.average == "frame" and not self.cfg.samples and bundle.shape[0] > 8:
            return f"graphs of up to {bundle.shape[0]} vertices have frames too large to enumerate; give method.samples"
        return None

    def fit(self, bundle: Bundle, ctx: Any) -> None:
        splits = [s.x for s in (bundle.val, bundle.test, bundle.train) if s is not None]  # the order of the file
        x = np.concatenate(splits)
        n = x.shape[1]
        self.adjacency, self.mask, self.features = x[..., :n], x[..., n], x[..., n + 1 :]
        self.consecutive = bundle.meta["pairs"] == "consecutive"
        self.errors: list[Metric] = []
        if self.cfg.network == "wl":
            colours = np.rint(self.mask + 2 * self.features.sum(-1)).astype(int)
            classes = wl_classes(self.adjacency, colours)
            self.left = int((classes[::2] == classes[1::2]).sum()) if self.consecutive else pairs_within(classes)
            return
        with torch.no_grad():
            self.left = self._networks(ctx)

    def _networks(self, ctx: Any) -> int:
        """Pairs that no initialisation separates; every next one looks only at what is left."""
        dtype = torch.float64 if self.cfg.precision == "64" else torch.float32
        a, mask = torch.as_tensor(self.adjacency, dtype=dtype), torch.as_tensor(self.mask) > 0
        f = torch.as_tensor(self.features, dtype=dtype) if self.features.shape[-1] else None
        ranks = None
        left: Tensor | None = None
        for k in range(self.cfg.inits):
            torch.manual_seed(ctx.seed(f"init {k}"))
            net = self._network(a.shape[-1], 0 if f is None else f.shape[-1]).to(dtype).eval()
            if isinstance(net, PermutationFrameAveraging):
                ranks = net.ranks(a, mask) if ranks is None else ranks
                y = net(a, f, mask, ranks)
            else:
                y = net(a, f, mask)
            left = self._close(y, left)
            ctx.log(k, inseparable=float(len(left)))
            if not k:
                self._measure(net, a, f, mask, ranks, ctx)
        return 0 if left is None else len(left)

    def _close(self, y: Tensor, left: Tensor | None) -> Tensor:
        """Pairs (p, 2) among `left` (None: all) whose embeddings differ by at most the threshold in L1."""
        if left is None and not self.consecutive:
            close = [
                torch.stack([i + start, j], 1)
                for start in range(0, len(y), 1024)
                for i, j in [
                    torch.nonzero(torch.cdist(y[start : start + 1024], y, p=1) <= self.cfg.threshold, as_tuple=True)
                ]
            ]
            pairs = torch.cat(close)
            return pairs[pairs[:, 0] < pairs[:, 1]]
        if left is None:
            left = torch.arange(len(y)).reshape(-1, 2)
        return left[(y[left[:, 0]] - y[left[:, 1]]).abs().sum(-1) <= self.cfg.threshold]

    def _network(self, n: int, f: int) -> nn.Module:
        if self.cfg.network == "mlp":
            net: nn.Module = GraphMLP(n, f, EMBEDDING, widths=(256, 256), activation=nn.Tanh)
        else:
            net = GIN(n, f, EMBEDDING, width=self.cfg.width, identity=self.cfg.network == "gin_id")
        if self.cfg.average == "none":
            return net
        return PermutationFrameAveraging(
            net, average=self.cfg.average, samples=self.cfg.samples, official_parity=self.cfg.official_parity
        )

    def _measure(
        self, net: nn.Module, a: Tensor, f: Tensor | None, mask: Tensor, ranks: Tensor | None, ctx: Any
    ) -> None:
        """Invariance under relabelling in float64, L1 distance between a graph and its copy, and the sizes of the frames."""
        pick = torch.linspace(0, len(a) - 1, min(self.cfg.relabel, len(a))).long()
        some = a[pick].double(), None if f is None else f[pick].double(), mask[pick]
        generator = torch.Generator().manual_seed(ctx.seed("meter"))
        self.errors = permutation_errors(net.double(), *some, generator=generator).metrics()
        if ranks is not None and self.cfg.average == "frame":
            sizes = frame_sizes(ranks)
            self.errors += [
                Metric("frame_mean", float(sizes.mean()), "lower", "elements"),
                Metric("frame_median", float(sizes.median()), "lower", "elements"),
                Metric("frame_max", float(sizes.max()), "lower", "elements"),
            ]
            self._draw(sizes, ctx)

    def _draw(self, sizes: Tensor, ctx: Any) -> None:
        from matplotlib.figure import Figure

        figure = Figure(figsize=(5, 3))
        axes = figure.add_subplot(xlabel="elements of the frame", ylabel="graphs", xscale="log", yscale="log")
        axes.hist(sizes.numpy(), bins=np.geomspace(1, max(2.0, float(sizes.max())) * 1.1, 30).tolist())
        axes.set_title(f"mean {float(sizes.mean()):.1f}, of {len(sizes)} graphs")
        ctx.save_figure("frames", figure)

    def evaluate(self, bundle: Bundle, ctx: Any) -> Result:
        pairs = len(self.adjacency) // 2 if self.consecutive else len(self.adjacency) * (len(self.adjacency) - 1) // 2
        metrics = [
            Metric("inseparable_pairs", float(self.left), "lower", "pairs"),
            Metric("pairs", float(pairs), "none", "pairs"),
        ]
        return Result(metrics=metrics + self.errors, n_trials=1)
