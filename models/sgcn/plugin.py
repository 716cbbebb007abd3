"""S-GCN and message passing as methods of the harness: local scores are fitted, models are ranked by their mean."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.schema import BenchError, Bundle, Metric, Result, SolverMethod
from models.sgcn.config import Config
from models.sgcn.graphs import GraphSet
from models.sgcn.meter import motions
from models.sgcn.nets import network

NEEDED = ("widths", "encoder", "scorer", "dropout", "epochs", "batch", "lr", "weight_decay")


class ResidueNetwork(SolverMethod):
    """Adam on the mean squared error of local scores; the weights of lowest validation error are tested."""

    cfg: Config

    def fit(self, bundle: Bundle, ctx: Any) -> None:
        cfg = self.cfg
        needed = (*NEEDED, "irreps", "layers") if cfg.network == "equivariant" else NEEDED
        absent = [f for f in needed if getattr(cfg, f) is None]
        if absent:
            raise BenchError(f"method.{absent[0]} is null at this scale; give it a value or an entry under `at`")
        torch.manual_seed(ctx.seed("init"))
        train, val = GraphSet(bundle.train, ctx.device), GraphSet(bundle.val, ctx.device)
        self.net = network(cfg).to(ctx.device)
        self.net.standardise.fit(train.features)
        self.params = sum(p.numel() for p in self.net.parameters())
        optimiser = torch.optim.Adam(self.net.parameters(), lr=cfg.lr, weight_decay=cfg.weight_decay)
        start, self.done, self.best = 0, 0, {"loss": math.inf, "net": None}
        state = ctx.checkpoint.load()
        if state:
            self.net.load_state_dict(state["net"])
            optimiser.load_state_dict(state["optimiser"])
            start, self.done, self.best, ctx.curves = state["epoch"], state["done"], state["best"], state["curves"]
        for epoch in range(start, cfg.epochs):
            torch.manual_seed(ctx.seed(f"epoch {epoch}"))  # dropout of a resumed run is that of an unbroken one
            loss, error = self._epoch(train, optimiser), self._error(val)
            if not math.isfinite(loss + error):
                raise FloatingPointError(f"the loss is not finite in epoch {epoch}; lower the step size (method.lr)")
            ctx.log(epoch + 1, train_loss=loss, val_loss=error)
            if error < self.best["loss"]:
                self.best = {"loss": error, "net": {k: v.clone() for k, v in self.net.state_dict().items()}}
            self.epochs = epoch + 1
            if self.done == cfg.max_steps:
                break
            if ctx.late() and epoch + 1 < cfg.epochs:
                kept = {"net": self.net.state_dict(), "optimiser": optimiser.state_dict(), "best": self.best}
                ctx.checkpoint.save({**kept, "epoch": epoch + 1, "done": self.done, "curves": ctx.curves})
                ctx.check_deadline()
        self.net.load_state_dict(self.best["net"])

    def _epoch(self, train: GraphSet, optimiser: torch.optim.Optimizer) -> float:
        """Mean squared error over the batches of one random order."""
        self.net.train()
        losses: list[Tensor] = []
        for index in torch.randperm(len(train))[: self.cfg.draws].split(self.cfg.batch):
            if self.done == self.cfg.max_steps:
                break
            graph, y = train.batch(index)
            loss = (self.net(graph) - y).square().mean()
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            losses.append(loss.detach())
            self.done += 1
        return float(torch.stack(losses).mean())

    @torch.no_grad()
    def _scores(self, split: GraphSet) -> Tensor:
        """Local scores (N,) of a split, in evaluation mode."""
        self.net.eval()
        parts = np.array_split(np.arange(len(split)), math.ceil(len(split) / (4 * self.cfg.batch)))
        return torch.cat([self.net(split.batch(p)[0]) for p in parts])

    def _error(self, split: GraphSet) -> float:
        return float((self._scores(split) - split.y).square().mean())

    def evaluate(self, bundle: Bundle, ctx: Any) -> Result:
        test = GraphSet(bundle.test, ctx.device)
        scores = self._scores(test).cpu().numpy()
        ctx.keep_weights(self.net.state_dict())
        some = np.flatnonzero(bundle.test.sizes == bundle.test.sizes[0])[: self.cfg.meter]
        seed = torch.Generator().manual_seed(ctx.seed("meter"))
        return Result(
            predictions={"y": scores},
            metrics=motions(self.net, test.batch(some)[0], len(some), seed),
            params=self.params,
            epochs=self.epochs,
            validation=Metric("val_loss", self.best["loss"], "lower", "score^2"),
        )
