"""The equivalence of Pre-LN and Pre-(C)RMSNorm as a method of the harness."""

from __future__ import annotations

import copy
import importlib.util
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.schema import Bundle, Metric, Result, SolverMethod
from models.pre_rmsnorm.config import Config
from models.pre_rmsnorm.convert import to_pre_crmsnorm, to_pre_rmsnorm
from models.pre_rmsnorm.equivalence import compare, main_branch_mean, relative_gap, train_beside
from models.pre_rmsnorm.zoo import Case, case

NEEDS = {"timm_vit": "timm", "torchvision_vit": "torchvision"}


class PreRMSNorm(SolverMethod):
    cfg: Config

    def skip(self, bundle: Bundle) -> str | None:
        for name in self.cfg.architectures or []:
            package = NEEDS.get(name)
            if package and importlib.util.find_spec(package) is None:
                return f"{name} needs the package {package}; install it, or leave {name} out of method.architectures"
        return None

    def fit(self, bundle: Bundle, ctx: Any) -> None:
        """Train the Pre-LN ViT in float32, then train it on beside its converted copy, and convert the other architectures."""
        cfg = self.cfg
        needed = ("width", "depth", "patch", "epochs", "steps", "more_epochs", "architectures")
        empty = [name for name in needed if getattr(cfg, name) is None]
        if empty:
            raise ValueError(f"method.{empty[0]} is null at this scale; give it a value or an entry under `at`")
        self.convert = to_pre_rmsnorm if cfg.form == "rms" else to_pre_crmsnorm
        x, y = (torch.as_tensor(np.asarray(a)).to(ctx.device) for a in (bundle.train.x, bundle.train.y))
        self.trained = self._case("vit", bundle, ctx)
        self._train(x, y, ctx)
        self.gaps, self.curves = {}, {}
        for dtype, label in ((torch.float64, "float64"), (torch.float32, "float32")):
            pair = self._again(self.trained, dtype)
            batches = self._batches(x.to(dtype), y, cfg.more_epochs, ctx.seed("shuffle after"))
            self.curves[label] = self._beside(pair, batches)
            self.gaps[label] = float((self.curves[label][:, 0] - self.curves[label][:, 1]).abs().max())
        self.found = {"trained vit": self._measure(self._again(self.trained, torch.float64), x[:64].double(), y[:64])}
        for name in cfg.architectures:
            fresh = self._again(self._case(name, bundle, ctx), torch.float64)
            g = torch.Generator(device=ctx.device).manual_seed(ctx.seed("perturb"))
            with (
                torch.no_grad()
            ):  # scales and offsets of the norms, and means of the writers, that a new model does not have
                for p in fresh.model.parameters():
                    p += 0.1 * torch.randn(p.shape, generator=g, device=p.device, dtype=p.dtype)
            output, gradient, _ = self._measure(fresh, x[:64].double(), y[:64])
            batches = self._batches(x.double(), y, None, ctx.seed("shuffle beside"), cfg.steps)
            self.found[name] = (output, gradient, relative_gap(self._beside(fresh, batches)))

    def _case(self, name: str, bundle: Bundle, ctx: Any) -> Case:
        cfg = self.cfg
        assert cfg.patch and cfg.width and cfg.depth
        torch.manual_seed(ctx.seed("init"))
        sizes = {"patch": cfg.patch, "width": cfg.width, "depth": cfg.depth, "heads": cfg.heads}
        made = case(name, bundle.shape, bundle.n_out, **sizes)
        made.model.to(ctx.device)
        return made

    @staticmethod
    def _again(made: Case, dtype: torch.dtype) -> Case:
        return Case(copy.deepcopy(made.model).to(dtype), made.inputs, made.loss)

    def _measure(self, pair: Case, x: Tensor, y: Tensor) -> tuple[float, float, float]:
        return (*compare(pair, self.convert(pair.model), x, y), 0.0)

    def _beside(self, pair: Case, batches: Iterator[tuple[Tensor, Tensor]]) -> Tensor:
        options = {"lr": self.cfg.lr, "weight_decay": self.cfg.weight_decay}
        return train_beside(pair, self.convert(pair.model), batches, **options).cpu()

    def _batches(
        self, x: Tensor, y: Tensor, epochs: int | None, seed: int, steps: int | None = None
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Shuffled batches of `epochs` passes, or of as many as `steps` need."""
        g, done = torch.Generator().manual_seed(seed), 0
        for _ in range(epochs or steps or 0):
            for index in torch.randperm(len(x), generator=g).split(self.cfg.batch):
                if steps is not None and done == steps:
                    return
                yield x[index], y[index]
                done += 1

    def _train(self, x: Tensor, y: Tensor, ctx: Any) -> None:
        cfg, model = self.cfg, self.trained.model
        assert cfg.epochs is not None
        optimiser = torch.optim.AdamW(model.parameters(), lr=cfg.lr, weight_decay=cfg.weight_decay)
        for epoch in range(cfg.epochs):
            total, n = 0.0, 0
            for xs, ys in self._batches(x, y, 1, ctx.seed(f"shuffle {epoch}")):
                loss = self.trained.loss(model(xs), xs, ys)
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                total, n = total + float(loss.detach()), n + 1
            ctx.log(epoch, train_loss=total / n)

    @torch.no_grad()
    def evaluate(self, bundle: Bundle, ctx: Any) -> Result:
        x = torch.as_tensor(np.asarray(bundle.test.x)).to(ctx.device)
        y = torch.as_tensor(np.asarray(bundle.test.y)).to(ctx.device)
        original = self.trained.model.eval()
        deployed = self.convert(original, deploy=True)
        a, b = original(x), deployed(x)
        wide = copy.deepcopy(original).double()
        mean = 0.0
        if self.cfg.form == "rms":
            converted = self.convert(wide)
            mean = main_branch_mean(converted, converted.blocks, x.double())  # type: ignore[arg-type]
        self._draw(ctx)
        outputs, gradients, losses = zip(*self.found.values(), strict=True)
        metrics = [
            Metric("output_deviation", max(outputs), "lower", "1"),
            Metric("gradient_deviation", max(gradients), "lower", "1"),
            Metric("loss_deviation", max(losses), "lower", "1"),
            Metric("curve_deviation", self.gaps["float64"], "lower", "nat"),
            Metric("curve_deviation_float32", self.gaps["float32"], "lower", "nat"),
            Metric("output_deviation_float32", float((a - b).abs().max()), "lower", "1"),
            Metric("prediction_changes", float((a.argmax(1) != b.argmax(1)).sum()), "lower", "images"),
            Metric("accuracy_pre_ln", float((a.argmax(1) == y).double().mean())),
        ]
        if self.cfg.form == "rms":
            metrics.append(Metric("main_branch_mean", mean, "lower", "1"))
        metrics += [
            Metric(f"output_deviation_{k.replace(' ', '_')}", v[0], "lower", "1") for k, v in self.found.items()
        ]
        params = sum(p.numel() for p in deployed.parameters())
        return Result({"y_score": b.float().cpu().numpy()}, metrics, params=params, epochs=self.cfg.epochs)

    def _draw(self, ctx: Any) -> None:
        """Above: both loss curves after conversion. Below: their difference in both precisions."""
        from matplotlib.figure import Figure

        for step, (u, v) in enumerate(self.curves["float64"].tolist()):
            ctx.log(step, loss_pre_ln=u, loss_converted=v)
        figure = Figure(figsize=(5, 5))
        above, below = figure.subplots(2, 1, sharex=True)
        above.plot(self.curves["float64"][:, 0], label="Pre-LN")
        above.plot(self.curves["float64"][:, 1], ":", label=f"Pre-{self.cfg.form.upper()}Norm")
        above.set(ylabel="training loss", yscale="log", title="trained on after conversion")
        above.legend()
        for label, curve in self.curves.items():
            gap = (curve[:, 0] - curve[:, 1]).abs().double()
            below.plot(gap.clamp(min=1e-18), label=label)
        below.set(xlabel="step", ylabel="difference", yscale="log")
        below.legend()
        ctx.save_figure("training", figure)
