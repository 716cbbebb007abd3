"""EvoNorm layers for x (N, C, H, W): they take the place of normalisation and activation together (arXiv 2004.02967).

Per channel: gamma (`weight`, starts at 1, or 0 with `zero`), beta (`bias`, 0) and v (1). Variances are biased and inside the square
root with eps; x itself is never centred. No activation follows. Statistics are taken in float32 at least.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def _channels(x: Tensor, c: int) -> Tensor:
    """The input in float32 at least, after its shape was checked."""
    if x.dim() != 4 or x.shape[1] != c:
        raise ValueError(f"x has shape {tuple(x.shape)}; this layer takes (N, {c}, H, W)")
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


class _Sum(torch.autograd.Function):
    """Sum over the processes of a run; the gradient of every process reaches all of them."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        x = x.clone()
        torch.distributed.all_reduce(x)
        return x

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        grad = grad.clone()
        torch.distributed.all_reduce(grad)
        return grad


class ScaleShift(nn.Module):
    """gamma x + beta: what an EvoNorm layer is where no activation follows (the last layer of a block, a projection shortcut)."""

    def __init__(self, channels: int, zero: bool = False) -> None:
        super().__init__()
        self.channels = channels
        self.weight = nn.Parameter(torch.full((channels,), 0.0 if zero else 1.0))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        if x.dim() != 4 or x.shape[1] != self.channels:
            raise ValueError(f"x has shape {tuple(x.shape)}; this layer takes (N, {self.channels}, H, W)")
        return x * self.weight.view(1, -1, 1, 1).to(x.dtype) + self.bias.view(1, -1, 1, 1).to(x.dtype)

    def extra_repr(self) -> str:
        return f"{self.channels}"


class EvoNormB0(ScaleShift):
    """y = gamma x / max(sqrt(s2_batch + eps), v x + sqrt(s2_instance + eps)) + beta.

    s2_batch is the variance of a channel over (N, H, W); in evaluation its moving average (start 1, weight `momentum` of the new
    value, biased) takes its place. s2_instance is the variance over (H, W) of each sample, always of the input. In several processes
    s2_batch is that of the whole batch, gradients included.

    Parameters
    ----------
    channels : C
    eps : under both roots; momentum : weight of a new batch in `running_var`
    """

    running_var: Tensor

    def __init__(self, channels: int, eps: float = 1e-5, momentum: float = 0.1, zero: bool = False) -> None:
        super().__init__(channels, zero)
        self.eps, self.momentum = eps, momentum
        self.v = nn.Parameter(torch.ones(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        z = _channels(x, self.channels)
        instance, mean = torch.var_mean(z, (2, 3), correction=0, keepdim=True)
        if self.training:
            batch = self._batch_variance(z, instance, mean)
            with torch.no_grad():
                self.running_var.lerp_(batch.detach().to(self.running_var.dtype), self.momentum)
        else:
            batch = self.running_var.to(z.dtype)
        left = (batch + self.eps).sqrt().view(1, -1, 1, 1)
        right = torch.addcmul((instance + self.eps).sqrt(), self.v.view(1, -1, 1, 1), z)
        return torch.addcmul(
            self.bias.view(1, -1, 1, 1), self.weight.view(1, -1, 1, 1), z / torch.maximum(left, right)
        ).to(x.dtype)

    def _batch_variance(self, z: Tensor, instance: Tensor, mean: Tensor) -> Tensor:
        """Variance over (N, H, W), (C,), from those of the samples: mean of variances plus variance of means."""
        first, second = mean.mean((0, 2, 3)), (instance + mean.square()).mean((0, 2, 3))
        if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
            return instance.mean((0, 2, 3)) + mean.var((0, 2, 3), correction=0)
        n = torch.full((1,), float(len(z)), dtype=z.dtype, device=z.device)
        total = _Sum.apply(torch.cat([n, n * first, n * second]))
        return (total[1 + self.channels :] - total[1 : 1 + self.channels].square() / total[0]) / total[0]

    def extra_repr(self) -> str:
        return f"{self.channels}, eps={self.eps:g}, momentum={self.momentum:g}"


class EvoNormS0(ScaleShift):
    """y = gamma x sigmoid(v x) / sqrt(s2_group + eps) + beta.

    s2_group is the variance over (H, W) and the C / G channels of a group, of each sample: nothing depends on the other samples, and
    training and evaluation are the same function. G is the largest number up to `groups` that divides C.
    """

    def __init__(self, channels: int, groups: int = 32, eps: float = 1e-5, zero: bool = False) -> None:
        super().__init__(channels, zero)
        self.eps, self.groups = eps, largest_divisor(channels, groups)
        self.v = nn.Parameter(torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        z = _channels(x, self.channels)
        n, c, h, w = z.shape
        if (c // self.groups) * h * w < 2:
            raise ValueError(
                f"a group of EvoNorm-S0 holds one value of x {tuple(x.shape)}: its variance is 0; use fewer groups (groups={self.groups})"
            )
        variance = z.reshape(n, self.groups, -1).var(2, correction=0)
        scale = (variance + self.eps).rsqrt().repeat_interleave(c // self.groups, 1)
        scale = (scale * self.weight).view(n, c, 1, 1)
        return torch.addcmul(self.bias.view(1, -1, 1, 1), z * torch.sigmoid(self.v.view(1, -1, 1, 1) * z), scale).to(
            x.dtype
        )

    def extra_repr(self) -> str:
        return f"{self.channels}, groups={self.groups}, eps={self.eps:g}"


def largest_divisor(channels: int, groups: int) -> int:
    """The largest number up to `groups` that divides `channels`."""
    if channels < 1 or groups < 1:
        raise ValueError(f"channels={channels} and groups={groups} must be at least 1")
    return next(g for g in range(min(groups, channels), 0, -1) if channels % g == 0)
