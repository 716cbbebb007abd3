"""PointNet (Qi et al. 2017): shared layers on each point, a maximum over points, and a head for the cloud or for each point."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn


class PointLayers(nn.Module):
    """Linear, batch norm (over clouds and points) and ReLU on each point: (B, n, widths[0]) -> (B, n, widths[-1]).

    `bare` leaves the last layer without norm and ReLU. `forward` can give the outputs of all layers.
    """

    def __init__(self, widths: Sequence[int], *, norm: bool, bare: bool = False) -> None:
        super().__init__()
        self.linears = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        dressed = widths[1:-1] if bare else widths[1:]
        self.norms = nn.ModuleList(nn.BatchNorm1d(w) if norm else nn.Identity() for w in dressed)

    def each(self, x: Tensor) -> list[Tensor]:
        out = []
        for k in range(len(self.linears)):
            x = self.step(x, k)
            out.append(x)
        return out

    def step(self, x: Tensor, k: int) -> Tensor:
        """Layer k alone."""
        x = self.linears[k](x)
        return torch.relu(self.norms[k](x.flatten(0, -2)).reshape(x.shape)) if k < len(self.norms) else x

    def forward(self, x: Tensor) -> Tensor:
        return self.each(x)[-1]


class TNet(nn.Module):
    """A k x k matrix for each cloud, predicted from its points (B, n, k) and equal to the identity at the start."""

    def __init__(self, k: int, widths: Sequence[int], head: Sequence[int], *, norm: bool) -> None:
        super().__init__()
        self.layers = PointLayers((k, *widths), norm=norm)
        self.head = PointLayers((widths[-1], *head, k * k), norm=norm, bare=True)
        self.k = k
        nn.init.zeros_(self.head.linears[-1].weight)
        nn.init.zeros_(self.head.linears[-1].bias)

    def forward(self, x: Tensor) -> Tensor:
        m = self.head(self.layers(x).amax(1)).reshape(-1, self.k, self.k)
        return m + torch.eye(self.k, dtype=x.dtype, device=x.device)


class PointNet(nn.Module):
    """(B, n, d) -> (B, n_out) for clouds, or (B, n, n_out) where `per_point`.

    Layers d-widths on each point, maximum over points. Cloud head: maximum -> head -> n_out. Point head: the maximum beside
    the outputs of the layers numbered `skip` (default: all) -> head -> n_out. `tnets`: learned transforms of input and of
    the features after layer `tnets`; `orthogonality` is then the mean ||I - A A^T||_F^2 of the feature transform, a loss term.
    """

    def __init__(
        self,
        n_out: int,
        *,
        dim: int = 3,
        widths: Sequence[int] = (64, 64, 256),
        head: Sequence[int] = (128,),
        per_point: bool = False,
        skip: Sequence[int] | None = None,
        norm: bool = True,
        tnets: int | None = None,
    ) -> None:
        super().__init__()
        self.layers = PointLayers((dim, *widths), norm=norm, bare=True)
        self.skip = list(range(len(widths)) if skip is None else skip)
        wide = widths[-1] + (sum(widths[k] for k in self.skip) if per_point else 0)
        self.head = PointLayers((wide, *head, n_out), norm=norm, bare=True)
        self.per_point, self.tnets = per_point, tnets
        self.orthogonality: Tensor | None = None
        if tnets is not None:
            inner = (widths[0], widths[-1]), (widths[-1] // 2,)
            self.input_net = TNet(dim, *inner, norm=norm)
            self.feature_net = TNet(widths[tnets], *inner, norm=norm)

    def forward(self, x: Tensor) -> Tensor:
        outs = self._features(x)
        top = outs[-1].amax(1)
        if not self.per_point:
            return self.head(top)
        wide = top[:, None].expand(-1, x.shape[1], -1)
        return self.head(torch.cat([wide, *(outs[k] for k in self.skip)], -1))

    def _features(self, x: Tensor) -> list[Tensor]:
        """Outputs of the point layers, with the transforms in between where there are any."""
        if self.tnets is None:
            return self.layers.each(x)
        outs: list[Tensor] = []
        x = x @ self.input_net(x)
        for k in range(len(self.layers.linears)):
            x = self.layers.step(x, k)
            if k == self.tnets:
                a = self.feature_net(x)
                eye = torch.eye(a.shape[-1], dtype=a.dtype, device=a.device)
                self.orthogonality = (eye - a @ a.mT).square().sum((-2, -1)).mean()
                x = x @ a
            outs.append(x)
        return outs
