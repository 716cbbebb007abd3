"""The affNIST network, and the plain convolutional network of the same build and number of parameters."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu, layer_norm, max_pool2d

from models.geometry import lie
from models.geometry.lie import Samples
from models.lie_decomposition.layers import GroupConv, LiftingConv


def normed(x: Tensor) -> Tensor:
    """Layer normalisation over all axes but the first, without affine parameters, then GELU."""
    return gelu(layer_norm(x, x.shape[1:]))


def classifier(channels: int, n_out: int, width: int = 256, dropout: float = 0.3) -> nn.Sequential:
    """Features -> scores."""
    return nn.Sequential(
        nn.Linear(channels, width, bias=False),
        nn.LayerNorm(width),
        nn.GELU(),
        nn.Dropout(dropout),
        nn.Linear(width, n_out),
    )


class LieNetwork(nn.Module):
    """Images (N, c, h, w) -> scores (N, n_out): lift, residual blocks, pooling, group convolution, maximum over group and places.

    The lifting layer and the last convolution draw samples, those between use what the lifting layer drew. Draws are new at every
    training step. In evaluation they come from `seed`, so that a network is one function; `eval_draws` of them are averaged
    (probabilities, returned as their logarithm) and `samples` may be set to another number.

    `given`: two sets of samples to use instead of drawing, for the lifting layer and for the last one.
    """

    def __init__(
        self, channels_in: int, n_out: int, *, group: str = "sl2", samples: int = 10, channels: int = 40, blocks: int = 1,
        kernel: int = 5, variance: float = 0.1, sampler: str = "equidistant", both_ends: bool = False,
        angle: str = "chart", parity: bool = False, importance: bool = False, head: int = 256, dropout: float = 0.3,
        eval_draws: int = 1, seed: int = 0, **siren: float,
    ) -> None:  # fmt: skip
        super().__init__()
        self.group, self.samples, self.eval_draws, self.seed = group, samples, eval_draws, seed
        self.law = {"variance": variance, "sampler": sampler, "both_ends": both_ends}
        self.given: Sequence[Samples] | None = None
        options = {"kernel": kernel, "group": group, **siren}
        weights = {"angle": angle, "parity": parity, "importance": importance}
        self.lift = LiftingConv(channels_in, channels, **options)  # type: ignore[arg-type]
        self.blocks = nn.ModuleList(
            nn.ModuleList(GroupConv(channels, channels, padding=kernel // 2, **options, **weights) for _ in "12")  # type: ignore[arg-type]
            for _ in range(blocks)
        )
        self.last = GroupConv(channels, channels, **options, **weights)  # type: ignore[arg-type]
        self.head = classifier(channels, n_out, head, dropout)

    def draw(self, like: Tensor, generator: torch.Generator | None) -> Samples:
        """Group elements in float64, then of the dtype and device of `like`."""
        drawn = lie.sample(self.samples, self.group, generator=generator, **self.law)  # type: ignore[arg-type]
        return Samples(*(a.to(like) for a in drawn))

    def features(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """(N, channels): the maximum over group and places."""
        first, second = self.given or (self.draw(x, generator), self.draw(x, generator))
        first, second = (Samples(*(a.to(x) for a in s)) for s in (first, second))
        x = normed(self.lift(x, first))
        for one, two in self.blocks:  # type: ignore[misc]
            y = normed(two(normed(one(x, first, first)), first, first))
            x = gelu(x + y)
        x = layer_norm(x, x.shape[1:])
        x = gelu(max_pool2d(x.flatten(1, 2), 2).unflatten(1, x.shape[1:3]))
        return normed(self.last(x, first, second)).amax((2, 3, 4))

    def forward(self, x: Tensor) -> Tensor:
        if self.training or self.given:
            return self.head(self.features(x))
        draws = [
            self.head(self.features(x, torch.Generator().manual_seed(self.seed + d))) for d in range(self.eval_draws)
        ]
        if len(draws) == 1:
            return draws[0]
        return torch.stack(draws).log_softmax(-1).exp().mean(0).log()

    def resampled(self, samples: int) -> LieNetwork:
        """The same weights on another number of group samples: the kernels are functions."""
        other = copy.copy(self)
        other.samples = samples
        return other


class PlainNetwork(nn.Module):
    """The same build with ordinary convolutions of `channels` channels, no group axis."""

    def __init__(
        self,
        channels_in: int,
        n_out: int,
        *,
        channels: int = 40,
        blocks: int = 1,
        kernel: int = 5,
        head: int = 256,
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        self.lift = nn.Conv2d(channels_in, channels, kernel)
        self.blocks = nn.ModuleList(
            nn.ModuleList(nn.Conv2d(channels, channels, kernel, padding=kernel // 2) for _ in "12")
            for _ in range(blocks)
        )
        self.last = nn.Conv2d(channels, channels, kernel)
        self.head = classifier(channels, n_out, head, dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = normed(self.lift(x))
        for one, two in self.blocks:  # type: ignore[misc]
            x = gelu(x + normed(two(normed(one(x)))))
        x = gelu(max_pool2d(layer_norm(x, x.shape[1:]), 2))
        return self.head(normed(self.last(x)).amax((2, 3)))


def count(net: nn.Module) -> int:
    """Number of parameters."""
    return sum(p.numel() for p in net.parameters())


def matched_channels(target: int, channels_in: int, n_out: int, **options: int | float) -> int:
    """Channels of the plain network whose number of parameters is nearest to `target`."""
    k2, blocks, head = int(options["kernel"]) ** 2, int(options["blocks"]), int(options["head"])

    def size(c: int) -> int:
        convolutions = c * (channels_in * k2 + 1) + (2 * blocks + 1) * c * (c * k2 + 1)
        return convolutions + c * head + 2 * head + n_out * (head + 1)

    best = 1
    while size(best + 1) <= target:
        best += 1
    return best if target - size(best) <= size(best + 1) - target else best + 1
