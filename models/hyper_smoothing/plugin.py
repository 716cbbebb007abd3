"""The smoothing task as a method: a hypernetwork is trained on its own loss and compared with the exact minimum."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from bench.schema import Bundle, Metric, Result, SolverMethod
from models.hyper_smoothing.config import Config
from models.mip.wrap import Hypernetised, hypernetise


def loss(u: Tensor, x: Tensor, gamma: Tensor) -> Tensor:
    """Mean over patches (n, 1, h, w) of (1 - gamma) mean (u - x)^2 + gamma mean |grad u|^2, forward differences within the patch."""
    fit = (u - x).square().mean()
    rough = (u.diff(dim=-1).square().sum() + u.diff(dim=-2).square().sum()) / u.numel()
    return (1 - gamma) * fit + gamma * rough


class Smoother(SolverMethod):
    cfg: Config

    def skip(self, bundle: Bundle) -> str | None:
        if len(bundle.shape) != 3 or bundle.shape[0] != 1:
            return f"patches have shape {bundle.shape}; (1, height, width) is needed"
        return None

    def fit(self, bundle: Bundle, ctx: Any) -> None:
        c = self.cfg
        if c.steps is None:
            raise ValueError("method.steps is null at this scale; give it a value or an entry under `at`")
        torch.manual_seed(ctx.seed("init"))
        layers: list[nn.Module] = []
        for a, b in pairwise((1, *c.widths)):
            layers += [nn.Conv2d(a, b, 3, padding=1), nn.LeakyReLU(0.01)]
        network = nn.Sequential(*layers, nn.Conv2d(c.widths[-1], 1, 3, padding=1))
        options = {"encoding": c.encoding, "independent": c.independent, "start": c.start}
        net = hypernetise(network, hidden=c.hidden, **options).to(ctx.device)
        self.primary, self.split = net.primary, net.hyper.split
        self.params = sum(p.numel() for p in net.parameters())
        self.points = self._train(net, torch.as_tensor(np.asarray(bundle.train.x)).to(ctx.device), bundle, ctx)

    def _train(self, net: Hypernetised, x: Tensor, bundle: Bundle, ctx: Any) -> list[tuple[int, Tensor | None]]:
        """(step, weights (gammas, entries) at the grid) along the way; None from where the loss was not finite."""
        c = self.cfg
        assert c.steps is not None
        optimiser: torch.optim.Optimizer
        if c.optimiser == "adam":
            optimiser = torch.optim.Adam(net.parameters(), lr=c.lr, fused=True)
        else:
            optimiser = torch.optim.SGD(net.parameters(), lr=c.lr, momentum=0.9, nesterov=True, fused=True)
        grid = torch.tensor(bundle.meta["grid"], dtype=x.dtype, device=x.device)[:, None]
        g = torch.Generator().manual_seed(ctx.seed("batches"))
        points: list[tuple[int, Tensor | None]] = []
        for step in range(1, c.steps + 1):
            index, gamma = torch.randint(len(x), (c.batch,), generator=g), torch.rand(1, 1, generator=g).to(x)
            value = loss(net(gamma, x[index]), x[index], gamma[0, 0])
            if not math.isfinite(float(value.detach())):
                points.append((step, None))
                break
            optimiser.zero_grad(set_to_none=True)
            value.backward()
            optimiser.step()
            if step % c.every == 0 or step == c.steps:
                with torch.no_grad():
                    points.append((step, net.hyper.flat(grid).cpu()))
        return points

    @torch.no_grad()
    def evaluate(self, bundle: Bundle, ctx: Any) -> Result:
        x, net = torch.as_tensor(np.asarray(bundle.test.x)), self.primary.cpu()
        u, best = torch.zeros(0), math.inf
        for step, thetas in self.points:
            u = torch.zeros(len(bundle.meta["grid"]), *x.shape)  # a run that diverged knows nothing
            if thetas is not None:
                u = torch.stack([functional_call(net, self.split(row), (x,)) for row in thetas])
            u = u if bool(torch.isfinite(u).all()) else torch.zeros_like(u)
            value = bundle.task.score(bundle, {"u": u.numpy()})[0].value
            best = min(best, value)
            ctx.log(step, relative_excess=value)
        diverged = self.points[-1][1] is None
        metrics = [
            Metric("diverged", float(diverged), "lower", "fraction"),
            Metric("best_excess", best, "lower", "1"),  # along the curve: what early stopping could reach
        ]
        return Result({"u": u.numpy()}, metrics, params=self.params)
