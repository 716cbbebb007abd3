"""The start point of one fold and the direction to be found."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.schema import Arrays, Bundle, fingerprint
from datasets.scale_invariant.config import Config


def load(config: Config, *, fold: str, source: str, root: Path, cache: Path) -> Bundle:
    """`train.x` (1, 2) float64: the start, of unit length; `train.y` (1, 2): the direction of the minimum; no test split."""
    angle = np.deg2rad(config.angles[config.fold_number(fold)])
    start, goal = np.array([[np.cos(angle), np.sin(angle)]]), np.array([[0.0, 1.0]])
    return Bundle(
        kind=config.kind,
        train=Arrays(start, goal),
        val=None,
        test=None,
        n_out=0,
        shape=(2,),
        group=fold,
        origin="simulated",
        fingerprint=fingerprint(start, goal),
        card={"licence": config.licence, "source": "simulated as in the experiment; nothing is downloaded"},
    )
