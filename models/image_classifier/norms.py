"""Normalisation and activation as one exchangeable layer of convolutional networks, x (N, C, H, W).

A factory `make(channels, act=True, zero=False)` gives the layer: with `act` normalisation and activation, without it what stands
where no activation follows; `zero` starts its scale at 0, so that a residual block starts as the identity.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn.functional import group_norm, relu

from models.evonorm.layers import EvoNormB0, EvoNormS0, ScaleShift, largest_divisor

NormAct = Callable[..., nn.Module]


class BatchNormReLU(nn.BatchNorm2d):
    """Batch normalisation and ReLU; names of parameters and buffers as in `nn.BatchNorm2d`."""

    def forward(self, input: Tensor) -> Tensor:
        return relu(super().forward(input), inplace=True)

    def shared(self) -> nn.SyncBatchNorm:
        """The same layer, with the same parameters and buffers, for the batch of all GPUs together."""
        made = SyncBatchNormReLU(self.num_features, self.eps, self.momentum, self.affine, self.track_running_stats)
        made._parameters, made._buffers, made.training = self._parameters, self._buffers, self.training
        return made


class SyncBatchNormReLU(nn.SyncBatchNorm):
    """`BatchNormReLU` whose statistics are those of the batch of all GPUs together."""

    def forward(self, input: Tensor) -> Tensor:
        return relu(super().forward(input), inplace=True)


class GroupNormReLU(nn.GroupNorm):
    """Group normalisation and ReLU."""

    def forward(self, input: Tensor) -> Tensor:
        return relu(group_norm(input, self.num_groups, self.weight, self.bias, self.eps), inplace=True)


def factory(name: str, groups: int = 32) -> NormAct:
    """The layers called bn_relu, gn_relu, evonorm_b0 or evonorm_s0; `groups` for gn_relu and evonorm_s0, lowered to a divisor."""

    def make(channels: int, act: bool = True, zero: bool = False) -> nn.Module:
        layer: nn.Module
        if name == "bn_relu":
            layer = BatchNormReLU(channels) if act else nn.BatchNorm2d(channels)
        elif name == "gn_relu":
            g = largest_divisor(channels, groups)
            layer = GroupNormReLU(g, channels) if act else nn.GroupNorm(g, channels)
        elif not act:
            return ScaleShift(channels, zero)
        else:
            layer = EvoNormB0(channels) if name == "evonorm_b0" else EvoNormS0(channels, groups)
        if zero:
            nn.init.zeros_(layer.weight)
        return layer

    if name not in ("bn_relu", "gn_relu", "evonorm_b0", "evonorm_s0"):
        raise ValueError(f"norm {name!r} is unknown; use bn_relu, gn_relu, evonorm_b0 or evonorm_s0")
    return make
