"""Coefficients from a seeded stream; values by scipy's complex harmonics, which know nothing of the methods' own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bench.schema import Arrays, Bundle, Metric, fingerprint
from datasets.sphere_functions.config import Config


class PointwiseTask:
    """Predictions are `y` (n, points): values of the products. Errors are absolute; values are of order 1."""

    main = "max_error"

    def score(self, bundle: Bundle, predictions: Mapping[str, Any]) -> list[Metric]:
        off = np.abs(np.asarray(predictions["y"], np.float64) - bundle.test.y)
        if off.shape != bundle.test.y.shape:
            raise ValueError(f"y has shape {off.shape}; the test split needs {bundle.test.y.shape}")
        return [
            Metric("max_error", float(off.max()), "lower", "1"),
            Metric("mean_error", float(off.mean()), "lower", "1"),
        ]

    def trivial(self, bundle: Bundle) -> dict[str, Any]:
        """The mean product of the training split."""
        return {"y": np.broadcast_to(bundle.train.y.mean(0), bundle.test.y.shape)}


def harmonics(top: int, p: np.ndarray) -> np.ndarray:
    """Real orthonormal harmonics (k, (top + 1)^2) at unit vectors p (k, 3): polar axis y, azimuth from z to x, no (-1)^m."""
    from scipy.special import sph_harm_y

    beta, alpha = np.arccos(np.clip(p[:, 1], -1.0, 1.0)), np.arctan2(p[:, 0], p[:, 2])
    out = []
    for degree in range(top + 1):
        for m in range(-degree, degree + 1):
            y = (-1.0) ** m * sph_harm_y(degree, abs(m), beta, alpha)
            out.append(y.real if m == 0 else np.sqrt(2.0) * (y.imag if m < 0 else y.real))
    return np.stack(out, -1)


def load(config: Config, *, fold: str, source: str, root: Path, cache: Path) -> Bundle:
    """x (n, 2, (L + 1)^2) float64, coefficients N(0, 1) / (L + 1); y (n, points) float64."""
    rng = np.random.default_rng([20240110, int(fold)])
    p = rng.standard_normal((config.points, 3))
    p /= np.linalg.norm(p, axis=1, keepdims=True)
    x = rng.standard_normal((2, config.pairs, 2, (config.degree + 1) ** 2)) / (config.degree + 1)
    f, g = np.moveaxis(x @ harmonics(config.degree, p).T, 2, 0)
    split = [Arrays(a, b) for a, b in zip(x, f * g, strict=True)]
    return Bundle(
        kind="sphere_functions",
        train=split[0],
        val=None,
        test=split[1],
        n_out=config.points,
        shape=x.shape[2:],
        group=f"split{fold}",
        origin="simulated",
        fingerprint=fingerprint(x, f * g, p),
        task=PointwiseTask(),
        card={"licence": config.licence, "source": "simulated; nothing is downloaded"},
        meta={"degree": config.degree, "points": p},
    )
