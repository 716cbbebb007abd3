"""Make aeroplanes and rotate them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.schema import Arrays, Bundle, fingerprint
from datasets.rotations.clouds.config import Config
from datasets.rotations.stream import Stream, rotations
from datasets.rotations.task import RotationTask

SHARES = (0.4, 0.75, 0.9)  # cumulative shares of the points: fuselage, wings, tail plane; the rest is the fin


def aeroplanes(count: int, points: int, rng: np.random.Generator) -> np.ndarray:
    """(count, points, 3): x forward, y to the side, z up; centred, largest distance from the centre 1.

    The fin and the swept wings leave no rotation that maps a shape onto itself.
    """

    def some(low: float, high: float) -> np.ndarray:
        return rng.uniform(low, high, size=(count, 1))

    radius, span, chord, sweep = some(0.08, 0.14), some(0.6, 1.1), some(0.2, 0.35), some(0.1, 0.5)
    taper, lift, place = some(0.3, 0.7), some(-0.05, 0.15), some(-0.1, 0.25)
    tail_span, tail_chord, height = some(0.25, 0.4), some(0.12, 0.2), some(0.2, 0.4)
    part = np.searchsorted(SHARES, rng.uniform(size=(count, points)))
    t, s, v = (rng.uniform(-1.0, 1.0, size=(count, points)) for _ in range(3))
    side = np.abs(s)
    body = radius * np.sqrt(np.maximum(1.0 - t**4, 0.0))
    choices = [
        (t, body * np.cos(np.pi * s), body * np.sin(np.pi * s)),
        (place - sweep * side + chord * (1 - taper * side) * v / 2, span * s, lift * side),
        (-0.9 - 0.3 * sweep * side + tail_chord * v / 2, tail_span * s, radius / 2 + 0 * s),
        (-0.9 - 0.5 * sweep * side + tail_chord * (1 - 0.5 * side) * v / 2, 0 * s, radius / 2 + height * side),
    ]
    x = np.select([(part == k)[..., None] for k in range(4)], [np.stack(np.broadcast_arrays(*c), -1) for c in choices])
    x = x - x.mean(1, keepdims=True)
    return x / np.linalg.norm(x, axis=-1).max(1)[:, None, None]


def load(config: Config, *, fold: str, source: str, root: Path, cache: Path) -> Bundle:
    """`x` (n, 2, points, 3) float32, a cloud P and R P; `y` (n, 3, 3) float32. `train.draw(n, rng)`: n rotations of one shape."""
    rng = np.random.default_rng([config.fold_number(fold), 57])
    shapes = aeroplanes(config.shapes, config.points, rng).astype(np.float32)
    tested = aeroplanes(config.test_shapes, config.points, rng).astype(np.float32).repeat(config.per_shape, 0)

    def turn(p: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        r = rotations(len(p), rng, config.sampling).astype(np.float32)
        return np.stack([p, p @ r.transpose(0, 2, 1)], 1), r

    def draw(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        return turn(np.repeat(shapes[rng.integers(len(shapes))][None], n, 0), rng)

    x, y = turn(tested, rng)
    return Bundle(
        kind=config.kind,
        train=Stream(draw, 10 * config.shapes),
        val=None,
        test=Arrays(x, y),
        n_out=9,
        shape=x.shape[1:],
        group=fold,
        origin="simulated",
        fingerprint=fingerprint(shapes, x, config.sampling),
        task=RotationTask(),
        card={"licence": config.licence, "source": "parametric aeroplanes made by formula; nothing is downloaded"},
    )
