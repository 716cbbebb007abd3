"""The bundle of a linear classification objective that is about separation."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.schema import Arrays, Bundle, fingerprint
from datasets.objectives.task import Separation
from models.geometry.objectives import Logistic


def linear(x: np.ndarray, y: np.ndarray, group: str, origin: str, card: dict[str, Any]) -> Bundle:
    """Logistic regression on x (n, d), y (n,) in {-1, +1}, without ridge; scored by how soon it is separated."""
    return Bundle(
        kind="objective",
        train=Arrays(x, y),
        val=None,
        test=None,
        n_out=2,
        shape=x.shape[1:],
        group=group,
        origin=origin,
        fingerprint=fingerprint(x, y),
        task=Separation(),
        card=card,
        meta={"objective": Logistic(x, y), "start": np.zeros(x.shape[1]), "metric": None},
    )
