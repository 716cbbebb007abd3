"""Graph classifiers as a method of the harness."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.schema import Arrays, Bundle, LightningMethod, Result
from models.geometry.equivariance import permutation_errors
from models.geometry.graph_frames import PermutationFrameAveraging, spectral_rows, vertex_ranks
from models.graph_networks.config import Config
from models.nn.classifier import Classifier
from models.nn.gin import GIN, GraphMLP

EMBEDDING = 10


class AveragedNetwork(nn.Module):
    """x (B, n, n + 1 + f + 1): adjacency, vertex mask, features, rank in the frame's order -> scores (B, n_out).

    The 10 outputs of the network are averaged over drawn orders, then ReLU and a linear layer. In evaluation the draws come
    from a fixed stream, so that two evaluations agree.
    """

    def __init__(self, cfg: Config, n: int, f: int, n_out: int) -> None:
        super().__init__()
        if cfg.network == "mlp":
            net: nn.Module = GraphMLP(n, f, EMBEDDING, widths=tuple(cfg.hidden or (2048, 4096, 2048)))
        else:
            net = GIN(
                n, f, EMBEDDING, width=cfg.width, identity=cfg.network == "gin_id", pool="mean", activation=nn.ReLU
            )
        self.net = PermutationFrameAveraging(
            net, samples=cfg.samples, average="group" if cfg.average == "group" else "frame"
        )
        self.head = nn.Linear(EMBEDDING, n_out)
        self.n, self.cfg = n, cfg

    def forward(self, x: Tensor) -> Tensor:
        n = self.n
        return self.scores(x[..., :n], x[..., n + 1 : -1], x[..., n] > 0, x[..., -1].round().long())

    def scores(self, a: Tensor, f: Tensor, mask: Tensor, ranks: Tensor) -> Tensor:
        if self.cfg.average == "none":
            return self.head(torch.relu(self.net.backbone(a, f, mask)))
        self.net.samples = self.cfg.samples if self.training else self.cfg.votes
        generator = None if self.training else torch.Generator().manual_seed(0)
        return self.head(torch.relu(self.net(a, f, mask, ranks, generator)))


def with_ranks(split: Any, n: int, cfg: Config) -> Arrays:
    """The split with the rank of every vertex as a last column: one eigendecomposition per graph for the whole training."""
    a, mask = torch.as_tensor(split.x[..., :n]), torch.as_tensor(split.x[..., n]) > 0
    ranks = ranks_of(a, mask, cfg).numpy()[..., None]
    return Arrays(np.concatenate([split.x, ranks.astype(split.x.dtype)], -1), split.y)


def ranks_of(a: Tensor, mask: Tensor, cfg: Config) -> Tensor:
    if cfg.average == "group":  # one tie of all vertices; those that do not exist stay behind
        return (~mask).long() * mask.sum(-1, keepdim=True)
    if cfg.average == "none":
        return torch.arange(a.shape[-1]).expand(mask.shape)
    return vertex_ranks(spectral_rows(a, mask, official_parity=cfg.official_parity), mask)


class GraphNetwork(LightningMethod):
    cfg: Config

    def build(self, bundle: Bundle, cfg: Config) -> Any:
        n = bundle.meta["vertices"]
        net = AveragedNetwork(cfg, n, bundle.shape[-1] - n - 1, bundle.n_out)
        self.module = Classifier(net, lambda module: torch.optim.Adam(module.parameters(), lr=cfg.lr))
        return self.module

    def run(self, bundle: Bundle, ctx: Any) -> Result:
        n = bundle.meta["vertices"]
        ranked = {part: with_ranks(getattr(bundle, part), n, self.cfg) for part in ("train", "val", "test")}
        result = super().run(dataclasses.replace(bundle, **ranked), ctx)
        if result.predictions:
            net = self.module.net.double().eval()
            x = torch.as_tensor(bundle.test.x[:16]).double().to(net.head.weight.device)
            a, mask, f = x[..., :n], x[..., n] > 0, x[..., n + 1 :]
            result.metrics += permutation_errors(
                lambda a, f, mask: net.scores(a, f, mask, ranks_of(a, mask, self.cfg)),
                a,
                f,
                mask,
                draws=2,
                generator=torch.Generator().manual_seed(ctx.seed("meter")),
            ).metrics()
        return result
