"""A shared trunk with a feature head and a cluster head of the same form."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from bench.schema import BenchError
from models.image_classifier.norms import factory
from models.nn.convnets import BasicBlock, ResNet, SmallCNN
from models.nn.mlp import mlp

if TYPE_CHECKING:
    from models.mlc.config import Config


class TwoHeads(nn.Module):
    """x -> (Z, C): both (n, d) with unit rows, one linear head each on the features of the trunk.

    Parameters
    ----------
    trunk : samples -> (n, features)
    """

    def __init__(self, trunk: nn.Module, features: int, dim: int) -> None:
        super().__init__()
        self.trunk = trunk
        self.feature_head = nn.Linear(features, dim)
        self.cluster_head = nn.Linear(features, dim)
        self.copy_head()

    @torch.no_grad()
    def copy_head(self) -> None:
        """The one-shot initialisation of the membership: the cluster head takes the feature head's weights."""
        self.cluster_head.load_state_dict(self.feature_head.state_dict())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h = self.trunk(x)
        return normalize(self.feature_head(h), dim=1), normalize(self.cluster_head(h), dim=1)


def network(cfg: Config, shape: tuple[int, ...]) -> TwoHeads:
    """The network of `cfg` for vectors of `shape` (D,) or images (C, H, W)."""
    cfg = cfg.settled(shape)
    name = cfg.backbone
    if name != "mlp" and len(shape) != 3:
        raise BenchError(f"method.backbone={name} takes images and the samples are vectors of {shape}; use mlp")
    trunk: nn.Module
    if name == "mlp":
        width = cfg.width or 256
        features, size = width, int(torch.Size(shape).numel())
        trunk = nn.Sequential(nn.Flatten(), mlp([size, width, width], last=True))
    else:
        make = factory("bn_relu")
        if name == "small_cnn":
            trunk = SmallCNN(shape[0], make, cfg.width or 32)
        else:
            stem = "cifar" if shape[-1] <= 64 else "imagenet"
            trunk = ResNet(shape[0], make, BasicBlock, (2, 2, 2, 2), stem, width=cfg.width or 64)
        features = trunk.features
    if cfg.hidden:
        h = cfg.hidden
        trunk = nn.Sequential(trunk, nn.Linear(features, h), nn.BatchNorm1d(h), nn.ReLU(), nn.Linear(h, h), nn.ReLU())
        features = h
    return TwoHeads(trunk, features, cfg.dim)
