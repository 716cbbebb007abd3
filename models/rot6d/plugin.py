"""Rotation regression as a method of the harness."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bench.schema import BenchError, Bundle, Metric, Result, SolverMethod
from models.geometry.rotations import trace_angle
from models.rot6d.config import Config
from models.rot6d.head import RotationHead
from models.rot6d.meter import SAMPLES, symmetry
from models.rot6d.nets import MatrixNet, PairPointNet, PoseNet, mean_angle

CHUNK = 50  # steps whose batches are drawn at once
EMPHASIS = 10.0  # weight of the emphasised joints
CENTIMETRES = 100.0


class RotationRegression(SolverMethod):
    cfg: Config

    def skip(self, bundle: Bundle) -> str | None:
        if not hasattr(bundle.train, "draw"):
            return "the training split has no draw(n, rng); rotation regression trains on fresh samples"
        return None

    def fit(self, bundle: Bundle, ctx: Any) -> None:
        cfg = self.cfg
        if None in (cfg.steps, cfg.lr, cfg.schedule):
            raise BenchError(
                "method.steps, lr or schedule is null at this scale; give it a value or an entry under `at`"
            )
        torch.manual_seed(ctx.seed("init"))
        net = self.net = self._build(bundle).to(ctx.device).train()
        self.params = sum(p.numel() for p in net.parameters())
        optimiser = torch.optim.Adam(net.parameters(), lr=cfg.lr, fused=True)
        schedule = self._schedule(optimiser, bundle.kind)
        done, state = 0, ctx.checkpoint.load()
        if state:
            net.load_state_dict(state["net"])
            optimiser.load_state_dict(state["optimiser"])
            schedule.load_state_dict(state["schedule"])
            done, ctx.curves = state["done"], state["curves"]
        while done < cfg.steps:
            xs, ys = self._draw(bundle, ctx, done)
            total = 0.0
            for x, y in zip(xs, ys, strict=True):
                loss = self._loss(net(x), y, bundle)
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                optimiser.step()
                schedule.step()
                total += float(loss.detach())
                done += 1
            if not math.isfinite(total):
                raise FloatingPointError(
                    f"the loss became {total} near step {done}; lower the learning rate (method.lr)"
                )
            ctx.log(done, train_loss=total / len(xs))
            if ctx.late() and done < cfg.steps:
                ctx.checkpoint.save(
                    {
                        "net": net.state_dict(),
                        "optimiser": optimiser.state_dict(),
                        "schedule": schedule.state_dict(),
                        "done": done,
                        "curves": ctx.curves,
                    }
                )
                ctx.check_deadline()

    def _build(self, bundle: Bundle) -> nn.Module:
        cfg, clouds = self.cfg, bundle.kind == "rotated_clouds"
        head = RotationHead(cfg.representation, cfg.svd, cfg.official_parity, clouds)
        if clouds:
            return PairPointNet(head, cfg.width or 1024)
        if bundle.kind == "poses":
            offsets = torch.as_tensor(bundle.meta["offsets"], dtype=torch.float32) / CENTIMETRES
            return PoseNet(head, bundle.meta["parents"], offsets, cfg.width or 1024)
        return MatrixNet(head, cfg.width or 128)

    def _schedule(self, optimiser: torch.optim.Optimizer, kind: str) -> torch.optim.lr_scheduler.LRScheduler:
        cfg = self.cfg
        assert cfg.steps is not None and cfg.lr is not None
        if cfg.schedule == "one_cycle":
            # one beyond the last step: the schedule is asked once more after it, and resumes where it was
            return torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=cfg.lr, total_steps=max(cfg.steps + 1, 5))
        drop = kind == "rotations"
        return torch.optim.lr_scheduler.LambdaLR(optimiser, lambda k: 0.1 if drop and k >= 10000 else 1.0)

    def _draw(self, bundle: Bundle, ctx: Any, done: int) -> tuple[list[Tensor], list[Tensor]]:
        """Batches of the next steps; their random numbers depend on the step alone, so that a resumed run sees the same ones."""
        cfg, rng = self.cfg, ctx.rng(f"batches from step {done}")
        assert cfg.steps is not None
        steps = min(CHUNK, cfg.steps - done)
        if bundle.kind == "rotated_clouds":  # every draw is of one shape
            drawn = [bundle.train.draw(cfg.batch or 10, rng) for _ in range(steps)]
            return tuple([torch.as_tensor(d[k]).to(ctx.device) for d in drawn] for k in range(2))  # type: ignore[return-value]
        batch = cfg.batch or 64
        return tuple(
            list(torch.as_tensor(a).to(ctx.device).split(batch)) for a in bundle.train.draw(steps * batch, rng)
        )  # type: ignore[return-value]

    def _loss(self, out: Tensor, y: Tensor, bundle: Bundle) -> Tensor:
        if bundle.kind == "poses":
            square = (out - y / CENTIMETRES).square()
            return square.mean() + EMPHASIS * square[:, bundle.meta["emphasised"]].mean()
        if self.cfg.loss == "geodesic":
            return trace_angle(out, y).mean() if self.cfg.official_parity else mean_angle(out, y)
        return (out - y).square().mean()

    @torch.no_grad()
    def evaluate(self, bundle: Bundle, ctx: Any) -> Result:
        net, out, worst = self.net.eval(), [], 0.0
        eye = torch.eye(3)
        for x in torch.as_tensor(np.asarray(bundle.test.x)).split(5000 if bundle.kind != "rotated_clouds" else 200):
            x = x.to(ctx.device)
            r = net.rotations(x) if isinstance(net, PoseNet) else net(x)
            guess = CENTIMETRES * net.kinematics(r, x[:, :3]) if isinstance(net, PoseNet) else r
            worst = max(worst, float((r.mT @ r - eye.to(r)).abs().max()))
            out.append(guess.cpu())
        some = torch.as_tensor(np.asarray(bundle.test.x[:SAMPLES])).to(ctx.device)
        errors = symmetry(net, some, torch.Generator().manual_seed(ctx.seed("meter")))
        name = "positions" if bundle.kind == "poses" else "rotation"
        return Result(
            predictions={name: torch.cat(out).numpy()},
            metrics=[
                Metric("orthogonality_error", worst, "lower", "1"),
                *errors,
            ],  # largest entry of R^T R - I, float32
            params=self.params,
            epochs=None,
        )
