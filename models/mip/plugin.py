"""The noise-conditioned classifier as a method of the harness: convergence and magnitude of hypernetwork parametrisations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from bench.schema import Bundle, Metric, Result, SolverMethod
from models.mip.config import Config
from models.mip.measure import Magnitude, magnitude
from models.mip.primary import primary
from models.mip.wrap import Hypernetised, hypernetise


class Mip(SolverMethod):
    cfg: Config

    def skip(self, bundle: Bundle) -> str | None:
        if len(bundle.shape) != 3:
            return f"images have shape {bundle.shape}; (channels, height, width) is needed"
        return None

    def fit(self, bundle: Bundle, ctx: Any) -> None:
        if self.cfg.epochs is None:
            raise ValueError("method.epochs is null at this scale; give it a value or an entry under `at`")
        net = self._build(bundle, ctx)
        self.magnitude = magnitude(net.hyper)
        self.params = sum(p.numel() for p in net.parameters() if p.requires_grad)
        self.primary, self.thetas = self._train(net, bundle, ctx)
        self.split = net.hyper.split

    def _build(self, bundle: Bundle, ctx: Any) -> Hypernetised:
        torch.manual_seed(ctx.seed("init"))
        cfg = self.cfg
        net = hypernetise(
            primary(cfg.primary, bundle.shape, bundle.n_out, cfg.widths),
            hidden=cfg.hidden,
            encoding=cfg.encoding,
            independent=cfg.independent,
            activation=cfg.activation,
            norm=cfg.norm,
            start=cfg.start,
        )
        if not cfg.conditioned:  # without h the predicted weights are theta_0, an ordinary network
            torch.nn.init.zeros_(net.hyper.last.weight)
            net.hyper.last.weight.requires_grad_(False)
            net.hyper.body.requires_grad_(False)
        return net.to(ctx.device)

    def _train(self, net: Hypernetised, bundle: Bundle, ctx: Any) -> tuple[torch.nn.Module, list[Tensor | None]]:
        """The trained primary network and, after each epoch, theta at the test's gammas; None once the loss was not finite."""
        cfg = self.cfg
        assert cfg.epochs is not None
        x, y = (torch.as_tensor(np.asarray(a)).to(ctx.device) for a in (bundle.train.x, bundle.train.y))
        trained = [p for p in net.parameters() if p.requires_grad]
        optimiser: torch.optim.Optimizer
        if cfg.optimiser == "adam":
            optimiser = torch.optim.Adam(trained, lr=cfg.lr, fused=True)
        else:
            optimiser = torch.optim.SGD(trained, lr=cfg.lr, momentum=0.9, nesterov=True, fused=True)
        grid = torch.tensor(cfg.grid, dtype=x.dtype, device=ctx.device)[:, None]
        thetas: list[Tensor | None] = []
        self.norms: list[float] = []  # of the gradient, in each step of the first epoch
        state = ctx.checkpoint.load()
        if state:
            net.load_state_dict(state["net"])
            optimiser.load_state_dict(state["optimiser"])
            thetas, self.norms, ctx.curves = state["thetas"], state["norms"], state["curves"]
        for epoch in range(len(thetas), cfg.epochs):
            loss = self._epoch(net, optimiser, x, y, torch.Generator().manual_seed(ctx.seed(f"epoch {epoch}")), epoch)
            if not math.isfinite(loss):
                thetas += [None] * (cfg.epochs - epoch)
                break
            ctx.log(epoch + 1, train_loss=loss)
            net.eval()
            with torch.no_grad():
                thetas.append(net.hyper.flat(grid).cpu())
            net.train()
            if ctx.late():
                ctx.checkpoint.save(
                    {
                        "net": net.state_dict(),
                        "optimiser": optimiser.state_dict(),
                        "thetas": thetas,
                        "norms": self.norms,
                        "curves": ctx.curves,
                    }
                )
                ctx.check_deadline()
        return net.primary, thetas

    def _epoch(
        self, net: Hypernetised, optimiser: torch.optim.Optimizer, x: Tensor, y: Tensor, g: torch.Generator, epoch: int
    ) -> float:
        """One pass; the mean loss of its steps, or NaN as soon as one is not finite."""
        total, steps = 0.0, 0
        for index in torch.randperm(len(x), generator=g).split(self.cfg.batch):
            many = len(index) if self.cfg.gamma_per == "sample" else 1
            gamma = torch.rand(many, 1, generator=g).to(x)
            noise = torch.randn(len(index), *x.shape[1:], generator=g).to(x)
            noisy = x[index] + gamma.view(-1, *[1] * (x.dim() - 1)) * noise
            loss = cross_entropy(net(gamma, noisy), y[index])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            if epoch == 0:
                grads = [p.grad for p in net.parameters() if p.grad is not None]
                self.norms.append(float(torch.nn.utils.get_total_norm(grads)))
            optimiser.step()
            total, steps = total + float(loss.detach()), steps + 1
            if not math.isfinite(total):
                return math.nan
        return total / steps

    @torch.no_grad()
    def evaluate(self, bundle: Bundle, ctx: Any) -> Result:
        cfg, net = self.cfg, self.primary.cpu().eval()
        x, y = torch.as_tensor(np.asarray(bundle.test.x)), torch.as_tensor(np.asarray(bundle.test.y))
        noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(ctx.seed("test noise")))
        accuracy, nll, clean = [], [], torch.zeros(len(x), bundle.n_out)
        for epoch, thetas in enumerate(self.thetas, 1):
            hits, losses = [], []
            for i, gamma in enumerate(cfg.grid):
                # a run that diverged knows nothing: equal scores for all classes
                scores = torch.zeros(len(x), bundle.n_out)
                if thetas is not None:
                    scores = functional_call(net, self.split(thetas[i]), (x + gamma * noise,))
                hits.append((scores.argmax(1) == y).double().mean())
                losses.append(cross_entropy(scores, y).double())
                if i == 0:
                    clean = scores
            accuracy.append(float(torch.stack(hits).mean()))
            nll.append(float(torch.stack(losses).mean()))
            ctx.log(epoch, noisy_accuracy=accuracy[-1], noisy_nll=nll[-1])
        self._draw(accuracy, bundle.group, ctx)
        return Result(
            predictions={"y_score": clean.numpy()},
            metrics=self._metrics(accuracy, nll),
            params=self.params,
            epochs=cfg.epochs,
        )

    def _metrics(self, accuracy: list[float], nll: list[float]) -> list[Metric]:
        cfg, m = self.cfg, self.magnitude
        reached = next((e for e, a in enumerate(accuracy, 1) if a >= cfg.target), len(accuracy) + 1)
        norms = np.asarray(self.norms)
        out = [
            Metric("noisy_accuracy", accuracy[-1]),
            Metric("noisy_nll", nll[-1], "lower", "nat"),
            Metric("mean_accuracy", float(np.mean(accuracy))),  # over epochs: the area under the learning curve
            Metric("epochs_to_target", float(reached), "lower", "epochs"),
            Metric("diverged", float(any(t is None for t in self.thetas)), "lower", "fraction"),
            Metric("gradient_cv", float(norms.std() / norms.mean()) if np.isfinite(norms).all() else 0.0, "none", "1"),
        ]
        for e in cfg.report or []:
            out += [
                Metric(f"noisy_accuracy_epoch{e}", accuracy[e - 1]),
                Metric(f"noisy_nll_epoch{e}", nll[e - 1], "lower", "nat"),
            ]
        if cfg.conditioned:
            out += [
                Metric("scale_correlation", m.correlation, "none", "1"),
                Metric("scale_slope", m.slope, "none", "1"),
                Metric("scale_intercept", m.intercept, "none", "1"),
                Metric("proportionality_error", m.proportionality_error, "none", "1"),
                Metric("scale_departure", m.departure, "none", "1"),
                Metric("change_departure", m.change_departure, "none", "1"),
            ]
        return out

    def _draw(self, accuracy: list[float], group: str, ctx: Any) -> None:
        """Left: the standard deviation of predicted weights against gamma, before training. Right: accuracy by epoch."""
        from matplotlib.figure import Figure

        m: Magnitude = self.magnitude
        figure = Figure(figsize=(8, 3.2))
        left, right = figure.subplots(1, 2)
        left.plot(m.grid, m.scale, label=r"$\theta(\gamma)$")
        left.plot(m.grid, m.scale_change, "--", label=r"$\theta(\gamma) - \theta_0$")
        left.set(xlabel=r"$\gamma$", ylabel="standard deviation of weights", ylim=(0, None), title="at the start")
        left.legend()
        right.plot(range(1, len(accuracy) + 1), accuracy, marker=".")
        right.set(xlabel="epoch", ylabel=r"accuracy, mean over $\gamma$", ylim=(0, 1), title=group)
        figure.tight_layout()
        ctx.save_figure("hypernetwork", figure)
