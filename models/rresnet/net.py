"""The network of the HDM05 and NTU60 experiments of Wang et al. 2025."""

from __future__ import annotations

from torch import Tensor, nn

from models.nn.spd_layers import BiMap, LogEig, ReEig
from models.rresnet.residual import ResidualStep, SpectrumMap

PARITY_FLOOR = 1e-8
"""Smallest eigenvalue after the residual step in the released script."""


class RResNet(nn.Module):
    """SPD matrices (N, n, n) -> class scores (N, n_out), float64.

    BiMap n -> hidden, `norm`, residual steps, LogEig, Linear on the flattened hidden x hidden logarithm. With
    `official_parity` eigenvalues below 1e-8 are raised to it after each step, as in the released script; its upper bound
    of 1e8 is out of reach of matrices of unit scale and left out.
    """

    def __init__(
        self,
        n: int,
        hidden: int,
        n_out: int,
        norm: nn.Module,
        steps: int = 1,
        channels: int = 3,
        kernel: int = 5,
        official_parity: bool = False,
    ):
        super().__init__()
        self.bimap, self.norm = BiMap(n, hidden), norm
        self.steps = nn.Sequential()
        for _ in range(steps):
            self.steps.append(ResidualStep(hidden, SpectrumMap(channels, kernel)))
            if official_parity:
                self.steps.append(ReEig(PARITY_FLOOR))
        self.log = LogEig()
        self.classifier = nn.Linear(hidden * hidden, n_out).double()

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.log(self.steps(self.norm(self.bimap(x)))).flatten(1))
