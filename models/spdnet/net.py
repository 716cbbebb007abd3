"""The network of the MAMEM experiment of Wang et al. 2025 (front end from MAtt), sizes by choice."""

from __future__ import annotations

from torch import Tensor, nn

from models.gbw_rbn.norm import GBWBatchNorm
from models.liebn.norm import METRICS, LieBatchNorm
from models.nn.eeg_frontend import CovarianceFrontEnd
from models.nn.spd_layers import BiMap, LogEig, ReEig
from models.nn.spd_norms import BrooksBatchNorm

# spatial maps, temporal maps, kernel, size after BiMap
SIZES = {"ssvep": (125, 15, 36, 12), "imagery": (22, 20, 12, 18)}


def normalisation(name: str, n: int, *, theta: float, momentum: float, eps: float, official_parity: bool) -> nn.Module:
    """The layer between BiMap and ReEig for matrices (..., n, n) in float64; Identity for "none"."""
    if name in ("gbw", "bw"):
        return GBWBatchNorm(n, theta, momentum, eps, official_parity, learn_metric=name == "gbw")
    if name == "brooks":
        return BrooksBatchNorm(n, momentum, official_parity)
    if name in METRICS:
        return LieBatchNorm(n, name, theta, momentum, eps, official_parity)
    return nn.Identity()


class SPDNetwork(nn.Module):
    """Trials (N, channels, samples) -> class scores (N, n_out), float64.

    CovarianceFrontEnd -> BiMap -> normalisation -> ReEig -> LogEig -> Linear on the flattened n x n logarithm (the full
    matrix, as in the released code). Convolutions in float32, everything from the covariance on in float64.
    """

    def __init__(
        self, channels: int, n_out: int, sizes: tuple[int, int, int, int], norm: nn.Module, train_bimap: bool = True
    ):
        super().__init__()
        spatial, temporal, kernel, hidden = sizes
        self.front = CovarianceFrontEnd(channels, spatial, temporal, kernel)
        self.bimap = BiMap(temporal, hidden)
        self.bimap.weight.requires_grad_(train_bimap)
        self.norm = norm
        self.rectify, self.log = ReEig(), LogEig()
        self.classifier = nn.Linear(hidden * hidden, n_out).double()

    def forward(self, x: Tensor) -> Tensor:
        x = self.rectify(self.norm(self.bimap(self.front(x))))
        return self.classifier(self.log(x).flatten(1))
