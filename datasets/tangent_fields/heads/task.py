"""Scores of fields on heads: those of every field, and what becomes of sources and vortices."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bench.schema import Bundle, Metric
from datasets.tangent_fields.task import FieldTask

NEIGHBOURS = 5  # of a local derivative


class HeadTask(FieldTask):
    """As FieldTask; beside it divergence_error and curl_error: of the field of known and predicted vectors together, at the electrodes
    asked for, Frobenius norm of the difference from the truth over that of the truth."""

    def score(self, bundle: Bundle, predictions: Mapping[str, Any]) -> list[Metric]:
        metrics = super().score(bundle, predictions)
        points = np.concatenate([bundle.train.x, bundle.test.x])
        asked = slice(len(bundle.train), None)
        truth, guess = (
            divergence_and_curl(points, np.concatenate([bundle.train.y, y]))[:, asked]
            for y in (bundle.test.y, np.asarray(predictions["y"], dtype=np.float64))
        )
        for name, a, b in zip(("divergence_error", "curl_error"), truth, guess, strict=True):
            metrics.append(Metric(name, float(np.linalg.norm(b - a) / np.linalg.norm(a)), "lower", "1"))
        return metrics


def divergence_and_curl(points: np.ndarray, vectors: np.ndarray, count: int = NEIGHBOURS) -> np.ndarray:
    """(2, n, F): divergence and curl (along the outward normal) of fields (n, F, 3) on the unit sphere, points (n, 3).

    A linear function is fitted to each point's own vector and those of its `count` nearest points, in its tangent plane.
    """
    from scipy.spatial import cKDTree

    near = cKDTree(points).query(points, k=count + 1)[1]
    axes = np.linalg.svd(points[:, :, None])[0][:, :, 1:]
    axes[:, :, 1] *= np.sign(np.linalg.det(np.concatenate([points[:, :, None], axes], 2)))[:, None]  # right-handed
    place = (points[near] - points[:, None]) @ axes
    flat = np.einsum("nja,nkfj->nkfa", axes, vectors[near])
    design = np.concatenate([np.ones((*place.shape[:2], 1)), place], axis=-1)
    slope = np.einsum("nbk,nkfa->nbfa", np.linalg.pinv(design)[:, 1:], flat)
    return np.stack([slope[:, 0, :, 0] + slope[:, 1, :, 1], slope[:, 0, :, 1] - slope[:, 1, :, 0]])
