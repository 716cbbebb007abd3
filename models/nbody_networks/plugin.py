"""Particle networks as a method of the harness."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from bench.schema import Bundle, LightningMethod, Metric, Result
from models.frame_averaging.fa_gnn import FAGNN
from models.geometry.equivariance import EuclideanAction, equivariance_errors
from models.geometry.frames import FrameAveraging, random_orthogonal
from models.nbody_networks.config import Config
from models.nn.particle_gnn import EGNN, GNN
from models.nn.regressor import Regressor


class ByCharge(nn.Module):
    """The network under the signature (x, v, charge); frame averaging takes what does not turn by name."""

    def __init__(self, net: nn.Module, averaged: bool) -> None:
        super().__init__()
        self.net, self.averaged = net, averaged

    def forward(self, x: Tensor, v: Tensor, charge: Tensor) -> Tensor:
        return self.net(x, v, charge=charge) if self.averaged else self.net(x, v, charge)


def network(cfg: Config) -> ByCharge:
    """The module (x (B, n, 3), v (B, n, 3), charge (B, n)) -> positions (B, n, 3)."""
    if cfg.frames == "layers":
        return ByCharge(FAGNN(cfg.width, cfg.layers, cfg.group), averaged=False)
    inner = (EGNN if cfg.network == "egnn" else GNN)(cfg.width, cfg.layers)
    if cfg.frames == "none":
        return ByCharge(inner, averaged=False)
    wrapper = FrameAveraging(inner, cfg.group, "equivariant", positions=True, on_degenerate="ignore")
    return ByCharge(wrapper, averaged=True)


def predict(net: nn.Module, x: Tensor) -> Tensor:
    return net(x[..., :3], x[..., 3:6], x[..., 6])


def loss(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return nn.functional.mse_loss(predict(net, x), y)


def turn(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """A random rotation and translation for every sample."""
    r = random_orthogonal(len(x), 3, proper=True, dtype=x.dtype, device=x.device).mT
    t = torch.randn(len(x), 1, 3, dtype=x.dtype, device=x.device)
    return torch.cat([x[..., :3] @ r + t, x[..., 3:6] @ r, x[..., 6:]], -1), y @ r + t


class NBodyNetwork(LightningMethod):
    cfg: Config

    def build(self, bundle: Bundle, cfg: Config) -> Any:
        self.module = Regressor(
            network(cfg), loss, predict, lr=cfg.lr, weight_decay=cfg.weight_decay, augment=turn if cfg.augment else None
        )
        return self.module

    def run(self, bundle: Bundle, ctx: Any) -> Result:
        result = super().run(bundle, ctx)
        if result.predictions:
            result.metrics += self._symmetry(torch.as_tensor(bundle.test.x[: self.cfg.meter]), ctx)
        return result

    def _symmetry(self, x: Tensor, ctx: Any) -> list[Metric]:
        """Equivariance of the trained network in float64, under the group of its frames (E(3) where it has none)."""
        net = self.module.net.double().eval()
        x = x.double().to(next(net.parameters()).device)
        action = EuclideanAction(self.cfg.group, "position")
        generator = torch.Generator().manual_seed(ctx.seed("meter"))
        errors = equivariance_errors(
            lambda p, v: net(p, v, x[..., 6]), action, x[..., :3], x[..., 3:6], draws=4, steps=5, generator=generator
        )
        flagged = getattr(net.net, "degenerate", None)
        rows = errors.metrics()
        if flagged is not None:
            rows.append(Metric("degenerate", float(flagged.double().mean()), "lower"))
        return rows
