"""Fits to published posterior densities of a free spectrum, frequency by frequency (Lamb, Taylor and van Haasteren 2023)."""

from __future__ import annotations

import torch
from torch import Tensor


class FreeSpectrum:
    """ln L = sum_k ln p_k(log10 rho_k), up to a constant that no source changes.

    p_k is the density (k, g) of log10 rho_k, rho = sqrt(phi_k / s^2), under a prior uniform in log10 rho, given by its logarithm on an even
    grid (g,); between its points the logarithm is linear. Below the grid a process is too weak to be seen: the density stays as at its
    lower end, above it as at its upper end.
    """

    def __init__(self, log_density: Tensor, grid: Tensor) -> None:
        if log_density.dim() != 2 or log_density.shape[1] != len(grid) or len(grid) < 2:
            raise ValueError(
                f"log_density has shape {tuple(log_density.shape)}; it needs a row a frequency on {len(grid)} points"
            )
        if not bool(torch.isfinite(log_density).all()):
            raise ValueError("log_density holds NaN or infinity; floor the density before its logarithm is taken")
        self.log_density, self.low = log_density.to(torch.float64), float(grid[0])
        self.step = float(grid[-1] - grid[0]) / (len(grid) - 1)
        if not self.step > 0 or float((grid.diff() - self.step).abs().max()) > 1e-6 * self.step:
            raise ValueError("grid must be even and rising; interpolate the densities onto such a grid")
        self.best = float(self.log_density.amax(1).sum())

    def __call__(self, log10_rho: Tensor) -> Tensor:
        """ln L (b,) of log10 rho (b, k)."""
        g = self.log_density.shape[1]
        place = ((log10_rho - self.low) / self.step).clamp(0, g - 1)
        left = place.detach().floor().clamp(max=g - 2)
        index = left.long().T
        low, high = (self.log_density.gather(1, i).T for i in (index, index + 1))
        return (low + (high - low) * (place - left)).sum(1)
