"""Point-cloud networks as a method of the harness."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from bench.schema import Bundle, LightningMethod, Metric, Result
from models.geometry.equivariance import EuclideanAction, equivariance_errors
from models.geometry.frames import random_orthogonal
from models.nn.pointnet import PointNet
from models.nn.regressor import Regressor
from models.point_networks.config import Config
from models.point_networks.net import network

ORTHOGONALITY = 1e-3  # weight of PointNet's loss on its feature transform


def unit_normals(net: nn.Module, x: Tensor) -> Tensor:
    return normalize(net(x), dim=-1)


def log_scores(net: nn.Module, x: Tensor) -> Tensor:
    return torch.log_softmax(net(x), -1)


def _penalty(net: nn.Module) -> Tensor | float:
    parts = [m.orthogonality for m in net.modules() if isinstance(m, PointNet) and m.orthogonality is not None]
    return ORTHOGONALITY * torch.stack(parts).sum() if parts else 0.0


def normals_loss(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """mean(1 - <n, y>^2): the sign of a normal is free."""
    return (1 - (unit_normals(net, x) * y).sum(-1).square()).mean() + _penalty(net)


def class_loss(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return cross_entropy(net(x), y) + _penalty(net)


def turn(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """A random rotation of every cloud, and of its normals where y holds them."""
    r = random_orthogonal(len(x), 3, proper=True, dtype=x.dtype, device=x.device).mT
    return x @ r, y @ r if y.dim() == 3 else y


class PointNetwork(LightningMethod):
    cfg: Config

    def skip(self, bundle: Bundle) -> str | None:
        n, normals = bundle.shape[0], bundle.meta["target"] == "normals"
        if self.cfg.backbone == "dgcnn" and n < self.cfg.neighbours:
            return f"clouds have {n} points and DGCNN wants {self.cfg.neighbours} neighbours; lower method.neighbours"
        if normals and self.cfg.wrapper == "mds" and self.cfg.sign != "moment":
            return f"method.sign={self.cfg.sign} averages what should turn with the cloud; normals need sign=moment or wrapper=frames"
        return None

    def build(self, bundle: Bundle, cfg: Config) -> Any:
        normals = bundle.meta["target"] == "normals"
        self.module = Regressor(
            network(cfg, bundle.n_out, normals),
            normals_loss if normals else class_loss,
            unit_normals if normals else log_scores,
            output="y" if normals else "y_score",
            lr=cfg.lr,
            augment=turn if cfg.augment else None,
        )
        return self.module

    def run(self, bundle: Bundle, ctx: Any) -> Result:
        result = super().run(bundle, ctx)
        if result.predictions:
            result.metrics += self._symmetry(bundle, ctx)
        return result

    def _symmetry(self, bundle: Bundle, ctx: Any) -> list[Metric]:
        """Equivariance of the trained network in float64: scores under rotation, reflection, translation (and scale for MDS)."""
        net = self.module.net.double().eval()
        normals, cfg = bundle.meta["target"] == "normals", self.cfg
        x = torch.as_tensor(bundle.test.x[: cfg.meter]).double().to(next(net.parameters()).device)
        scale = cfg.wrapper == "mds" and cfg.scale_rule != "none"
        group = "SE(3)" if cfg.wrapper == "mds" and cfg.proper else cfg.group
        action = EuclideanAction(group, "line" if normals else "invariant", scale=scale)
        generator = torch.Generator().manual_seed(ctx.seed("meter"))
        torch.manual_seed(ctx.seed("votes"))
        f = (lambda p: normalize(net(p), dim=-1)) if normals else net
        rows = equivariance_errors(f, action, x, draws=4, steps=5, generator=generator).metrics()
        net(torch.as_tensor(bundle.test.x).double().to(x.device)[: 4 * cfg.meter])
        flagged = getattr(net, "degenerate", None)
        flagged = getattr(net, "ambiguous", None) if flagged is None else flagged
        if flagged is not None:
            rows.append(Metric("degenerate", float(flagged.double().mean()), "lower"))
        return rows
