"""The linear maps around a zero-mean main branch: writers into it and readers of its norm, computed from the original parameters.

A writer gives W u + b minus its mean over the d outputs; recentring is linear, so it is done once on W and b. A reader of
LN(x) = gamma * n(x) + beta has W diag(gamma) and b + W beta on n(x). With `compress` the main branch has d - 1 entries: the writer drops
the last output, the reader takes W[:, :-1] - W[:, -1:] (Jiang et al., NeurIPS 2023, sections 3.2 and 3.3).

The parameters are those of the original model and everything else is computed from them in the forward pass, so that gradients,
and with them every optimiser's trajectory, are the original's. `plain()` gives the ordinary layer with the computed weights.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, linear

from models.pre_rmsnorm.norms import Centre


def centred(weight: Tensor, compress: bool) -> Tensor:
    """weight (d, ...) minus its mean over the outputs, which are the rows; with `compress` without its last row."""
    weight = weight - weight.mean(0, keepdim=True)
    return weight[:-1] if compress else weight


class Writer(nn.Module):
    """A linear or convolutional layer that writes into the main branch; `scale` (d,), or None, is a following LayerScale."""

    def __init__(self, layer: nn.Linear | nn.Conv2d, compress: bool, scale: nn.Parameter | None = None) -> None:
        super().__init__()
        self.layer, self.compress = layer, compress
        self.register_parameter("scale", scale)

    def weights(self) -> tuple[Tensor, Tensor | None]:
        weight, bias = self.layer.weight, self.layer.bias
        if self.scale is not None:
            weight = self.scale.view(-1, *[1] * (weight.dim() - 1)) * weight
            bias = None if bias is None else self.scale * bias
        return centred(weight, self.compress), None if bias is None else centred(bias, self.compress)

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.weights()
        if isinstance(self.layer, nn.Conv2d):
            return self.layer._conv_forward(x, weight, bias)  # keeps stride, padding mode and dilation
        return linear(x, weight, bias)

    def plain(self) -> nn.Module:
        weight, bias = self.weights()
        if isinstance(self.layer, nn.Linear):
            return _linear(weight, bias)
        c = self.layer
        out = nn.Conv2d(
            c.in_channels,
            len(weight),
            c.kernel_size,  # type: ignore[arg-type]
            c.stride,  # type: ignore[arg-type]
            c.padding,  # type: ignore[arg-type]
            c.dilation,  # type: ignore[arg-type]
            c.groups,
            bias is not None,
            c.padding_mode,
        )
        return _filled(out, weight, bias)


class TableWriter(nn.Module):
    """An embedding table whose rows are written into the main branch: each row minus its mean."""

    def __init__(self, layer: nn.Embedding, compress: bool) -> None:
        super().__init__()
        if layer.max_norm is not None or layer.scale_grad_by_freq or layer.sparse:
            raise ValueError("an embedding with max_norm, scale_grad_by_freq or sparse cannot be recentred; use none")
        self.layer, self.centre = layer, Centre(compress)

    def forward(self, ids: Tensor) -> Tensor:
        # entries are recentred after the look-up: a batch has fewer tokens than a vocabulary has rows
        return self.centre(embedding(ids, self.layer.weight, self.layer.padding_idx))

    def plain(self) -> nn.Module:
        weight = self.centre(self.layer.weight)
        return _filled(nn.Embedding(*weight.shape, padding_idx=self.layer.padding_idx), weight, None)


class Reader(nn.Module):
    """A linear layer that reads gamma * n(x) + beta, as one layer on n(x); gamma, beta (d,) or None are the norm's own."""

    def __init__(
        self, layer: nn.Linear, compress: bool, gamma: nn.Parameter | None = None, beta: nn.Parameter | None = None
    ) -> None:
        super().__init__()
        self.layer, self.compress = layer, compress
        self.register_parameter("gamma", gamma)
        self.register_parameter("beta", beta)

    def weights(self) -> tuple[Tensor, Tensor | None]:
        weight, bias = self.layer.weight, self.layer.bias
        if self.beta is not None:
            moved = weight @ self.beta
            bias = moved if bias is None else bias + moved
        if self.gamma is not None:
            weight = weight * self.gamma
        if self.compress:
            weight = weight[:, :-1] - weight[:, -1:]
        return weight, bias

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, *self.weights())

    def plain(self) -> nn.Module:
        return _linear(*self.weights())


class Affine(nn.Module):
    """gamma * x + beta where no linear layer follows a norm."""

    def __init__(self, gamma: nn.Parameter | None, beta: nn.Parameter | None) -> None:
        super().__init__()
        self.register_parameter("gamma", gamma)
        self.register_parameter("beta", beta)

    def forward(self, x: Tensor) -> Tensor:
        if self.gamma is not None:
            x = x * self.gamma
        return x if self.beta is None else x + self.beta


def _linear(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    return _filled(nn.Linear(weight.shape[1], weight.shape[0], bias is not None), weight, bias)


def _filled(layer: nn.Module, weight: Tensor, bias: Tensor | None) -> nn.Module:
    """The layer with these weights, in their dtype and on their device."""
    layer.to(weight.device, weight.dtype)
    with torch.no_grad():
        layer.weight.copy_(weight)
        if bias is not None:
            layer.bias.copy_(bias)
    return layer
