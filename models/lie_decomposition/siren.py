"""A kernel as a function: a small network with sine activations from coordinates to the weights of a convolution."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


class Siren(nn.Module):
    """y = sin(omega (W x + b)), `layers` times, then a linear map: (..., d_in) -> (..., d_out).

    Start: the first W is uniform in +-1/d_in and its bias torch's own; the others in +-sqrt(6 / width) / omega, bias 0; the last in
    +-sqrt(6 / width) / sqrt(fan_in), bias 0, with `fan_in` the number of input values that one output of the convolution sums.
    """

    def __init__(
        self, d_in: int, d_out: int, *, width: int = 60, layers: int = 3, omega: float = 10.0, fan_in: float = 1.0
    ) -> None:
        super().__init__()
        self.omega = omega
        self.hidden = nn.ModuleList(nn.Linear(d_in if k == 0 else width, width) for k in range(layers))
        self.last = nn.Linear(width, d_out)
        with torch.no_grad():
            for k, layer in enumerate(self.hidden):
                bound = 1 / d_in if k == 0 else math.sqrt(6 / width) / omega
                layer.weight.uniform_(-bound, bound)
                if k > 0:
                    layer.bias.zero_()
            bound = math.sqrt(6 / width) / math.sqrt(fan_in)
            self.last.weight.uniform_(-bound, bound)
            self.last.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.hidden:
            x = torch.sin(self.omega * layer(x))
        return self.last(x)
