"""The pressure networks as a method of the harness."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.schema import BenchError, Bundle, Metric, Result, SolverMethod
from models.wing_cp.config import FEATURES, Config
from models.wing_cp.inputs import SurfaceInputs
from models.wing_cp.networks import DAN, PointNetCp, PointwiseMLP

NEEDED = ("width", "depth", "epochs", "batch", "tokens")


def check_grid(cfg: Any, bundle: Bundle) -> str | None:
    """A reason why features cannot be had from this data, or None."""
    if bundle.meta.get("grid") is None and (cfg.chart == "grid" or "index" in FEATURES[cfg.features]):
        return "the surfaces are scattered points: chart=grid and the features index and index_riemann need a structured grid"
    return None


class WingCp(SolverMethod):
    cfg: Config

    def skip(self, bundle: Bundle) -> str | None:
        return check_grid(self.cfg, bundle)

    def network(self, points: int, conditions: int) -> nn.Module:
        cfg = self.cfg
        if cfg.network == "dan":
            return DAN(points, conditions, cfg.width, cfg.depth, cfg.heads)
        return (PointwiseMLP if cfg.network == "mlp" else PointNetCp)(points, conditions, cfg.width, cfg.depth)

    def fit(self, bundle: Bundle, ctx: Any) -> None:
        """AdamW on the mean squared error; the weights of the lowest validation error are kept."""
        cfg = self.cfg
        absent = [f for f in NEEDED if getattr(cfg, f) is None]
        if absent:
            raise BenchError(f"method.{absent[0]} is null at this scale; give it a value or an entry under `at`")
        self.inputs = SurfaceInputs(cfg, bundle)
        torch.manual_seed(ctx.seed("init"))
        self.net = self.network(*self.inputs.sizes).to(ctx.device)
        x, c, y = self._tensors(bundle.train, ctx.device)
        if cfg.network == "mlp":  # points are samples
            c = c.repeat_interleave(x.shape[1], 0)
            x, y = x.reshape(-1, 1, x.shape[-1]), y.reshape(-1, 1)
        val = None if bundle.val is None else self._tensors(bundle.val, ctx.device)
        per_epoch = math.ceil(len(x) / cfg.batch)
        total = min(cfg.epochs * per_epoch, cfg.steps or cfg.epochs * per_epoch)
        optimiser = torch.optim.AdamW(self.net.parameters(), lr=cfg.lr, weight_decay=cfg.weight_decay, fused=True)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, total)
        start, self.best = 0, (math.inf, None)
        state = ctx.checkpoint.load()
        if state:
            self.net.load_state_dict(state["net"])
            optimiser.load_state_dict(state["optimiser"])
            schedule.load_state_dict(state["schedule"])
            start, self.best, ctx.curves = state["epoch"], tuple(state["best"]), state["curves"]
        for epoch in range(start, math.ceil(total / per_epoch)):
            loss = self._epoch(x, c, y, optimiser, schedule, total - epoch * per_epoch, ctx.seed(f"order {epoch}"))
            if not math.isfinite(loss):
                raise FloatingPointError(
                    f"the loss is not finite in epoch {epoch}; lower the learning rate (method.lr)"
                )
            error = loss if val is None else float(torch.mean((self._predict(*val[:2]) - val[2]) ** 2))
            ctx.log(epoch + 1, train_loss=loss, val_loss=error)
            if error < self.best[0]:
                self.best = (error, {k: v.clone() for k, v in self.net.state_dict().items()})
            if ctx.late() and epoch + 1 < math.ceil(total / per_epoch):
                kept = {
                    "net": self.net.state_dict(),
                    "optimiser": optimiser.state_dict(),
                    "schedule": schedule.state_dict(),
                }
                ctx.checkpoint.save({**kept, "epoch": epoch + 1, "best": list(self.best), "curves": ctx.curves})
                ctx.check_deadline()
        self.net.load_state_dict(self.best[1])

    def _tensors(self, split: Any, device: str) -> tuple[Tensor, Tensor, Tensor]:
        points, conditions = self.inputs(split.x)
        y = np.asarray(split.y, dtype=np.float32)
        return tuple(torch.as_tensor(a).to(device) for a in (points, conditions, y))  # type: ignore[return-value]

    def _epoch(self, x: Tensor, c: Tensor, y: Tensor, optimiser: Any, schedule: Any, left: int, seed: int) -> float:
        """Mean loss of one pass, at most `left` steps."""
        self.net.train()
        generator = torch.Generator().manual_seed(seed)
        total, count = torch.zeros((), device=x.device), 0
        for index in torch.randperm(len(x), generator=generator).split(self.cfg.batch)[:left]:
            index = index.to(x.device)
            a, b, target = x[index], c[index], y[index]
            if x.shape[1] > self.cfg.tokens:
                some = torch.randperm(x.shape[1], generator=generator)[: self.cfg.tokens].to(x.device)
                a, target = a[:, some], target[:, some]
            loss = torch.mean((self.net(a, b) - target) ** 2)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
            total, count = total + loss.detach(), count + 1
        return float(total) / count

    @torch.no_grad()
    def _predict(self, x: Tensor, c: Tensor) -> Tensor:
        self.net.eval()
        return torch.cat([self.net(a, b) for a, b in zip(x.split(16), c.split(16), strict=True)])

    def evaluate(self, bundle: Bundle, ctx: Any) -> Result:
        points, conditions = (torch.as_tensor(a).to(ctx.device) for a in self.inputs(bundle.test.x))
        return Result(
            predictions={"y": self._predict(points, conditions).cpu().numpy()},
            params=sum(p.numel() for p in self.net.parameters()),
            epochs=self.cfg.epochs,
            validation=Metric("val_loss", self.best[0], "lower", "loss"),
        )
