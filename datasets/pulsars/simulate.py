"""Residuals of an array by the model that is fitted: timing model, Fourier coefficients, white noise."""

from __future__ import annotations

from typing import Any

import numpy as np

from datasets.pulsars.config import Config

YEAR = 365.25 * 86400.0
QUIET = (-16.5, 3.0)  # log10 A and gamma of a pulsar without noise of its own to speak of


def simulate(config: Config, rng: np.random.Generator) -> dict[str, Any]:
    """`pulsars`: name, position (unit vector), times, residuals, sigma (n,) in s, design (n, 3): offset, slope and curvature.

    Beside them `frequencies` (k,) in Hz and `span` in s of the array, and the truth: `red` (pulsars, 2), `common` (k,) variances in s^2,
    `source`, `parameters`, `correlation`. All float64. The timing model is perturbed at random, which no likelihood may notice.
    """
    import torch

    from models.pta_flow.correlations import overlap
    from models.pta_flow.projection import fourier
    from models.pta_flow.spectra import log10_phi

    n, k, span = config.pulsars, config.frequencies, config.years * YEAR
    f = np.arange(1, k + 1) / span
    positions = rng.standard_normal((n, 3))
    positions /= np.linalg.norm(positions, axis=1, keepdims=True)
    red = np.array([*config.red, *[QUIET] * n][:n], dtype=float)

    def variances(source: str, theta: Any) -> np.ndarray:
        return (10 ** log10_phi(source, torch.from_numpy(f), span, torch.as_tensor(theta, dtype=torch.float64))).numpy()

    common, own = variances(config.spectrum, config.parameters), variances("power_law", red)
    values, vectors = np.linalg.eigh(overlap(config.correlation, torch.from_numpy(positions)).numpy())
    mixing = vectors * np.sqrt(np.maximum(values, 0))
    c = (mixing @ rng.standard_normal((n, 2 * k))) * np.sqrt(np.repeat(common, 2))
    c += rng.standard_normal((n, 2 * k)) * np.sqrt(np.repeat(own, 2, axis=1))
    pulsars = []
    for a in range(n):
        times = np.sort(rng.random(config.toas)) * span
        t = 2 * times / span - 1
        design = np.stack([np.ones_like(t), t, t**2], 1)
        sigma = np.full(config.toas, config.sigma_us * 1e-6)
        signal = fourier(torch.from_numpy(times), torch.from_numpy(f)).numpy() @ c[a]
        residuals = signal + sigma * rng.standard_normal(config.toas) + design @ (1e-5 * rng.standard_normal(3))
        pulsars.append(
            {
                "name": f"psr{a}",
                "position": positions[a],
                "times": times,
                "residuals": residuals,
                "sigma": sigma,
                "design": design,
            }
        )
    return {
        "pulsars": pulsars, "frequencies": f, "span": span, "red": red, "common": common, "source": config.spectrum,
        "parameters": list(config.parameters), "correlation": config.correlation,
    }  # fmt: skip
