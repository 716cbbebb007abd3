"""The Lie-group networks and their plain baselines as a method of the harness."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from bench.schema import BenchError, Bundle, LightningMethod, Metric, Result
from models.geometry import warps
from models.geometry.equivariance import Errors, equivariance_errors
from models.lie_decomposition.action import ImageAction
from models.lie_decomposition.config import Config
from models.lie_decomposition.network import LieNetwork, PlainNetwork, count, matched_channels
from models.nn.classifier import Classifier

NULLABLE = (
    "samples",
    "channels",
    "width",
    "head",
    "dropout",
    "variance",
    "batch",
    "lr",
    "weight_decay",
    "meter",
    "meter_factor",
)
METER_SEED = 1  # of the elements of the group; the same for every method, so that errors are compared on the same ones


class Prepared(nn.Module):
    """Images uint8 or in units of white -> normalised, in training moved by random maps, -> `net`."""

    mean: Tensor
    std: Tensor

    def __init__(self, net: nn.Module, meta: dict[str, Any], channels: int, augment: bool) -> None:
        super().__init__()
        self.net, self.law = net, meta["law"] if augment else None
        white = meta.get("white", 1.0)
        for name, default in (("mean", 0.0), ("std", 1.0)):
            values = torch.tensor(meta.get(name, [default] * channels)).view(1, -1, 1, 1)
            self.register_buffer(name, white * values, persistent=False)

    def normalised(self, x: Tensor) -> Tensor:
        return (x.to(self.mean.dtype) - self.mean) / self.std

    def forward(self, x: Tensor) -> Tensor:
        x = x.to(self.mean.dtype)
        if self.training and self.law:
            a = warps.random_affine(len(x), **self.law).to(x.device)
            x = warps.resample(x, warps.homogeneous(a))
        return self.net(self.normalised(x))


class LieDecomposition(LightningMethod):
    cfg: Config

    def skip(self, bundle: Bundle) -> str | None:
        if len(bundle.shape) != 3 or bundle.shape[1] != bundle.shape[2]:
            return f"images have shape {bundle.shape}; square ones (channels, n, n) are needed"
        if bundle.shape[1] < 3 * self.cfg.kernel - 1:
            return f"images of {bundle.shape[1]} pixels are too small for three convolutions of {self.cfg.kernel} and a pooling"
        if self.cfg.augment and not bundle.meta.get("law"):
            return "these data have no law of affine maps to augment by; set method.augment=false"
        return None

    def build(self, bundle: Bundle, cfg: Config) -> Any:
        for name in NULLABLE:
            if getattr(cfg, name) is None:
                raise BenchError(f"method.{name} is null at this scale; give it a value or an entry under `at`")
        net = network(cfg, bundle.shape[0], bundle.n_out)
        self.net = Prepared(net, bundle.meta, bundle.shape[0], cfg.augment)
        assert cfg.epochs is not None
        steps = cfg.max_steps or cfg.epochs * max(1, -(-len(bundle.train) // cfg.batch))

        def optimiser(module: nn.Module) -> Any:
            adam = torch.optim.Adam(module.parameters(), lr=cfg.lr, weight_decay=cfg.weight_decay)  # type: ignore[arg-type]
            cosine = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps, cfg.lr_end)
            return {"optimizer": adam, "lr_scheduler": {"scheduler": cosine, "interval": "step"}}

        return Classifier(self.net, optimiser)

    def run(self, bundle: Bundle, ctx: Any) -> Result:
        result = super().run(bundle, ctx)
        if result.predictions and self.cfg.meter:
            result.metrics += self._symmetry(bundle)
        return result

    def _symmetry(self, bundle: Bundle) -> list[Metric]:
        """Invariance error of the scores under `group`, with the samples of training and with more of them.

        The network is one function here: the samples are those of evaluation, the same for an image and its moved copy.
        """
        cfg, net = self.cfg, self.net.eval()
        x = torch.as_tensor(bundle.test.x[: cfg.meter]).to(net.mean)
        rows = self._errors(net.net, net, x).metrics()
        if isinstance(net.net, LieNetwork) and cfg.meter_factor > 1:
            assert cfg.samples is not None
            many = net.net.resampled(cfg.meter_factor * cfg.samples)
            rows.append(
                Metric("equivariance_error_more", self._errors(many, net, x, steps=0).mean, "lower", "relative")
            )
        return rows

    def _errors(self, net: nn.Module, prepared: Prepared, x: Tensor, steps: int = 3) -> Errors:
        action: Any = ImageAction(self.cfg.group)  # has what the meter asks of an action
        generator = torch.Generator().manual_seed(METER_SEED)

        def scores(images: Tensor) -> Tensor:
            return net(prepared.normalised(images))

        return equivariance_errors(scores, action, x, draws=4, steps=steps, generator=generator)


def network(cfg: Config, channels_in: int, n_out: int) -> nn.Module:
    """The network of a config; of the plain one the number of channels is that which matches the number of parameters best."""
    common: dict[str, Any] = {"blocks": cfg.blocks, "kernel": cfg.kernel, "head": cfg.head}

    def lie_network() -> LieNetwork:
        return LieNetwork(
            channels_in, n_out, group=cfg.group, samples=cfg.samples, channels=cfg.channels, **common, dropout=cfg.dropout,
            variance=cfg.variance, sampler=cfg.sampler, both_ends=cfg.official_parity, parity=cfg.official_parity,
            angle=cfg.angle or "chart", importance=cfg.importance, eval_draws=cfg.eval_draws,
            width=cfg.width, layers=cfg.sine_layers, omega=cfg.omega,
        )  # fmt: skip

    if cfg.network == "lie":
        return lie_network()
    with torch.random.fork_rng(devices=[]):
        target = count(lie_network())
    c = matched_channels(target, channels_in, n_out, **common)
    return PlainNetwork(channels_in, n_out, channels=c, dropout=cfg.dropout, **common)
