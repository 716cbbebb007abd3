"""One request as a Bundle."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.schema import Arrays, Bundle, fingerprint
from datasets.sphere_codes.config import Config, parse


def load(config: Config, *, fold: str, source: str, root: Path, cache: Path) -> Bundle:
    """`train.x` (1, 3) float64: n, d and the largest |cos| asked for, which `meta` has by name; no test split."""
    config.fold_number(fold)
    n, d, c = parse(fold)
    x = np.array([[n, d, c]])
    return Bundle(
        kind=config.kind,
        train=Arrays(x),
        val=None,
        test=None,
        n_out=0,
        shape=(3,),
        group=fold,
        origin="simulated",
        fingerprint=fingerprint(x),
        card={"licence": config.licence, "source": "three numbers; nothing is downloaded"},
        meta={"n": n, "d": d, "max_cos": c},
    )
