"""Smoothing a patch x: F_gamma(u) = (1 - gamma) mean (u - x)^2 + gamma mean |grad u|^2, and its exact minimum."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.schema import Bundle, Metric


def energy(u: np.ndarray, x: np.ndarray, gamma: np.ndarray) -> np.ndarray:
    """F_gamma(u) for u, x (..., h, w) and gamma (...): means over the h w pixels, forward differences within the patch."""
    pixels = x.shape[-1] * x.shape[-2]
    fit = ((u - x) ** 2).sum((-2, -1)) / pixels
    rough = (np.diff(u, axis=-1) ** 2).sum((-2, -1)) + (np.diff(u, axis=-2) ** 2).sum((-2, -1))
    return (1 - gamma) * fit + gamma * rough / pixels


def smoothed(x: np.ndarray, gamma: np.ndarray) -> np.ndarray:
    """The minimiser of F_gamma, by the cosine transform that diagonalises the differences; gamma (...) broadcasts against x (..., h, w).

    Each coefficient is multiplied by (1 - gamma) / (1 - gamma + gamma lambda), lambda_ij = 4 sin^2(pi i / 2h) + 4 sin^2(pi j / 2w). At
    gamma = 1, where every constant is a minimiser, it is the mean, the limit from below.
    """
    from scipy.fft import dctn, idctn

    h, w = x.shape[-2:]
    rows, columns = (4 * np.sin(np.pi * np.arange(n) / (2 * n)) ** 2 for n in (h, w))
    level = rows[:, None] + columns
    gamma = np.asarray(gamma, dtype=np.float64)[..., None, None]
    low = 1 - gamma + gamma * level
    factor = np.divide(1 - gamma, low, out=np.ones_like(low), where=low > 0)
    return idctn(factor * dctn(x, axes=(-2, -1), norm="ortho"), axes=(-2, -1), norm="ortho")


@dataclass(frozen=True)
class Smoothing:
    """Predictions are `u` (gammas, n, 1, h, w), the smoothed test patches for each gamma of the grid.

    Main metric `relative_excess` = sum of F_gamma(u) - min F_gamma over gammas and patches, over the sum of the minima.
    """

    grid: tuple[float, ...]
    main: str = "relative_excess"

    def score(self, bundle: Bundle, predictions: Mapping[str, Any]) -> list[Metric]:
        x, u = np.asarray(bundle.test.x, dtype=np.float64), np.asarray(predictions["u"], dtype=np.float64)
        if u.shape != (len(self.grid), *x.shape):
            raise ValueError(f"u has shape {u.shape}; the test split needs {(len(self.grid), *x.shape)}")
        return [Metric("relative_excess", excess(u, x, np.asarray(self.grid)), "lower", "1")]

    def trivial(self, bundle: Bundle) -> dict[str, Any]:
        """Every patch as it is."""
        return {"u": np.broadcast_to(bundle.test.x, (len(self.grid), *bundle.test.x.shape))}

    def figures(self, bundle: Bundle, predictions: Mapping[str, Any]) -> dict[str, Any]:
        """One test patch at every gamma: as predicted above, the minimiser below."""
        from matplotlib.figure import Figure

        u, x = np.asarray(predictions["u"]), np.asarray(bundle.test.x, dtype=np.float64)
        at = int(x.std((1, 2, 3)).argmax())  # the one with most to smooth
        figure = Figure(figsize=(1.6 * len(self.grid), 3.6))
        for k, gamma in enumerate(self.grid):
            for row, image in enumerate((u[k, at, 0], smoothed(x[at, 0], np.asarray(gamma)))):
                axes = figure.add_subplot(2, len(self.grid), row * len(self.grid) + k + 1)
                axes.imshow(image, cmap="gray", vmin=0, vmax=1)
                axes.set_xticks([])
                axes.set_yticks([])
                axes.set_title(rf"$\gamma$ = {gamma:g}" if row == 0 else "", fontsize=8)
                axes.set_ylabel(("predicted", "minimiser")[row] if k == 0 else "", fontsize=8)
        return {"smoothing": figure}


def excess(u: np.ndarray, x: np.ndarray, grid: np.ndarray) -> float:
    """The main metric for u (gammas, n, 1, h, w), x (n, 1, h, w)."""
    gamma = grid[:, None, None]
    least = energy(smoothed(x, gamma), x, gamma)
    return float((energy(u, x, gamma) - least).sum() / least.sum())
