"""Layers of SPD networks (Huang and Van Gool 2017): BiMap, ReEig, LogEig. All work in float64."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from models.geometry.eig import LOG, Eig, log_rectified


class BiMap(nn.Module):
    """W^T X W with W on the Stiefel manifold: (..., n_in, n_in) -> (..., n_out, n_out), float64.

    W is initialised with the n_out leading left singular vectors of V V^T, V uniform(0, 1), from torch's
    global generator. Train it as a "stiefel" parameter (`manifold_groups`).

    Raises
    ------
    ValueError
        If n_out is larger than n_in or smaller than 1.
    """

    manifolds: ClassVar[dict[str, str]] = {"weight": "stiefel"}

    def __init__(self, n_in: int, n_out: int):
        super().__init__()
        if not 1 <= n_out <= n_in:
            raise ValueError(f"BiMap maps n_in={n_in} to n_out={n_out}; n_out must be between 1 and n_in")
        v = torch.rand(n_in, n_in, dtype=torch.float64)
        self.weight = nn.Parameter(torch.linalg.svd(v @ v.mT).U[:, :n_out].contiguous())

    def extra_repr(self) -> str:
        return f"{self.weight.shape[0]}, {self.weight.shape[1]}"

    def forward(self, x: Tensor) -> Tensor:
        return self.weight.mT @ (x @ self.weight)


class ReEig(nn.Module):
    """max(X, eps I) on the eigenvalues of X (..., n, n); the derivative at the kink is 1/2."""

    def __init__(self, eps: float = 1e-5):
        super().__init__()
        self.eps = eps

    def extra_repr(self) -> str:
        return f"eps={self.eps}"

    def forward(self, x: Tensor) -> Tensor:
        return Eig(x).rectify(self.eps)


class LogEig(nn.Module):
    """Matrix logarithm of SPD X (..., n, n); eigenvalues below 1e-14 of the largest are floored.

    With `eps`, of ReEig's max(X, eps I), by one eigendecomposition for both.
    """

    def __init__(self, eps: float | None = None):
        super().__init__()
        self.spectral = LOG if eps is None else log_rectified(eps)

    def extra_repr(self) -> str:
        return self.spectral.name

    def forward(self, x: Tensor) -> Tensor:
        return Eig(x).apply(self.spectral)
