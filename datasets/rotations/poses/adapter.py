"""Frames of the moving skeleton, each turned about the vertical and shifted."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.schema import Arrays, Bundle, fingerprint
from datasets.rotations.poses.config import Config
from datasets.rotations.poses.skeleton import motion, skeleton
from datasets.rotations.stream import Stream
from datasets.rotations.task import PoseTask

EMPHASISED = ("left_ankle", "left_wrist", "right_wrist")


def load(config: Config, *, fold: str, source: str, root: Path, cache: Path) -> Bundle:
    """`x` (n, 171) float32, joint positions in metres; `y` (n, 57, 3) float32, the same in cm; `train.draw(n, rng)`.

    `meta`: parents, offsets (57, 3) in cm, rest (57, 3), emphasised (joints that count ten times in the loss).
    """
    rng = np.random.default_rng([config.fold_number(fold), 171])
    parents, offsets, names = skeleton()
    frames = motion(config.sequences, config.amplitude, rng)

    def place(p: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        yaw = rng.uniform(-np.pi, np.pi, size=len(p))
        c, s, zero, one = np.cos(yaw), np.sin(yaw), np.zeros(len(p)), np.ones(len(p))
        turn = np.stack([c, zero, s, zero, one, zero, -s, zero, c], -1).reshape(-1, 3, 3)
        shift = rng.normal(scale=config.shift, size=(len(p), 1, 3)) * np.array([1.0, 0.0, 1.0])
        y = (p @ turn.transpose(0, 2, 1) + shift).astype(np.float32)
        return (0.01 * y).reshape(len(p), -1), y

    def draw(n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        return place(frames[rng.integers(len(frames), size=n)], rng)

    x, y = place(motion(config.test_sequences, config.amplitude, rng), rng)
    rest = [offsets[0]]
    for j in range(1, len(parents)):
        rest.append(rest[parents[j]] + offsets[j])
    return Bundle(
        kind=config.kind,
        train=Stream(draw, len(frames)),
        val=None,
        test=Arrays(x, y),
        n_out=9 * len(parents),
        shape=x.shape[1:],
        group=fold,
        origin="simulated",
        fingerprint=fingerprint(frames, x),
        task=PoseTask(),
        card={
            "licence": config.licence,
            "source": "a skeleton in random motion, made by formula; nothing is downloaded",
        },
        meta={
            "parents": parents,
            "offsets": offsets,
            "rest": np.stack(rest),
            "emphasised": [names.index(n) for n in EMPHASISED],
        },
    )
