"""The mesh network as a method of the harness: Adam on the squared error of standardised fields."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from bench.schema import Bundle, Result, SolverMethod
from models.mesh_graph_net.config import Config
from models.mesh_graph_net.network import Network, features


class MeshGraphNet(SolverMethod):
    cfg: Config

    def fit(self, bundle: Bundle, ctx: Any) -> None:
        cfg, train = self.cfg, bundle.train
        assert cfg.width is not None and cfg.layers is not None and cfg.epochs is not None
        self.centre, self.spread = train.scalars.mean(0), train.scalars.std(0)
        fields = np.concatenate(train.fields)
        self.mean, self.std = (torch.as_tensor(a, dtype=torch.float32) for a in (fields.mean(0), fields.std(0)))
        data = [self._features(train, i) for i in range(len(train))]
        goal = [(torch.as_tensor(u, dtype=torch.float32) - self.mean) / self.std for u in train.fields]
        torch.manual_seed(ctx.seed("init") % 2**63)
        self.network = Network(data[0][0].shape[1], fields.shape[1], cfg.width, cfg.layers).to(ctx.device)
        optimiser = torch.optim.Adam(self.network.parameters(), lr=cfg.lr)
        steps = cfg.epochs * -(-len(data) // cfg.batch)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, cfg.lr, total_steps=steps, pct_start=0.05)
        rng = ctx.rng("shuffle")
        for epoch in range(cfg.epochs):
            total = 0.0
            for part in np.array_split(rng.permutation(len(data)), -(-len(data) // cfg.batch)):
                batch = _join([data[i] for i in part])
                truth = torch.cat([goal[i] for i in part]).to(ctx.device)
                loss = (self.network(*(a.to(ctx.device) for a in batch)) - truth).square().mean()
                optimiser.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
                optimiser.step()
                schedule.step()
                total += float(loss.detach()) * len(part)
            ctx.log(epoch, loss=total / len(data))

    def _features(self, samples: Any, i: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        return features(samples.points[i], samples.triangles[i], (samples.scalars[i] - self.centre) / self.spread)

    def evaluate(self, bundle: Bundle, ctx: Any) -> Result:
        test, parts = bundle.test, []
        with torch.no_grad():
            for i in range(len(test)):
                out = self.network(*(a.to(ctx.device) for a in self._features(test, i))).cpu()
                parts.append((out * self.std + self.mean).double().numpy())
        return Result(
            {"fields": np.concatenate(parts)},
            params=sum(p.numel() for p in self.network.parameters()),
            epochs=self.cfg.epochs,
        )


def _join(graphs: list[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]) -> tuple[torch.Tensor, ...]:
    """Several graphs as one without edges between them."""
    start = np.cumsum([0, *(len(node) for node, _, _ in graphs)])
    ends = torch.cat([e + int(s) for (_, e, _), s in zip(graphs, start[:-1], strict=True)], 1)
    return torch.cat([n for n, _, _ in graphs]), ends, torch.cat([e for _, _, e in graphs])
