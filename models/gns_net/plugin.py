"""Train the small network with each first gamma, or learning rate, and keep the one with the lowest validation loss."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as nnf

from bench.schema import Arrays, Bundle, Metric, Result, SolverMethod
from models.gns.optimizer import GNS
from models.gns_net.config import Config


class SmallNetwork(SolverMethod):
    """Needs a bundle with labels and the splits val and test (`data.shares`)."""

    cfg: Config

    def skip(self, bundle: Bundle) -> str | None:
        if bundle.train.y is None or not bundle.n_out:
            return "the network needs labelled samples, and this objective has none"
        if bundle.val is None or bundle.test is None:
            return "the network needs validation and test samples; give data.shares=[0.6,0.2,0.2]"
        return None

    def fit(self, bundle: Bundle, ctx: Any) -> None:
        """`self.runs`: setting -> (network, curves); `self.best` the setting with the lowest validation loss."""
        c = self.cfg
        settings = c.gammas if c.optimizer == "gns" else c.lrs
        train, val = _tensors(bundle.train), _tensors(bundle.val)
        self.runs = {s: self._train(train, val, bundle.n_out, s, ctx) for s in settings}
        finite = {s: r[1]["val_loss"][-1] for s, r in self.runs.items() if np.isfinite(r[1]["val_loss"][-1])}
        if not finite:
            raise ValueError(f"every setting of {settings} diverged; give smaller ones")
        self.best = min(finite, key=lambda s: finite[s])

    def _train(
        self, train: tuple[Tensor, Tensor], val: tuple[Tensor, Tensor], classes: int, setting: float, ctx: Any
    ) -> tuple[nn.Module, dict[str, list[float]]]:
        c, (x, y) = self.cfg, train
        torch.manual_seed(ctx.seed("init") % 2**63)
        net = nn.Sequential(nn.Linear(x.shape[1], c.hidden), nn.Tanh(), nn.Linear(c.hidden, classes)).double()
        order = ctx.rng("shuffle")
        optimizer: torch.optim.Optimizer
        if c.optimizer == "gns":
            optimizer = GNS(net.parameters(), c.curvature, setting)
        else:
            optimizer = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}[c.optimizer](net.parameters(), lr=setting)
        curves: dict[str, list[float]] = {"train_loss": [], "val_loss": [], "seconds": []}
        spent = 0.0
        for epoch in range((c.epochs or 1) + 1):
            start = time.perf_counter()
            if epoch:
                for index in torch.as_tensor(order.permutation(len(x))).split(c.batch):
                    self._step(net, optimizer, x[index], y[index])
            spent += time.perf_counter() - start
            with torch.no_grad():
                curves["train_loss"].append(float(nnf.cross_entropy(net(x), y)))
                curves["val_loss"].append(float(nnf.cross_entropy(net(val[0]), val[1])))
            curves["seconds"].append(spent)
            if not np.isfinite(curves["train_loss"][-1]):
                break
        return net, curves

    @staticmethod
    def _step(net: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor) -> None:
        def losses() -> Tensor:
            return nnf.cross_entropy(net(x), y, reduction="none")

        if isinstance(optimizer, GNS):
            optimizer.step(losses)
        else:
            optimizer.zero_grad(set_to_none=True)
            losses().mean().backward()
            optimizer.step()

    def evaluate(self, bundle: Bundle, ctx: Any) -> Result:
        net, curves = self.runs[self.best]
        x, y = _tensors(bundle.test)
        for epoch in range(len(curves["val_loss"])):
            ctx.log(epoch, **{name: values[epoch] for name, values in curves.items()})
        ctx.save_figure("training", self._draw(bundle.group))
        with torch.no_grad():
            score = net(x)
        metrics = [
            Metric("test_nll", float(nnf.cross_entropy(score, y)), "lower", "nat"),
            Metric("accuracy", float((score.argmax(1) == y).double().mean())),
            Metric("train_loss", curves["train_loss"][-1], "lower", "nat"),
            Metric("setting", float(self.best), "none", "1"),
            Metric("train_seconds", curves["seconds"][-1], "lower", "s"),
        ]
        return Result(
            metrics=metrics,
            params=sum(p.numel() for p in net.parameters()),
            epochs=len(curves["val_loss"]) - 1,
            n_trials=len(self.runs),
            validation=Metric("val_loss", curves["val_loss"][-1], "lower", "nat"),
        )

    def _draw(self, title: str) -> Any:
        """Training loss of every setting against epochs and seconds."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(8, 3.4))
        for i, budget in enumerate(("epoch", "seconds")):
            axes = figure.add_subplot(1, 2, i + 1, xlabel=budget, ylabel="training loss", yscale="log")
            for setting, (_, curves) in self.runs.items():
                x = range(len(curves["train_loss"])) if budget == "epoch" else curves["seconds"]
                axes.plot(x, curves["train_loss"], label=f"{setting:g}", linewidth=2 if setting == self.best else 1)
            axes.legend(fontsize=7, title="gamma" if self.cfg.optimizer == "gns" else "lr")
        figure.suptitle(f"{self.cfg.optimizer}, {title}")
        figure.subplots_adjust(wspace=0.3)
        return figure


def _tensors(split: Arrays) -> tuple[Tensor, Tensor]:
    """x (n, k) float64 and class indices (n,) int64; labels -1, +1 become 0, 1."""
    y = np.asarray(split.y)
    return torch.as_tensor(split.x), torch.as_tensor((y > 0) if y.min() < 0 else y).long()
