"""From clouds to a bundle: normalisation, poses, and tasks that score the upright and the moved test clouds apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bench.schema import Arrays, BenchError, Bundle, Classification, Metric, fingerprint


def rotations(count: int, rng: np.random.Generator) -> np.ndarray:
    """Haar-distributed rotations (count, 3, 3)."""
    from scipy.spatial.transform import Rotation

    return Rotation.random(count, rng=rng).as_matrix()


def normalise(points: np.ndarray) -> np.ndarray:
    """Centred clouds (N, n, 3) of root mean square radius 1. Raises BenchError where all points of a cloud coincide."""
    points = points - points.mean(1, keepdims=True)
    size = np.sqrt((points**2).sum(-1).mean(1))
    if not (size > 0).all():
        raise BenchError(f"cloud {int(np.argmin(size))} has coincident points only; drop it from the data")
    return points / size[:, None, None]


def pose(kind: str, points: np.ndarray, normals: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """upright: unchanged; rotated: a random rotation for each cloud; moved: that, then scaled by 3 and translated."""
    if kind == "upright":
        return points, normals
    turn = rotations(len(points), rng).transpose(0, 2, 1)
    points, normals = points @ turn, normals @ turn
    if kind == "moved":
        points = 3.0 * points + rng.uniform(-5, 5, (len(points), 1, 3))
    return points, normals


class PosedClassification(Classification):
    """Accuracy of the upright and of the posed copies of the test clouds (`test.group`, in this order); the posed ones rank."""

    main = "accuracy_posed"

    def score(self, bundle: Bundle, predictions: Mapping[str, Any]) -> list[Metric]:
        hit = np.asarray(predictions["y_score"]).argmax(1) == bundle.test.y
        upright, posed = (float(hit[bundle.test.group == g].mean()) for g in (0, 1))
        return [
            Metric("accuracy_posed", posed),
            Metric("accuracy_upright", upright),
            Metric("accuracy_gap", abs(upright - posed), "lower"),
        ]


class PosedNormals:
    """Predictions are `y` (N, n, 3), unit vectors; the error 1 - <y, normal>^2 does not see their sign."""

    main = "error_posed"

    def score(self, bundle: Bundle, predictions: Mapping[str, Any]) -> list[Metric]:
        y, guess = np.asarray(bundle.test.y, dtype=np.float64), np.asarray(predictions["y"], dtype=np.float64)
        if guess.shape != y.shape:
            raise ValueError(f"y has shape {guess.shape}; the test split needs {y.shape}")
        cosine = (y * guess).sum(-1) / np.maximum(np.linalg.norm(guess, axis=-1) * np.linalg.norm(y, axis=-1), 1e-12)
        error = 1 - cosine**2
        upright, posed = (float(error[bundle.test.group == g].mean()) for g in (0, 1))
        rmse = float(
            np.degrees(np.sqrt(np.mean(np.arccos(np.clip(np.abs(cosine[bundle.test.group == 1]), 0, 1)) ** 2)))
        )
        return [
            Metric("error_posed", posed, "lower", "1 - cos^2"),
            Metric("error_upright", upright, "lower", "1 - cos^2"),
            Metric("error_gap", abs(posed - upright), "lower", "1 - cos^2"),
            Metric("rmse_posed", rmse, "lower", "degree"),
        ]

    def trivial(self, bundle: Bundle) -> dict[str, Any]:
        """The direction from the centre of the cloud: exact on a sphere."""
        x = np.asarray(bundle.test.x, dtype=np.float64)
        return {"y": x - x.mean(1, keepdims=True)}

    def figures(self, bundle: Bundle, predictions: Mapping[str, Any]) -> dict[str, Any]:
        """The first upright and posed clouds, coloured by their error."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(8, 4))
        group = np.asarray(bundle.test.group)
        for k in (0, 1):
            i = int(np.flatnonzero(group == k)[0])
            x, y, guess = bundle.test.x[i], bundle.test.y[i], predictions["y"][i]
            error = 1 - ((y * guess).sum(-1) / np.maximum(np.linalg.norm(guess, axis=-1), 1e-12)) ** 2
            axes = figure.add_subplot(
                1, 2, k + 1, projection="3d", title=f"{('upright', 'posed')[k]}: 1 - cos² {error.mean():.3f}"
            )
            marks = axes.scatter(*x.T, c=error, cmap="viridis", vmin=0, vmax=1, s=12)
            axes.set_aspect("equal")
        figure.colorbar(marks, ax=figure.axes, shrink=0.7)
        return {"normals": figure}


Split = tuple[np.ndarray, np.ndarray, np.ndarray]  # points, normals, class


def bundle(
    config: Any, splits: dict[str, Split], *, group: str, origin: str, names: list[str], seed: int, card: dict[str, Any]
) -> Bundle:
    """Clouds by split as a bundle: `config.target` class or normals, `config.train_pose` and `config.test_pose` of POSES in options.py.

    x (N, n, 3) float32. The test split holds every cloud twice: upright (group 0) and posed (group 1).
    """
    rng = np.random.default_rng([seed, 1])  # of the poses
    normals_wanted = config.target == "normals"
    arrays = {}
    for part, (points, normals, label) in splits.items():
        points = normalise(points)
        poses = ("upright", config.test_pose) if part == "test" else (config.train_pose,)
        x, n = (
            np.concatenate(a).astype(np.float32)
            for a in zip(*(pose(p, points, normals, rng) for p in poses), strict=True)
        )
        y = n if normals_wanted else np.tile(label, len(poses)).astype(np.int64)
        arrays[part] = Arrays(x, y, np.repeat(np.arange(len(poses)), len(points)) if part == "test" else None)
    return Bundle(
        kind="points",
        **arrays,
        n_out=3 if normals_wanted else len(names),
        shape=arrays["train"].x.shape[1:],
        group=group,
        origin=origin,
        fingerprint=fingerprint(*(a for p in arrays.values() for a in (p.x, p.y))),
        task=PosedNormals() if normals_wanted else PosedClassification(),
        card=card,
        meta={"class_names": names, "target": config.target, "test_pose": config.test_pose},
    )
