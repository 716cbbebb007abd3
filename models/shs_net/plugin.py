"""SHS-Net as a method of the harness: patches of random points train it, and every scored point of a test cloud is a query."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.schema import BenchError, Bundle, Result, SolverMethod
from models.shs_net.config import Config
from models.shs_net.loss import losses
from models.shs_net.meter import oriented_normals, symmetry
from models.shs_net.net import SHSNet
from models.shs_net.patches import CloudSet, align

DROP, LEAST = 0.2, 1e-6  # of the step size
NEEDED = ("patch", "sample", "neighbours", "width", "epochs", "patches", "batch", "lr")


class SHS(SolverMethod):
    cfg: Config

    def fit(self, bundle: Bundle, ctx: Any) -> None:
        cfg = self.cfg
        absent = [f for f in NEEDED if getattr(cfg, f) is None]
        if absent:
            raise BenchError(f"method.{absent[0]} is null at this scale; give it a value or an entry under `at`")
        torch.manual_seed(ctx.seed("init"))
        net = SHSNet(cfg.width, cfg.neighbours, global_code=cfg.global_code, official_parity=cfg.official_parity)
        self.net = net.to(ctx.device).train()
        self.params = sum(p.numel() for p in net.parameters())
        clouds = CloudSet(bundle.train.x, cfg.patch, ctx.device, bundle.train.y)
        optimiser = torch.optim.Adam(self.net.parameters(), lr=cfg.lr, fused=True)
        start, self.done, state = 0, 0, ctx.checkpoint.load()
        if state:
            self.net.load_state_dict(state["net"])
            optimiser.load_state_dict(state["optimiser"])
            start, self.done, ctx.curves = state["epoch"], state["done"], state["curves"]
        for epoch in range(start, cfg.epochs):
            for group in optimiser.param_groups:
                group["lr"] = max(LEAST, cfg.lr * DROP ** sum(epoch >= s * cfg.epochs for s in cfg.drops))
            means = self._epoch(clouds, optimiser, epoch, ctx)
            if not math.isfinite(sum(means.values())):
                raise FloatingPointError(
                    f"the loss is not finite in epoch {epoch}; lower the learning rate (method.lr)"
                )
            ctx.log(epoch + 1, **means)
            if cfg.steps is not None and self.done >= cfg.steps:
                break
            if ctx.late() and epoch + 1 < cfg.epochs:
                kept = {"net": self.net.state_dict(), "optimiser": optimiser.state_dict()}
                ctx.checkpoint.save({**kept, "epoch": epoch + 1, "done": self.done, "curves": ctx.curves})
                ctx.check_deadline()

    def _epoch(self, clouds: CloudSet, optimiser: torch.optim.Optimizer, epoch: int, ctx: Any) -> dict[str, float]:
        """Mean loss terms over random points of all clouds, drawn without repetition."""
        cfg = self.cfg
        order = torch.Generator().manual_seed(ctx.seed(f"order {epoch}"))
        draws = torch.Generator(ctx.device).manual_seed(ctx.seed(f"patches {epoch}"))
        owner = torch.arange(len(clouds.sizes)).repeat_interleave(clouds.sizes.cpu())
        place = torch.cat([torch.arange(n) for n in clouds.sizes.tolist()])
        many = min(len(owner), cfg.patches * len(clouds.sizes))
        picked = torch.randperm(len(owner), generator=order)[:many]
        total: dict[str, Tensor] = {}
        batches = [b for b in picked.split(cfg.batch) if len(b) > 1]  # batch norm has no statistics of one
        if cfg.steps is not None:
            batches = batches[: cfg.steps - self.done]
        for index in batches:
            terms = self._step(clouds, owner[index].to(ctx.device), place[index].to(ctx.device), draws)
            loss = torch.stack(list(terms.values())).sum()
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            self.done += 1
            for name, value in {**terms, "train_loss": loss}.items():
                total[name] = total.get(name, 0) + value.detach()
        return {name: float(value) / len(batches) for name, value in total.items()}

    def _step(self, clouds: CloudSet, cloud: Tensor, query: Tensor, generator: torch.Generator) -> dict[str, Tensor]:
        cfg = self.cfg
        drawn = clouds.draw(cloud, query, cfg.patch, cfg.sample, generator)
        patch, sample = clouds.cut(cloud, drawn)
        u = align(patch, signs=cfg.signs, official_parity=cfg.official_parity)
        near = clouds.normals[cloud[:, None], drawn.patch] @ u
        return losses(self.net(patch @ u, sample @ u), near[:, 0], near, patch @ u)

    @torch.no_grad()
    def evaluate(self, bundle: Bundle, ctx: Any) -> Result:
        """Normals at the scored points of the test clouds (at all points where none are named)."""
        cfg, net = self.cfg, self.net.eval()
        clouds = CloudSet(bundle.test.x, cfg.patch, ctx.device)
        queries = getattr(bundle.test, "query", None)
        if queries is None:
            queries = np.stack([np.arange(len(x)) for x in bundle.test.x])
        query = torch.as_tensor(np.asarray(queries)).to(ctx.device)
        cloud = torch.arange(len(query), device=ctx.device)[:, None].expand_as(query)
        generator = torch.Generator(ctx.device).manual_seed(ctx.seed("test samples"))
        axes = {"signs": cfg.signs, "official_parity": cfg.official_parity}
        parts = []
        for c, q in zip(cloud.flatten().split(4 * cfg.batch), query.flatten().split(4 * cfg.batch), strict=True):
            patch, sample, far, missing = self._raw(clouds, c, q, generator)
            parts.append(oriented_normals(net, patch, sample, far, missing, **axes).cpu())
        y = torch.cat(parts).view(*query.shape, 3).numpy()
        c, q = cloud.flatten(), query.flatten()
        some = torch.linspace(0, len(q) - 1, cfg.meter, device=ctx.device).long()
        patch, sample, far, _ = self._raw(clouds, c[some], q[some], generator)
        rows = symmetry(net, patch, sample, far, torch.Generator().manual_seed(ctx.seed("meter")), **axes)
        return Result(predictions={"y": y}, metrics=rows, params=self.params, epochs=cfg.epochs)

    def _raw(self, clouds: CloudSet, cloud: Tensor, query: Tensor, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Points of patch, sample and the farthest one, as they are in the cloud, and which of the sample are missing."""
        drawn = clouds.draw(cloud, query, self.cfg.patch, self.cfg.sample, generator)
        x, rows = clouds.points[cloud], torch.arange(len(cloud), device=cloud.device)
        sample = x[rows[:, None], drawn.sample.clamp_min(0)]
        return x[rows[:, None], drawn.patch], sample, x[rows, drawn.farthest], drawn.sample < 0
