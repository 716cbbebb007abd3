"""A human skeleton of 57 joints, and its smooth random motion."""

from __future__ import annotations

import numpy as np

FRAME_RATE = 60.0  # 1 / s


def skeleton() -> tuple[list[int], np.ndarray, list[str]]:
    """Parents (57,), -1 for the root; offsets (57, 3) in cm from the parent at rest (y up, x to the left, z forward); names."""
    parents, offsets, names = [-1], [(0.0, 95.0, 0.0)], ["hips"]

    def add(parent: int, name: str, *offset: float) -> int:
        parents.append(parent)
        offsets.append(offset)
        names.append(name)
        return len(parents) - 1

    spine = [0]
    for name, length in (
        ("spine", 12.0),
        ("chest", 14.0),
        ("upper_chest", 14.0),
        ("neck", 12.0),
        ("head", 10.0),
        ("head_end", 16.0),
    ):
        spine.append(add(spine[-1], name, 0.0, length, 0.0))
    for side, s in (("left", 1.0), ("right", -1.0)):
        j = add(0, f"{side}_hip", 9.0 * s, -4.0, 0.0)
        j = add(j, f"{side}_knee", 0.0, -42.0, 0.0)
        j = add(j, f"{side}_ankle", 0.0, -41.0, 0.0)
        j = add(j, f"{side}_ball", 0.0, -6.0, 13.0)
        add(j, f"{side}_toe_end", 0.0, 0.0, 6.0)
    for side, s in (("left", 1.0), ("right", -1.0)):
        j = add(spine[3], f"{side}_clavicle", 4.0 * s, 8.0, 0.0)
        j = add(j, f"{side}_shoulder", 14.0 * s, 0.0, 0.0)
        j = add(j, f"{side}_elbow", 28.0 * s, 0.0, 0.0)
        wrist = add(j, f"{side}_wrist", 25.0 * s, 0.0, 0.0)
        palm = add(wrist, f"{side}_palm", 4.0 * s, 0.0, 0.0)
        for k, finger in enumerate(("thumb", "index", "middle", "ring", "little")):
            f = add(palm, f"{side}_{finger}_1", 4.0 * s, 0.0, 4.0 - 2.0 * k)
            f = add(f, f"{side}_{finger}_2", 3.5 * s, 0.0, 0.0)
            add(f, f"{side}_{finger}_3", 2.5 * s, 0.0, 0.0)
    return parents, np.array(offsets), names


def positions(local: np.ndarray, root: np.ndarray, parents: list[int], offsets: np.ndarray) -> np.ndarray:
    """Forward kinematics: local rotations (n, J, 3, 3) and root positions (n, 3) to joint positions (n, J, 3), in the unit of offsets."""
    turn, place = [local[:, 0]], [root]
    for j in range(1, len(parents)):
        p = parents[j]
        place.append(place[p] + turn[p] @ offsets[j])
        turn.append(turn[p] @ local[:, j])
    return np.stack(place, 1)


def motion(count: int, amplitude: float, rng: np.random.Generator) -> np.ndarray:
    """Joint positions (frames, 57, 3) in cm of `count` sequences of 16 to 64 frames; the root stays above the origin, facing z.

    Each joint swings about three axes as a sine of random phase with 0.3 to 1.5 swings a second; sizes differ by joint.
    """
    from scipy.spatial.transform import Rotation

    parents, offsets, names = skeleton()
    large = {"shoulder": 1.2, "elbow": 1.0, "hip": 0.7, "knee": 0.8, "hips": 0.3}
    size = amplitude * np.array([large.get(n.rpartition("_")[2], 0.25) for n in names])[:, None]
    frames = rng.integers(16, 65, size=count)
    which = np.repeat(np.arange(count), frames)
    time = (np.arange(len(which)) - np.repeat(np.cumsum(frames) - frames, frames)) / FRAME_RATE
    shape = (count, len(names), 3)
    height, rate, phase, centre = (
        rng.uniform(low, high, size=shape) for low, high in ((0.2, 1.0), (0.3, 1.5), (0.0, 2 * np.pi), (-0.3, 0.3))
    )
    swing = np.sin(2 * np.pi * rate[which] * time[:, None, None] + phase[which])
    vectors = size * (height[which] * swing + centre[which])
    local = Rotation.from_rotvec(vectors.reshape(-1, 3)).as_matrix().reshape(len(which), len(names), 3, 3)
    return positions(local, np.broadcast_to(offsets[0], (len(which), 3)), parents, offsets)
