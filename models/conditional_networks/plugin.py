"""FiLM and separately trained networks on the task of the hypernetwork study: its data, batches, noise, metrics and curves."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bench.schema import Bundle
from models.conditional_networks.config import Config
from models.conditional_networks.networks import Film, Separate
from models.mip.plugin import Mip
from models.mip.primary import primary


class Conditional(Mip):
    cfg: Config
    magnitude: Any = None  # of predicted weights: there is none to measure

    def fit(self, bundle: Bundle, ctx: Any) -> None:
        if self.cfg.epochs is None:
            raise ValueError("method.epochs is null at this scale; give it a value or an entry under `at`")
        net = self._build(bundle, ctx)
        self.params = sum(p.numel() for p in net.parameters() if p.requires_grad)
        self.primary, self.thetas = self._train(net, bundle, ctx)
        self.split = net.hyper.split

    def _build(self, bundle: Bundle, ctx: Any) -> Any:
        torch.manual_seed(ctx.seed("init"))
        c = self.cfg
        network = primary(c.primary, bundle.shape, bundle.n_out, c.widths)
        if c.form == "separate":
            return Separate(network, len(c.grid)).to(ctx.device)
        assert isinstance(network, nn.Sequential)
        options = {"activation": c.activation, "norm": c.norm, "start": c.start}
        return Film(network, hidden=c.hidden, encoding=c.encoding, independent=c.independent, **options).to(ctx.device)

    def _epoch(
        self, net: Any, optimiser: torch.optim.Optimizer, x: Tensor, y: Tensor, g: torch.Generator, epoch: int
    ) -> float:
        if self.cfg.form == "film":
            return super()._epoch(net, optimiser, x, y, g, epoch)
        gammas = torch.tensor(self.cfg.grid).to(x).view(-1, *[1] * x.dim())
        total, steps = 0.0, 0
        for index in torch.randperm(len(x), generator=g).split(self.cfg.batch):
            torch.rand(1, 1, generator=g)  # the gamma of the other methods, so that the noise is theirs
            noise = torch.randn(len(index), *x.shape[1:], generator=g).to(x)
            scores = net(x[index] + gammas * noise)
            # a sum over networks: each gets the gradient of its own loss
            loss = cross_entropy(scores.flatten(0, 1), y[index].repeat(len(scores))) * len(scores)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            if epoch == 0:
                self.norms.append(float(torch.linalg.vector_norm(net.theta.grad)))
            optimiser.step()
            total, steps = total + float(loss.detach()) / len(scores), steps + 1
            if not math.isfinite(total):
                return math.nan
        return total / steps

    def _draw(self, accuracy: list[float], group: str, ctx: Any) -> None:
        """Accuracy by epoch."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(4.5, 3.2))
        axes = figure.add_subplot(xlabel="epoch", ylabel=r"accuracy, mean over $\gamma$", ylim=(0, 1), title=group)
        axes.plot(np.arange(1, len(accuracy) + 1), accuracy, marker=".")
        ctx.save_figure("accuracy", figure)
