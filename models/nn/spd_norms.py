"""Batch normalisation of SPD matrices under other metrics: baselines with the interface of GBWBatchNorm."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from models.geometry.eig import Eig, sym
from models.geometry.spd_check import check_norm_input, check_norm_options
from models.geometry.spd_metrics import aim_geodesic, aim_mean


class BrooksBatchNorm(nn.Module):
    """SPDNetBN (Brooks et al., NeurIPS 2019): affine-invariant batch mean and bias, no variance.

    Y_i = G^(1/2) B^(-1/2) X_i B^(-1/2) G^(1/2) with B one Karcher step from the arithmetic batch mean in
    training and the running mean in evaluation; running_mean moves along the affine-invariant geodesic.

    Parameters
    ----------
    n : int
        Matrix size.
    momentum : float
        Weight of the new batch in the running mean.
    official_parity : bool
        True takes the batch mean as a constant of autograd, as released code does; by default gradients flow
        through it.

    Attributes
    ----------
    bias : (n, n) SPD parameter, I. running_mean : (n, n) buffer, I.
    """

    manifolds: ClassVar[dict[str, str]] = {"bias": "spd_aim"}

    def __init__(self, n: int, momentum: float = 0.1, official_parity: bool = False):
        super().__init__()
        check_norm_options(n, momentum=momentum)
        self.n, self.momentum, self.official_parity = n, momentum, official_parity
        self.bias = nn.Parameter(torch.eye(n, dtype=torch.float64))
        self.register_buffer("running_mean", torch.eye(n, dtype=torch.float64))

    def extra_repr(self) -> str:
        return f"{self.n}, momentum={self.momentum}, official_parity={self.official_parity}"

    def forward(self, x: Tensor) -> Tensor:
        """Normalise x (..., n, n), all leading dimensions being one batch; same shape, float64.

        Raises
        ------
        TypeError, ValueError
            As `check_spd`, and for float32 or another matrix size.
        """
        check_norm_input(self, x, self.n, definite=False)
        batch = x.reshape(-1, self.n, self.n)
        if self.training:
            mean = aim_mean(batch.detach() if self.official_parity else batch, n_iter=1)
            with torch.no_grad():
                self.running_mean.copy_(aim_geodesic(self.running_mean, mean.detach(), self.momentum))
        else:
            mean = self.running_mean
        a = Eig(self.bias).sqrt() @ Eig(mean).inv_sqrt()
        return sym(a @ batch @ a.mT).reshape(x.shape)
