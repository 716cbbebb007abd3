"""Soft equivariance as a method of the harness."""

from __future__ import annotations

import copy
import dataclasses
import math
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss

from bench.schema import BenchError, Bundle, Metric, Result, SolverMethod
from models.geometry.equivariance import equivariance_errors
from models.soft_equivariance.config import Config
from models.soft_equivariance.groups import group
from models.soft_equivariance.meter import TensorAction
from models.soft_equivariance.net import ConstrainedLinear, SoftEMLP, swish_mlp
from models.soft_equivariance.penalty import Penalty, blend
from models.soft_equivariance.rep import Rep
from models.soft_equivariance.tuning import Tuner, discovered


class SoftEquivariance(SolverMethod):
    cfg: Config

    def skip(self, bundle: Bundle) -> str | None:
        for label in ("rep_in", "rep_out"):
            counts = bundle.meta.get(label)
            size = bundle.shape[0] if label == "rep_in" else bundle.n_out
            if counts is None or Rep(tuple(counts)).size != size:
                return f"{label} is {counts}; it must name the tensors by rank of a vector of {size} numbers"
        return None

    def fit(self, bundle: Bundle, ctx: Any) -> None:
        cfg = self.cfg
        if None in (cfg.epochs, cfg.batch, cfg.hidden):
            raise BenchError(
                "method.epochs, batch or hidden is null at this scale; give it a value or an entry under `at`"
            )
        torch.manual_seed(ctx.seed("init"))
        self.groups: list[str] = list(bundle.meta["groups"])
        net = self.net = self._build(bundle).to(ctx.device)
        self.params = sum(p.numel() for p in net.parameters())
        if cfg.start and isinstance(net, SoftEMLP) and cfg.constraint in ("penalty", "none"):
            blend(net.linears(), self.groups[0], cfg.start)
        start = (cfg.init_equiv or 0.0) if cfg.constraint == "penalty" else 0.0
        linears = net.linears() if isinstance(net, SoftEMLP) and cfg.constraint in ("penalty", "none") else []
        self.penalty = Penalty(linears, self.groups, [0.0, *[start] * (len(self.groups) - 1)])
        self.tuner = Tuner(50 if cfg.skip_calls is None else cfg.skip_calls)
        self.best: tuple[float, int, dict[str, Tensor]] | None = None
        x, y, xv, yv = (
            torch.as_tensor(np.asarray(a)).to(ctx.device)
            for a in (bundle.train.x, bundle.train.y, bundle.val.x, bundle.val.y)
        )
        steps = cfg.epochs * math.ceil(len(x) / cfg.batch)
        optimiser = torch.optim.Adam(self._parameters(net), lr=cfg.lr, fused=True)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
        first = self._restore(ctx, net, optimiser, schedule)
        for epoch in range(first, cfg.epochs):
            if epoch == cfg.adjustment() and cfg.constraint == "penalty" and start:
                self._adjust()
            loss = self._epoch(net, optimiser, schedule, x, y, epoch, ctx)
            with torch.no_grad():
                val = float(mse_loss(net(xv), yv))
            if not math.isfinite(loss + val):
                raise FloatingPointError(
                    f"the loss became {loss} in epoch {epoch}; lower the learning rate (method.lr)"
                )
            self._note(ctx, epoch, loss, val)
            if epoch + 1 > 2 * cfg.adjustment() - 1 and (self.best is None or val < self.best[0]):
                self.best = (val, epoch, copy.deepcopy(net.state_dict()))
            if ctx.late() and epoch + 1 < cfg.epochs:
                self._save(ctx, net, optimiser, schedule, epoch + 1)
                ctx.check_deadline()
        assert self.best is not None
        net.load_state_dict(self.best[2])

    def _build(self, bundle: Bundle) -> nn.Module:
        cfg = self.cfg
        rep_in, rep_out = Rep(tuple(bundle.meta["rep_in"])), Rep(tuple(bundle.meta["rep_out"]))
        hidden = Rep(tuple(cfg.hidden))  # type: ignore[arg-type]
        if cfg.constraint == "mlp":
            return swish_mlp(rep_in.size, rep_out.size, [hidden.size] * 3)
        constraint = cfg.constraint if cfg.constraint in ("hard", "rpp") else "none"
        contract = group(self.groups[0]).orthogonal
        return SoftEMLP(rep_in, rep_out, hidden, constraint, cfg.group or self.groups[0], cfg.bilinear, contract)

    def _parameters(self, net: nn.Module) -> list[dict[str, Any]]:
        """Groups of parameters with the coefficients of their half squares, which Adam adds to the gradient as `weight_decay`."""
        cfg = self.cfg
        decays: dict[int, float] = {}
        for module in net.modules():
            if isinstance(module, nn.Linear):
                rpp = isinstance(module, ConstrainedLinear) and module.broken
                for p in (module.weight, module.bias):
                    decays[id(p)] = 2 * cfg.rpp_equiv if rpp else cfg.weight_decay
                if rpp:
                    for p in (module.weight_b, module.bias_b):
                        decays[id(p)] = 2 * cfg.rpp_basic
            if isinstance(getattr(module, "swish", None), nn.Parameter):
                decays[id(module.swish)] = 2 * cfg.gated_decay
        sets: dict[float, list[nn.Parameter]] = {}
        for p in net.parameters():
            sets.setdefault(decays.get(id(p), 0.0), []).append(p)
        return [{"params": params, "weight_decay": decay} for decay, params in sets.items()]

    def _epoch(
        self, net: nn.Module, optimiser: Any, schedule: Any, x: Tensor, y: Tensor, epoch: int, ctx: Any
    ) -> float:
        cfg, total, steps = self.cfg, 0.0, 0
        recording = cfg.adjustment() - cfg.window <= epoch < cfg.adjustment() and any(self.penalty.strengths)
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(ctx.seed(f"epoch {epoch}"))).to(x.device)
        for index in order.split(cfg.batch):  # type: ignore[arg-type]
            loss = mse_loss(net(x[index]), y[index])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            self.penalty.add_gradient()
            if recording:
                self.tuner.record(self.penalty.residuals().tolist())
            optimiser.step()
            schedule.step()
            total, steps = total + float(loss.detach()), steps + 1
        return total / steps

    def _adjust(self) -> None:
        self.penalty.set(self.tuner.adjust(self.penalty.strengths, self.cfg.power))

    def _note(self, ctx: Any, epoch: int, loss: float, val: float) -> None:
        values = {"train_loss": loss, "val_loss": val}
        if epoch % 10 == 0 and self.penalty.layers:
            values |= {f"residual_{g}": float(r) for g, r in zip(self.groups, self.penalty.residuals(), strict=True)}
        ctx.log(epoch + 1, **values)

    def _save(self, ctx: Any, net: nn.Module, optimiser: Any, schedule: Any, epoch: int) -> None:
        ctx.checkpoint.save(
            {
                "net": net.state_dict(),
                "optimiser": optimiser.state_dict(),
                "schedule": schedule.state_dict(),
                "epoch": epoch,
                "strengths": self.penalty.strengths,
                "stored": self.tuner.stored,
                "calls": self.tuner.calls,
                "best": self.best,
                "curves": ctx.curves,
            }
        )

    def _restore(self, ctx: Any, net: nn.Module, optimiser: Any, schedule: Any) -> int:
        state = ctx.checkpoint.load()
        if not state:
            return 0
        net.load_state_dict(state["net"])
        optimiser.load_state_dict(state["optimiser"])
        schedule.load_state_dict(state["schedule"])
        self.penalty.set(state["strengths"])
        self.tuner.stored, self.tuner.calls = state["stored"], state["calls"]
        self.best, ctx.curves = state["best"], state["curves"]
        return int(state["epoch"])

    @torch.no_grad()
    def evaluate(self, bundle: Bundle, ctx: Any) -> Result:
        net = self.net.eval()
        x = torch.as_tensor(np.asarray(bundle.test.x)).to(ctx.device)
        assert self.best is not None
        metrics = [Metric("best_epoch", float(self.best[1] + 1), "none", "epochs")]
        if self.cfg.meter:
            metrics += self._symmetry(bundle, ctx)
        if self.cfg.constraint == "penalty":
            metrics += self._discovery(bundle)
            self._draw(bundle.group, ctx)
        return Result(
            predictions={"y": net(x).cpu().numpy()},
            metrics=metrics,
            params=self.params,
            epochs=self.cfg.epochs,
            validation=Metric("val_loss", self.best[0], "lower", "1"),
        )

    def _symmetry(self, bundle: Bundle, ctx: Any) -> list[Metric]:
        """Equivariance of the trained network in float64 under every candidate group, at random elements and at the worst found."""
        net = copy.deepcopy(self.net).double().eval()
        x = torch.as_tensor(np.asarray(bundle.test.x[: self.cfg.meter])).to(ctx.device).double()
        into, out = (Rep(tuple(bundle.meta[k])) for k in ("rep_in", "rep_out"))
        rows = []
        for g in self.groups:
            action: Any = TensorAction(g, into, out)  # has what the meter asks of an action
            generator = torch.Generator().manual_seed(ctx.seed(f"elements {g}"))
            errors = equivariance_errors(net, action, x, draws=4, steps=5, generator=generator)
            rows += [dataclasses.replace(m, name=f"{m.name}_{g}") for m in errors.metrics()]
        return rows

    def _discovery(self, bundle: Bundle) -> list[Metric]:
        """Strengths and residuals by group; whether the strongest candidate is the one the function has."""
        exact, found = bundle.meta["exact"], discovered(self.groups, self.penalty.strengths)
        out = []
        for g, s, r in zip(self.groups, self.penalty.strengths, self.penalty.residuals().tolist(), strict=True):
            out += [Metric(f"strength_{g}", s, "none", "1"), Metric(f"residual_{g}", r, "none", "1")]
        if exact and len(exact) < len(self.groups):
            out.append(Metric("discovered", float(found in exact), "higher", "fraction"))
        return out

    def _draw(self, title: str, ctx: Any) -> None:
        """How far the weights are from each group over the epochs; the dotted line is the adjustment."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(4.5, 3.2))
        axes = figure.add_subplot(xlabel="epoch", ylabel="residual R", yscale="log", title=title)
        for g, s in zip(self.groups, self.penalty.strengths, strict=True):
            curve = ctx.curves.get(f"residual_{g}")
            if curve:
                axes.plot(*zip(*curve, strict=True), label=f"{g}, strength {s:.3g}")
        axes.axvline(self.cfg.adjustment(), color="0.5", linestyle=":")
        if axes.lines[:-1]:
            axes.legend(fontsize=7)
        ctx.save_figure("residuals", figure)
