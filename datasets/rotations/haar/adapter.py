"""Draw random rotations."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.schema import Arrays, Bundle, fingerprint
from datasets.rotations.haar.config import Config
from datasets.rotations.stream import Stream, rotations
from datasets.rotations.task import RotationTask


def load(config: Config, *, fold: str, source: str, root: Path, cache: Path) -> Bundle:
    """`x` (n, 9) float32, the rotation in reading order; `y` (n, 3, 3) float32; `train.draw(n, rng)`."""

    def draw(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        y = rotations(n, rng, config.sampling).astype(np.float32)
        return y.reshape(n, 9), y

    x, y = draw(config.n_test, np.random.default_rng([config.fold_number(fold), 9]))
    return Bundle(
        kind=config.kind,
        train=Stream(draw, 64000),
        val=None,
        test=Arrays(x, y),
        n_out=9,
        shape=(9,),
        group=fold,
        origin="simulated",
        fingerprint=fingerprint(x, config.sampling),
        task=RotationTask(),
        card={"licence": config.licence, "source": "random rotations, as in the experiment; nothing is downloaded"},
    )
