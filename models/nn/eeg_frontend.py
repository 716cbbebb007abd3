"""From EEG trials to covariance matrices."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class CovarianceFrontEnd(nn.Module):
    """Spatial and temporal convolution, then one covariance matrix per trial.

    Conv2d(1, c1, (channels, 1)) -> BatchNorm -> Conv2d(c1, c2, (1, kernel), padding (0, kernel // 2)) ->
    BatchNorm -> Y Y^T / (T - 1) + eps I with Y the mean-removed features (c2, T). This is the front end of
    the EEG experiments of Wang et al. 2025 (arXiv 2504.00660), who took it from MAtt (Pan et al. 2022).

    Convolutions run in the dtype of their weights (float32 unless the module is cast), covariances in
    float64: the convolutions dominate the time and need no more, the square roots of the covariances do.

    Parameters
    ----------
    channels : int
        Electrodes.
    c1, c2 : int
        Feature maps; c2 is the size of the covariance.
    kernel : int
        Temporal kernel length in samples.
    eps : float
        Ridge, in squared units of the normalised features.

    Raises
    ------
    ValueError
        At the call, if x is not (N, channels, samples) or fewer than 2 samples are left.
    """

    def __init__(self, channels: int, c1: int, c2: int, kernel: int, eps: float = 1e-5):
        super().__init__()
        self.channels, self.eps = channels, eps
        self.spatial = nn.Conv2d(1, c1, (channels, 1))
        self.spatial_norm = nn.BatchNorm2d(c1)
        self.temporal = nn.Conv2d(c1, c2, (1, kernel), padding=(0, kernel // 2))
        self.temporal_norm = nn.BatchNorm2d(c2)
        # channels last: the temporal convolution dominates an epoch, and a CPU runs it several times faster in this layout
        self.to(memory_format=torch.channels_last)

    def forward(self, x: Tensor) -> Tensor:
        """Trials x (N, channels, samples) -> covariances (N, c2, c2), float64."""
        if x.dim() != 3 or x.shape[1] != self.channels:
            raise ValueError(f"x has shape {tuple(x.shape)}; pass trials as (N, {self.channels}, samples)")
        x = x.unsqueeze(1).to(self.spatial.weight.dtype, memory_format=torch.channels_last)
        y = self.spatial_norm(self.spatial(x)).contiguous(memory_format=torch.channels_last)
        y = self.temporal_norm(self.temporal(y)).squeeze(2).double()
        if y.shape[-1] < 2:
            raise ValueError(
                f"{x.shape[-1]} samples leave {y.shape[-1]} after the temporal kernel; "
                "a covariance needs at least 2, pass longer trials"
            )
        y = y - y.mean(-1, keepdim=True)
        ridge = self.eps * torch.eye(y.shape[1], dtype=y.dtype, device=y.device)
        return y @ y.mT / (y.shape[-1] - 1) + ridge
