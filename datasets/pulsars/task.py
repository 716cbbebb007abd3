"""How a posterior of the common process is scored: its spectrum against the injected one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bench.schema import Bundle, Metric


class SpectrumTask:
    """Predictions are `log10_rho` (n, k): samples of log10 sqrt(phi_k / s^2).

    crps: continuous ranked probability score E|X - x| - E|X - X'| / 2 of the injected value, mean over frequencies, in dex. coverage:
    share of frequencies whose injected value is in the central 90 %.
    """

    main = "crps"

    def score(self, bundle: Bundle, predictions: Mapping[str, Any]) -> list[Metric]:
        x, truth = np.asarray(predictions["log10_rho"], dtype=float), _truth(bundle)
        if x.ndim != 2 or x.shape[1] != len(truth):
            raise ValueError(f"log10_rho has shape {x.shape}; give a sample a row, {len(truth)} frequencies each")
        if not np.isfinite(x).all():
            raise ValueError("log10_rho holds NaN or infinity; the prior reaches spectra that vanish")
        ordered, n = np.sort(x, axis=0), len(x)
        spread = (2 * np.arange(1, n + 1) - n - 1) @ ordered / n**2  # E|X - X'| / 2 from order statistics
        low, high = np.quantile(x, [0.05, 0.95], axis=0)
        return [
            Metric("crps", float((np.abs(x - truth).mean(0) - spread).mean()), "lower", "dex"),
            Metric("coverage", float(((low <= truth) & (truth <= high)).mean()), "none"),
        ]

    def trivial(self, bundle: Bundle) -> dict[str, Any]:
        """The prior: power laws of log10 A in [-18, -12] and gamma in [0, 7], at the same frequencies."""
        import torch

        from models.pta_flow.spectra import log10_phi

        theta = np.random.default_rng(0).random((1000, 2)) * [6, 7] + [-18, 0]
        f = torch.as_tensor(bundle.meta["frequencies"])
        return {"log10_rho": (log10_phi("power_law", f, bundle.meta["span"], torch.from_numpy(theta)) / 2).numpy()}

    def figures(self, bundle: Bundle, predictions: Mapping[str, Any]) -> dict[str, Any]:
        """Median and central 50 % and 90 % of log10 rho at each frequency, and the injected spectrum."""
        from matplotlib.figure import Figure

        x, f = np.asarray(predictions["log10_rho"]), np.asarray(bundle.meta["frequencies"]) * 1e9
        q = np.quantile(x, [0.05, 0.25, 0.5, 0.75, 0.95], axis=0)
        figure = Figure(figsize=(5, 3.5), layout="constrained")
        axes = figure.add_subplot(
            xlabel="frequency (nHz)", ylabel="log10 (rho / s)", title=f"{bundle.group}: common process"
        )
        axes.fill_between(f, q[0], q[4], alpha=0.25, color="tab:blue", label="90 %")
        axes.fill_between(f, q[1], q[3], alpha=0.45, color="tab:blue", label="50 %")
        axes.plot(f, q[2], color="tab:blue")
        axes.plot(f, _truth(bundle), "k.--", label="injected")
        axes.legend(fontsize=8)
        return {"spectrum": figure}


def _truth(bundle: Bundle) -> np.ndarray:
    return 0.5 * np.log10(np.asarray(bundle.meta["common"], dtype=float))
