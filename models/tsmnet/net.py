"""The network of TSMNet: convolutions, covariance pooling, BiMap, ReEig, normalisation, tangent space, linear classifier."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import geoopt
import torch
from torch import Tensor, nn

from models.geometry.eig import inv_sqrtm, logm
from models.nn.spd_layers import BiMap, ReEig
from models.tsmnet.norm import SPDDSMBN

PART = 256
"""Trials whose convolutions are held in memory at once in a refit."""


class ConvolutionalCovariance(nn.Module):
    """Conv2d(1, c1, (1, kernel)), reflected at the ends -> Conv2d(c1, c2, (channels, 1)) -> Y Y^T / T, mean removed.

    Convolutions in float32, covariances in float64. Rank at most min(c1 * channels, T - 1): the covariance may be singular.

    Parameters
    ----------
    channels, c1, c2, kernel : electrodes; temporal filters; spatial filters; length of a temporal filter in samples.
    trace_norm : divide each covariance by its mean eigenvalue.
    """

    def __init__(self, channels: int, c1: int, c2: int, kernel: int, trace_norm: bool = False):
        super().__init__()
        self.channels, self.trace_norm = channels, trace_norm
        self.temporal = nn.Conv2d(1, c1, (1, kernel), padding="same", padding_mode="reflect")
        self.spatial = nn.Conv2d(c1, c2, (channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Trials x (N, channels, samples) -> covariances (N, c2, c2), float64."""
        if x.dim() != 3 or x.shape[1] != self.channels:
            raise ValueError(f"x has shape {tuple(x.shape)}; pass trials as (N, {self.channels}, samples)")
        kernel = self.temporal.kernel_size[1]
        if x.shape[-1] <= kernel // 2:
            raise ValueError(f"x has {x.shape[-1]} samples; a kernel of {kernel} needs more than {kernel // 2}")
        y = self.spatial(self.temporal(x.unsqueeze(1).to(self.spatial.weight.dtype))).squeeze(2).double()
        y = y - y.mean(-1, keepdim=True)
        c = y @ y.mT / y.shape[-1]
        if self.trace_norm:
            c = c / c.diagonal(dim1=-2, dim2=-1).mean(-1)[:, None, None]
        return c


class StiefelBiMap(BiMap):
    """BiMap whose weight is a geoopt parameter on the Stiefel manifold, drawn as W (W^T W)^(-1/2), W uniform on [0, 1)."""

    def __init__(self, n_in: int, n_out: int):
        super().__init__(n_in, n_out)
        w = torch.rand(n_in, n_out, dtype=torch.float64)
        self.weight = geoopt.ManifoldParameter(w @ inv_sqrtm(w.mT @ w), manifold=geoopt.Stiefel())


def upper(x: Tensor) -> Tensor:
    """Symmetric x (..., n, n) as vectors (..., n (n + 1) / 2): the upper triangle, off the diagonal times sqrt 2 (an isometry)."""
    i, j = torch.triu_indices(x.shape[-1], x.shape[-1], device=x.device)
    return x[..., i, j] * (1.0 + (i != j).to(x)).sqrt()


class TSMNetwork(nn.Module):
    """Trials (N, channels, samples) and their domains (N,) -> class scores (N, n_out), float64.

    Parameters
    ----------
    domains : identifiers of all domains, or None for one normalisation over all samples whatever their domain (SPDMBN).
    sizes : (c1, c2, kernel, size after BiMap), of the paper (4, 40, 25, 20).
    norm : size -> layer on (N, size, size) in place of both; it knows no domains and is never refit.
    """

    def __init__(
        self,
        channels: int,
        n_out: int,
        domains: Sequence[int] | None,
        sizes: tuple[int, int, int, int] = (4, 40, 25, 20),
        rectify: float = 1e-4,
        trace_norm: bool = False,
        official_parity: bool = False,
        norm: Callable[[int], nn.Module] | None = None,
    ):
        super().__init__()
        c1, c2, kernel, hidden = sizes
        self.front = ConvolutionalCovariance(channels, c1, c2, kernel, trace_norm)
        self.bimap, self.rectify = StiefelBiMap(c2, hidden), ReEig(rectify)
        self.shared = domains is None
        if norm is None:
            self.norm = SPDDSMBN(hidden, (0,) if domains is None else domains, official_parity=official_parity)
        else:
            self.norm = norm(hidden)
        self.classifier = nn.Linear(hidden * (hidden + 1) // 2, n_out).double()

    def spd(self, x: Tensor) -> Tensor:
        """The matrices (N, hidden, hidden) that are normalised."""
        return self.rectify(self.bimap(self.front(x)))

    def features(self, x: Tensor, domain: Tensor) -> Tensor:
        """Normalised tangent vectors (N, hidden (hidden + 1) / 2)."""
        spd = self.spd(x)
        if not isinstance(self.norm, SPDDSMBN):
            return upper(logm(self.norm(spd)))
        return upper(self.norm.tangent(spd, torch.zeros_like(domain) if self.shared else domain))

    def forward(self, x: Tensor, domain: Tensor) -> Tensor:
        return self.classifier(self.features(x, domain))

    @torch.no_grad()
    def refit(self, x: Tensor, domain: Tensor) -> None:
        """Statistics of every domain that occurs, from all its trials in x (N, channels, samples); labels play no part."""
        spd = torch.cat([self.spd(part) for part in x.split(PART)])
        domain = torch.zeros_like(domain) if self.shared else domain
        for d in domain.unique():
            self.norm.refit(spd[domain == d], int(d))
