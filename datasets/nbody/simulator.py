"""Five particles under Coulomb forces, the simulator of Kipf et al. 2018 as EGNN and frame averaging use it.

All random numbers of a set come from one stream and are drawn first; the dynamics then run as one batch.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

DT, EVERY, PARTICLES, BOX, SPEED = 1e-3, 100, 5, 5.0, 0.5
MAX_FORCE = 0.1 / DT
FRAMES = 49  # recorded frames of a simulation: two blocks of unused observation noise of this length follow each draw
INPUT, TARGET = 30, 40  # frames; frame k is recorded at step EVERY * (k + 1)
CHUNK = 1024  # simulations that advance together: their pair arrays fit a core's cache


def draws(count: int, seed: int = 43) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Initial states of the first `count` simulations: charges (count, 5), positions and velocities (count, 5, 3), float64.

    Charges are +-1 with equal chance, positions N(0, 1), reflected into [-5, 5], velocities isotropic of norm 0.5.
    """
    stream = np.random.RandomState(seed)
    charge = np.empty((count, PARTICLES))
    state = np.empty((2, count, 3, PARTICLES))
    for k in range(count):
        charge[k] = stream.choice([-1.0, 0.0, 1.0], size=(PARTICLES, 1), p=[0.5, 0.0, 0.5])[:, 0]
        state[:, k] = stream.randn(2, 3, PARTICLES)
        stream.randn(2 * FRAMES * 3 * PARTICLES)
    loc, vel = state
    vel *= SPEED / np.linalg.norm(vel, axis=1, keepdims=True)
    high = loc > BOX
    loc[high], vel[high] = 2 * BOX - loc[high], -np.abs(vel[high])
    low = loc < -BOX
    loc[low], vel[low] = -2 * BOX - loc[low], np.abs(vel[low])
    return charge, loc.transpose(0, 2, 1).copy(), vel.transpose(0, 2, 1).copy()


def frames(
    charge: np.ndarray, loc: np.ndarray, vel: np.ndarray, count: int
) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Yield (k, positions, velocities) for the first `count` recorded frames, each (N, 5, 3), float64, as copies.

    Leapfrog: v gains dt F(x) once, then every step moves x by dt v and v by dt F(x);
    F_i = sum_j q_i q_j (x_i - x_j) / |x_i - x_j|^3, each component clipped to [-100, 100].
    """
    n = loc.shape[1]
    first, second = np.triu_indices(n, 1)
    strength = np.ascontiguousarray((charge[:, first] * charge[:, second]).T)
    x, v = (np.ascontiguousarray(a.transpose(2, 1, 0)) for a in (loc, vel))  # (3, 5, N): long contiguous last axis
    gap, square, size = np.empty((3, len(first), len(loc))), np.empty_like(strength), np.empty_like(strength)
    force, change = np.empty_like(x), np.empty_like(x)

    def kick() -> None:
        # sums term by term, not by a library's product: the same bits for every batch and machine
        np.subtract(x[:, first], x[:, second], out=gap)
        np.multiply(gap[0], gap[0], out=square)
        for part in gap[1:]:
            square[...] += np.multiply(part, part, out=size)
        np.sqrt(square, out=size)
        np.multiply(size, square, out=size)
        np.divide(strength, size, out=size)
        np.multiply(gap, size, out=gap)
        force.fill(0.0)
        for p, (i, j) in enumerate(zip(first, second, strict=True)):
            force[:, i] += gap[:, p]
            force[:, j] -= gap[:, p]
        np.clip(force, -MAX_FORCE, MAX_FORCE, out=force)
        np.multiply(force, DT, out=change)
        np.add(v, change, out=v)

    kick()
    for k in range(count):
        for step in range(EVERY):
            np.multiply(v, DT, out=change)
            np.add(x, change, out=x)
            if step == EVERY - 1:
                yield k, x.transpose(2, 1, 0).copy(), v.transpose(2, 1, 0).copy()
            if k < count - 1 or step < EVERY - 1:
                kick()


def simulate(charge: np.ndarray, loc: np.ndarray, vel: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Inputs (N, 5, 7) - position, velocity and charge at frame 30 - and targets (N, 5, 3), the positions at frame 40."""
    x, y = [], []
    for i in range(0, len(loc), CHUNK):
        q = charge[i : i + CHUNK]
        for k, position, velocity in frames(q, loc[i : i + CHUNK], vel[i : i + CHUNK], TARGET + 1):
            if k == INPUT:
                x.append(np.concatenate([position, velocity, q[..., None]], -1))
            if k == TARGET:
                y.append(position)
    return np.concatenate(x), np.concatenate(y)


def energy(charge: np.ndarray, loc: np.ndarray, vel: np.ndarray) -> np.ndarray:
    """Total energy (N,) of unit masses: sum v^2 / 2 + sum_{i<j} q_i q_j / |x_i - x_j|."""
    first, second = np.triu_indices(loc.shape[1], 1)
    distance = np.linalg.norm(loc[:, first] - loc[:, second], axis=-1)
    return 0.5 * (vel**2).sum((1, 2)) + (charge[:, first] * charge[:, second] / distance).sum(1)
