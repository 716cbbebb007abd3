"""How a posterior of a source is scored on published densities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bench.schema import Bundle, Metric


class DensityTask:
    """Predictions are `log10_rho` (n, k): samples of log10 sqrt(phi_k / s^2).

    agreement: ln of the published density of log10 rho, averaged over the samples, mean over frequencies; in nat. It rewards a source
    whose posterior lies where each frequency by itself puts the process.
    """

    main = "agreement"

    def score(self, bundle: Bundle, predictions: Mapping[str, Any]) -> list[Metric]:
        x = np.asarray(predictions["log10_rho"], dtype=float)
        density, grid = bundle.meta["log_density"], bundle.meta["grid"]
        if x.ndim != 2 or x.shape[1] != len(density):
            raise ValueError(f"log10_rho has shape {x.shape}; give a sample a row, {len(density)} frequencies each")
        if not np.isfinite(x).all():
            raise ValueError("log10_rho holds NaN or infinity; the prior reaches spectra that vanish")
        p = [np.interp(x[:, k], grid, np.exp(density[k])).mean() for k in range(len(density))]
        return [Metric("agreement", float(np.log(np.maximum(p, 1e-300)).mean()), "higher", "nat")]

    def trivial(self, bundle: Bundle) -> dict[str, Any]:
        """The prior: power laws of log10 A in [-18, -12] and gamma in [0, 7], at the same frequencies."""
        import torch

        from models.pta_flow.spectra import log10_phi

        theta = np.random.default_rng(0).random((1000, 2)) * [6, 7] + [-18, 0]
        f = torch.as_tensor(bundle.meta["frequencies"])
        return {"log10_rho": (log10_phi("power_law", f, bundle.meta["span"], torch.from_numpy(theta)) / 2).numpy()}

    def figures(self, bundle: Bundle, predictions: Mapping[str, Any]) -> dict[str, Any]:
        """The published densities as violins, and the median and central 90 % of the source."""
        from matplotlib.figure import Figure

        x, f = np.asarray(predictions["log10_rho"]), np.asarray(bundle.meta["frequencies"]) * 1e9
        density, grid = np.exp(bundle.meta["log_density"]), bundle.meta["grid"]
        seen = (grid > -10) & (grid < -5.5)
        figure = Figure(figsize=(6, 4), layout="constrained")
        axes = figure.add_subplot(
            xlabel="frequency (nHz)", ylabel="log10 (rho / s)", title=bundle.group, ylim=(-10, -5.5)
        )
        for k, centre in enumerate(f):
            half = 0.45 * f[0] * density[k, seen] / density[k, seen].max()
            axes.fill_betweenx(grid[seen], centre - half, centre + half, color="0.7", linewidth=0)
        low, middle, high = np.quantile(x, [0.05, 0.5, 0.95], axis=0)
        axes.fill_between(f, low, high, alpha=0.35, color="tab:blue", label="90 %")
        axes.plot(f, middle, color="tab:blue", label="median")
        axes.legend(fontsize=8)
        return {"spectrum": figure}
