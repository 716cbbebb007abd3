"""Pedestrians by a formula, for where the recordings are absent."""

from __future__ import annotations

import numpy as np

SPEED, SPREAD = 1.3, 0.25  # metres per second: mean and standard deviation of the desired speed
MEMORY, SHAKE = 0.8, 0.08  # of the velocity about the desired one, from step to step
STEPS, EVERY = 40, 10  # steps that a pedestrian is seen for, frames between them
AXES = {"eth": 0.0, "hotel": 90.0, "zara": 0.0, "univ": 30.0}  # degrees: main direction of each place
TURN = 15.0  # degrees: standard deviation of desired directions about it


def walk(n: int, site: str, rng: np.random.Generator) -> np.ndarray:
    """Table (40 n, 4) of frame, pedestrian, x, y: v' = u + 0.8 (v - u) + noise about a desired velocity u, a step of 0.4 s.

    Half of the pedestrians walk along the place's main direction, half against it; one enters every second.
    """
    angle = np.radians(AXES[site] + TURN * rng.normal(size=n)) + np.pi * rng.integers(2, size=n)
    speed = np.maximum(SPEED + SPREAD * rng.normal(size=n), 0.3)
    desired = speed[:, None] * np.stack([np.cos(angle), np.sin(angle)], -1)
    velocity, place = desired.copy(), rng.uniform(0, 12, size=(n, 2))
    places = np.empty((n, STEPS, 2))
    for k in range(STEPS):
        places[:, k] = place
        place = place + 0.4 * velocity
        velocity = desired + MEMORY * (velocity - desired) + SHAKE * rng.normal(size=(n, 2))
    frame = EVERY * (2 * np.arange(n)[:, None] + np.arange(STEPS))
    who = np.broadcast_to(np.arange(n)[:, None], frame.shape)
    return np.concatenate([frame[..., None], who[..., None], places], -1).reshape(-1, 4)
