"""Networks that score each residue of a model between 0 and 1."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from models.nn.mlp import mlp
from models.sgcn.config import Config
from models.sgcn.graphs import KINDS, Graphs
from models.sgcn.layers import MessagePassing, Nonlinearity, SphericalConv, harmonics, rows

INPUT = KINDS + 3
BLOCK = 2  # batch normalisation behind every second convolution
CHANNELS = 2  # of message passing: near in the sequence, and far


def nonlinearity(name: str, official_parity: bool = False) -> type[nn.Module]:
    """The class of that name. As released, `tanh` and `mish` are compared with misspelt names and give the identity."""
    if official_parity and name in ("tanh", "mish"):
        return nn.Identity
    return {"elu": nn.ELU, "relu": nn.ReLU, "tanh": nn.Tanh, "mish": nn.Mish, "none": nn.Identity}[name]


class Standardise(nn.Module):
    """(x - mean) / sd of each input of the training split; the one-hot kinds stay as they are."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(INPUT))
        self.register_buffer("sd", torch.ones(INPUT))

    def fit(self, features: Tensor) -> None:
        """features (N, 3): the geometric numbers of all training residues."""
        self.mean[KINDS:] = features.mean(0)
        self.sd[KINDS:] = features.std(0).clamp_min(1e-6)

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.sd


class SphericalNet(nn.Module):
    """Graphs -> (N,) scores: spherical convolutions, batch normalisation behind every second, dropout behind all but the last.

    Without a scorer a last convolution of one channel gives the score (S-GCN), else a perceptron on the last channels does
    (S-GCN_s); then the logistic function. The scores do not change with a rigid motion of the model.
    """

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        act = nonlinearity(cfg.nonlinearity, cfg.official_parity)
        widths = [INPUT, *cfg.widths] + ([] if cfg.scorer else [1])
        functions: list[Nonlinearity] = [act() for _ in widths[1:]]
        if not cfg.scorer:
            functions[-1] = nn.Identity()
        self.standardise, self.dropout, self.cfg = Standardise(), nn.Dropout(cfg.dropout), cfg
        self.convs = nn.ModuleList(
            SphericalConv(a, b, cfg.order, f) for a, b, f in zip(widths[:-1], widths[1:], functions, strict=True)
        )
        inner = len(self.convs) - (not cfg.scorer)
        self.norms = nn.ModuleList(
            nn.BatchNorm1d(w) if (k + 1) % BLOCK == 0 and k < inner else nn.Identity() for k, w in enumerate(widths[1:])
        )
        self.scorer = scorer(widths[-1], cfg) if cfg.scorer else nn.Identity()

    def forward(self, graph: Graphs) -> Tensor:
        s = harmonics(graph, self.cfg.order, weights=self.cfg.weights, normalise=self.cfg.normalise)
        h = self.standardise(graph.x)
        last = len(self.convs) - 1
        for k, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            h = norm(conv(h, graph.neighbour, s))
            if k < last or self.cfg.scorer:
                h = self.dropout(h)
        return torch.sigmoid(self.scorer(h)).squeeze(-1)


class MessagePassingNet(nn.Module):
    """Graphs -> (N,) scores: a perceptron, message passing over two adjacencies (neighbours near in the sequence, and far), a
    perceptron, the logistic function. It sees which residues touch and not in which direction."""

    def __init__(self, cfg: Config) -> None:
        super().__init__()
        act = nonlinearity(cfg.nonlinearity, cfg.official_parity)
        self.standardise, self.dropout, self.cfg = Standardise(), nn.Dropout(cfg.dropout), cfg
        encoder = [INPUT, *cfg.encoder]
        self.encoder = with_dropout(encoder, cfg, last=True)
        widths = [encoder[-1], *cfg.widths]
        self.layers = nn.ModuleList(MessagePassing(a, b, CHANNELS, act()) for a, b in pairwise(widths))
        self.scorer = scorer(widths[-1], cfg)

    def adjacency(self, graph: Graphs) -> Tensor:
        """(N, D, 2); each channel has row sums of its own."""
        near = (graph.apart < self.cfg.near).to(graph.weight.dtype)
        split = (
            Graphs(graph.x, graph.backbone, graph.neighbour, graph.weight * m, graph.apart) for m in (near, 1 - near)
        )
        return torch.stack([rows(g, weights=self.cfg.weights, normalise=self.cfg.normalise) for g in split], -1)

    def forward(self, graph: Graphs) -> Tensor:
        a = self.adjacency(graph)
        h = self.encoder(self.standardise(graph.x))
        for layer in self.layers:
            h = self.dropout(layer(h, graph.neighbour, a))
        return torch.sigmoid(self.scorer(h)).squeeze(-1)


def scorer(width: int, cfg: Config) -> nn.Sequential:
    return with_dropout([width, *cfg.scorer, 1], cfg)


def with_dropout(widths: list[int], cfg: Config, last: bool = False) -> nn.Sequential:
    """A perceptron with dropout behind every nonlinearity."""
    act = nonlinearity(cfg.nonlinearity, cfg.official_parity)
    layers = mlp(widths, act, last=last)
    return nn.Sequential(
        *(m for layer in layers for m in ((layer, nn.Dropout(cfg.dropout)) if isinstance(layer, act) else (layer,)))
    )


def network(cfg: Config) -> nn.Module:
    if cfg.network == "equivariant":
        from models.sgcn.equivariant import EquivariantNet  # the one network that needs e3nn

        return EquivariantNet(cfg)
    return SphericalNet(cfg) if cfg.network == "spherical" else MessagePassingNet(cfg)
