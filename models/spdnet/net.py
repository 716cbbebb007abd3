"""The network of the MAMEM experiment of Wang et al. 2025 (front end from MAtt), sizes by choice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from torch import Tensor, nn

from models.gbw_rbn.norm import GBWBatchNorm
from models.liebn.norm import METRICS, LieBatchNorm
from models.nn.spd_layers import BiMap, LogEig, ReEig
from models.nn.spd_norms import BrooksBatchNorm

# spatial maps, temporal maps, kernel, size after BiMap
RECTIFY = 1e-5  # of ReEig
SIZES = {"ssvep": (125, 15, 36, 12), "imagery": (22, 20, 12, 18)}


def normalisation(
    name: str, n: int, *, theta: float, momentum: float, eps: float, official_parity: bool, mixed_bias: bool = False
) -> nn.Module:
    """The layer between BiMap and ReEig for matrices (..., n, n) in float64; Identity for "none".

    `mixed_bias` concerns gbw and bw alone, see `GBWBatchNorm`.
    """
    if name in ("gbw", "bw"):
        return GBWBatchNorm(n, theta, momentum, eps, official_parity, learn_metric=name == "gbw", mixed_bias=mixed_bias)
    if name == "brooks":
        return BrooksBatchNorm(n, momentum, official_parity)
    if name in METRICS:
        return LieBatchNorm(n, name, theta, momentum, eps, official_parity)
    return nn.Identity()


class SPDNetwork(nn.Module):
    """Scores (N, n_out), float64, of EEG trials (N, channels, samples) or of SPD matrices (N, n, n).

    front -> BiMap -> normalisation -> ReEig, for each of `dims` -> LogEig -> Linear on the flattened logarithm (the full
    matrix, as in the released code). `front` maps trials to covariances; Identity for data that are SPD matrices.
    Everything from the covariance on is in float64.

    Parameters
    ----------
    front : module
        (N, ...) -> (N, size, size), SPD.
    size : int
        Of its matrices.
    dims : sequence of int
        Sizes after each BiMap.
    norm : callable
        Size -> normalisation layer.
    """

    def __init__(
        self,
        front: nn.Module,
        size: int,
        n_out: int,
        dims: Sequence[int],
        norm: Callable[[int], nn.Module],
        train_bimap: bool = True,
    ):
        super().__init__()
        self.front = front
        blocks: list[nn.Module] = []
        for before, after in pairwise([size, *dims]):
            bimap = BiMap(before, after)
            bimap.weight.requires_grad_(train_bimap)
            blocks += [*([ReEig(RECTIFY)] if blocks else []), bimap, norm(after)]
        self.blocks = nn.Sequential(*blocks)
        self.log = LogEig(RECTIFY)  # the last ReEig and the logarithm share their eigendecomposition
        self.classifier = nn.Linear(dims[-1] ** 2, n_out).double()

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.log(self.blocks(self.front(x))).flatten(1))
