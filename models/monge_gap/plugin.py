"""The regularised transport map as a method of the harness."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from bench.schema import BenchError, Bundle, Result, SolverMethod
from models.geometry.transport import ground_cost, matrix, monge_gap, sinkhorn_divergence
from models.monge_gap.config import Config

SAVE_S = 120.0  # between checkpoints
SCALE = 1024  # samples that the units of the regularisations are measured on


class TransportMap(nn.Module):
    """x (n, d) -> T(x) (n, d): an MLP with GELU, with x added if `residual`, and on the unit sphere if `sphere`."""

    def __init__(self, d: int, hidden: list[int], residual: bool = False, sphere: bool = False) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for a, b in pairwise([d, *hidden]):
            layers += [nn.Linear(a, b), nn.GELU()]
        self.net = nn.Sequential(*layers, nn.Linear([d, *hidden][-1], d))
        self.residual, self.sphere = residual, sphere

    def forward(self, x: Tensor) -> Tensor:
        y = x + self.net(x) if self.residual else self.net(x)
        return normalize(y, dim=1) if self.sphere else y


class MongeGap(SolverMethod):
    cfg: Config

    def fit(self, bundle: Bundle, ctx: Any) -> None:
        cfg, meta = self.cfg, bundle.meta
        x, y = torch.as_tensor(bundle.train.x), torch.as_tensor(bundle.train.y)
        if not bool(x.isfinite().all() and y.isfinite().all()):
            raise BenchError("the samples hold NaN or infinity; leave those out of the data")
        on_sphere = meta["cost"] == "sphere"
        cost = ground_cost(meta["cost"], meta["power"])
        fit = ground_cost("sphere" if on_sphere else "sqeuclidean")
        # fixed before training: units of the two regularisations and of the gap
        within = float(matrix(fit, y[:SCALE], y[:SCALE]).mean())
        across = float(matrix(cost, x[:SCALE], y[:SCALE]).mean())
        torch.manual_seed(ctx.seed("init"))
        self.net = TransportMap(x.shape[1], list(cfg.hidden), cfg.residual, on_sphere)
        optimiser = torch.optim.Adam(self.net.parameters(), lr=cfg.lr)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, cfg.steps)
        seed, saved = ctx.seed("batches"), time.monotonic()
        start, state = 0, ctx.checkpoint.load()
        if state is not None:
            start, ctx.curves = state["step"], state["curves"]
            for part, name in ((self.net, "net"), (optimiser, "optimiser"), (schedule, "schedule")):
                part.load_state_dict(state[name])
        low, high = x.amin(0), x.amax(0)
        solver = {"tol": cfg.tol, "steps": cfg.iterations}
        for step in range(start, cfg.steps):
            if ctx.late() or time.monotonic() - saved > SAVE_S:
                parts = {"net": self.net, "optimiser": optimiser, "schedule": schedule}
                content = {name: part.state_dict() for name, part in parts.items()}
                ctx.checkpoint.save({**content, "step": step, "curves": ctx.curves})
                saved = time.monotonic()
                ctx.check_deadline()
            rng = np.random.default_rng(
                [seed, step]
            )  # of its own, so that a run that goes on draws as one that was not stopped
            i, j = (torch.as_tensor(rng.integers(len(v), size=cfg.batch)) for v in (x, y))
            images = self.net(x[i])
            misfit = sinkhorn_divergence(fit, images, y[j], cfg.fit_epsilon * within, **solver) / within
            gap = misfit.new_zeros(())
            if cfg.strength:
                points, mapped = x[i], images
                if cfg.reference == "box":
                    uniform = torch.as_tensor(rng.random(points.shape), dtype=x.dtype)
                    points = low + (high - low) * uniform
                    points = normalize(points, dim=1) if on_sphere else points
                    mapped = self.net(points)
                gap = monge_gap(cost, points, mapped, cfg.gap_epsilon * across, cfg.form, **solver) / across
            loss = misfit + cfg.strength * gap
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
            if step % 20 == 0 or step == cfg.steps - 1:
                ctx.log(step, loss=float(loss.detach()), misfit=float(misfit.detach()), gap=float(gap.detach()))

    def evaluate(self, bundle: Bundle, ctx: Any) -> Result:
        with torch.no_grad():
            y = self.net(torch.as_tensor(bundle.test.x)).numpy()
        return Result({"y": y.astype(np.float64)}, params=sum(p.numel() for p in self.net.parameters()))
