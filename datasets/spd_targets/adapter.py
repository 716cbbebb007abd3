"""Make the targets: the spectrum is exact, Q comes from a seeded Gaussian matrix by QR."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.schema import Arrays, Bundle, fingerprint
from datasets.spd_targets.config import Config


def load(config: Config, *, fold: str, source: str, root: Path, cache: Path) -> Bundle:
    """`train.x` (targets, n, n) float64, SPD with condition number as the fold says and largest eigenvalue 1; no test split."""
    kappa = float(fold.removeprefix("kappa"))
    spectrum = np.logspace(0.0, -np.log10(kappa), config.n)
    x = []
    for seed in range(config.targets):
        q, r = np.linalg.qr(np.random.default_rng(seed).normal(size=(config.n, config.n)))
        q = q * np.sign(np.diag(r))  # unique and Haar-distributed
        x.append((q * spectrum) @ q.T)
    targets = np.stack(x)
    targets = (targets + targets.transpose(0, 2, 1)) / 2
    return Bundle(
        kind="spd_objective",
        train=Arrays(targets),
        val=None,
        test=None,
        n_out=0,
        shape=(config.n, config.n),
        group=fold,
        origin="simulated",
        fingerprint=fingerprint(targets),
        card={"licence": config.licence, "source": "simulated as in the experiment; nothing is downloaded"},
        meta={"condition_number": kappa},
    )
