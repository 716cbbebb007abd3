"""The image classifier as a method of the harness."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bench.schema import Arrays, BenchError, Bundle, LightningMethod, Metric, Result, load_object
from models.image_classifier.backbones import backbone
from models.image_classifier.config import HEADS, LIBRARY, TRANSFORMERS, Config
from models.image_classifier.module import Network, Training
from models.nn import feature_quality


class ImageClassifier(LightningMethod):
    """Builds the network of the config; after training measures what the papers of its parts talk about."""

    cfg: Config
    module: Training  # after `build`; for measurements on the trained network

    def skip(self, bundle: Bundle) -> str | None:
        if self.cfg.backbone in LIBRARY and bundle.shape[-1] < 32:
            return f"{self.cfg.backbone} takes images of 32 pixels or more, and these have {bundle.shape[-1]}"
        return None

    def build(self, bundle: Bundle, cfg: Config) -> Training:
        if len(bundle.shape) not in (1, 3):
            raise BenchError(
                f"samples have the shape {bundle.shape}; (channels, height, width) or (features,) is needed"
            )
        body = backbone(cfg, bundle.shape)
        head = load_object(HEADS[cfg.head])(body.features, bundle.n_out, cfg)
        meta = bundle.meta
        c = bundle.shape[0]
        net = Network(
            body,
            head,
            meta.get("mean", [0.0] * c),
            meta.get("std", [1.0] * c),
            meta.get("white", 255.0),
            cfg.channels_last,
        )
        net.to(memory_format=net.layout)  # type: ignore[call-overload]
        if cfg.compiled:
            net.compile()  # in place: names of parameters stay, and so do checkpoints
        self.module = Training(net, cfg, bundle.n_out)
        self.norms = norms(net, body.normalised)
        return self.module

    def batches(self, split: Any, generator: torch.Generator) -> list[list[int]] | None:
        """With repeated augmentation: batches of images in random order, each followed by its other views.

        An epoch still has as many samples as the split, so it sees one `repeats`-th of the images. Index i + k n is the k-th view of
        image i of n.
        """
        r, n = self.cfg.repeats, len(split)
        if r == 1:
            return None
        if not getattr(split, "random", False):
            raise BenchError(f"method.repeats={r} needs random augmentation; set data.augment or leave repeats at 1")
        images = torch.randperm(n, generator=generator)[: max(1, n // r)]
        views = (images[:, None] + n * torch.arange(r)).flatten().tolist()
        batch = self.cfg.batch or n
        return [views[i : i + batch] for i in range(0, max(1, len(views) - len(views) % batch), batch)]

    def run(self, bundle: Bundle, ctx: Any) -> Result:
        result = super().run(bundle, ctx)
        if not result.predictions:  # a process beside the first
            return result
        net = self.module.net
        result.params = sum(p.numel() for p in net.parameters())
        if ctx.timed_s and self.module.images:
            # seconds, not their inverse: the frame knows units of time as measurements of the run
            result.metrics.append(Metric("s_per_1000_images", 1000 * ctx.timed_s / self.module.images, "none", "s"))
        if self.cfg.backbone not in TRANSFORMERS:
            few = _first(bundle.train, 2)
            result.metrics.append(Metric("mode_gap", self.module.mode_gap(few.to(ctx.device)), "lower", "logit"))
        result.metrics += _top5(result, bundle)
        result.metrics += self._norm_growth(net)
        result.metrics += self._projected()
        tested: Any = net if self.module.average is None else self.module.average.module
        if hasattr(tested.head, "measure"):
            result.metrics += tested.head.measure(bundle)
        if hasattr(tested.head, "draw"):
            ctx.save_figure("head", tested.head.draw())
        if self.cfg.feature_metrics:
            result.metrics += self._features(tested, bundle, ctx.device)
        if result.metrics:
            self._draw(ctx)
        return result

    def _features(self, net: Network, bundle: Bundle, device: str) -> list[Metric]:
        """Spread and separation of the test features; accuracy of a linear probe on classes that were not learned."""
        net.eval()
        z, y = feature_quality.embed(net.features, bundle.test, device)
        out = [Metric("separation", feature_quality.separation(z, y), "none", "1")]
        if int(y.bincount().max()) > 1:  # else no two features share a class
            # higher: the claim that features which keep their variety inside a class transfer better
            out.append(Metric("variability", feature_quality.variability(z, y), "higher", "degree"))
        if other := bundle.meta.get("transfer"):
            train, test = (feature_quality.embed(net.features, other[part], device) for part in ("train", "test"))
            out.append(Metric("linear_probe", feature_quality.linear_probe(train, test)))
        return out

    def _norm_growth(self, net: Network) -> list[Metric]:
        """||w_end|| / ||w_start|| - 1 of convolutions that a normalisation follows, but for the first, which sees raw images: mean."""
        after = norms(net, net.backbone.normalised)  # type: ignore[arg-type]
        growth = [float(after[n] / self.norms[n] - 1) for n in list(after)[1:]]
        return [Metric("norm_growth", sum(growth) / len(growth), "lower", "1")] if growth else []

    def _projected(self) -> list[Metric]:
        """Share of steps in which AdamP or SGDP projected: normalised convolutions, and the head's matrix (not scale-invariant)."""
        opt: Any = self.module.optimizers()
        opt = getattr(opt, "optimizer", opt)
        if not hasattr(opt, "projected_steps") or not self.module.images:
            return []
        name = {p: n for n, p in self.module.net.named_parameters()}
        steps = {name[p]: sum(v) for p, v in opt.projected_steps().items()}
        total = max(1, self.module.trainer.global_step)
        normalised = {f"backbone.{n}" for n in self.module.net.backbone.normalised}  # type: ignore[union-attr]
        shares = [steps[n] / total for n in normalised if n in steps]
        head = [s / total for n, s in steps.items() if n.startswith("head.")]
        out = [Metric("projected_convolutions", sum(shares) / len(shares), "none", "fraction")] if shares else []
        return out + ([Metric("projected_head", sum(head) / len(head), "none", "fraction")] if head else [])

    def _draw(self, ctx: Any) -> None:
        """Losses and validation accuracy against epochs."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7, 3))
        left = figure.add_subplot(1, 2, 1, xlabel="epoch", ylabel="loss (nat)")
        right = figure.add_subplot(1, 2, 2, xlabel="epoch", ylabel="validation accuracy")
        for axes, names in ((left, ("train_loss", "val_loss")), (right, ("val_accuracy",))):
            for name in names:
                if name in ctx.curves:
                    axes.plot(*zip(*ctx.curves[name], strict=True), label=name)
                    axes.legend()
        figure.tight_layout()
        ctx.save_figure("training", figure)


def _top5(result: Result, bundle: Bundle) -> list[Metric]:
    """Share of test images whose class is among the five of largest score, where there are more than 20 classes."""
    if bundle.n_out <= 20:
        return []
    scores = torch.as_tensor(result.predictions["y_score"])
    hit = scores.topk(5, dim=1).indices == torch.as_tensor(bundle.test.y).unsqueeze(1)
    return [Metric("accuracy_top5", float(hit.any(1).double().mean()))]


def _first(split: Any, n: int) -> Tensor:
    """The first n images of a split, Arrays or a data set."""
    return torch.as_tensor(split.x[:n]) if isinstance(split, Arrays) else torch.stack([split[i][0] for i in range(n)])


def norms(net: Network, names: tuple[str, ...]) -> dict[str, Tensor]:
    """Norms of weights of the backbone by name."""
    found = dict(net.backbone.named_parameters())
    return {n: found[n].detach().norm().cpu() for n in names}
