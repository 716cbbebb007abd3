"""The two functions, exactly as in the released experiments."""

from __future__ import annotations

import numpy as np


def inertia(x: np.ndarray, constant: float, axis: int) -> np.ndarray:
    """J + c (J e_a) e_a^T, J = sum_i m_i (|r_i|^2 I - r_i r_i^T), of x (n, 20) = 5 masses and 5 positions: (n, 9) in reading order.

    axis -1: J + c (J e_1 e_1^T - J e_0 e_0^T).
    """
    m, r = x[:, :5], x[:, 5:].reshape(-1, 5, 3)
    square = (m * (r * r).sum(-1)).sum(-1)
    j = square[:, None, None] * np.eye(3) - np.einsum("ni,nia,nib->nab", m, r, r)
    out = j.copy()
    for a, sign in ((0, -1.0), (1, 1.0)) if axis == -1 else ((axis, 1.0),):
        out[:, :, a] += sign * constant * j[:, :, a]
    return out.reshape(-1, 9)


def cosine_similarity(x: np.ndarray, constant: float, keeps: str) -> np.ndarray:
    """Mean of the three cyclic cosines of x (n, 9) = three vectors, less c times a term that breaks a symmetry: (n, 1).

    keeps so3: the mean radius; scaling: |x_0|_1 / (|x_1|_1 + |x_2|_1); none: the radius minus the fraction.
    """
    v = x.reshape(-1, 3, 3)
    length = np.linalg.norm(v, axis=-1)
    y = ((v * np.roll(v, -1, 1)).sum(-1) / (length * np.roll(length, -1, 1))).mean(1)
    radius, sums = length.mean(1), np.abs(v).sum(-1)
    fraction = sums[:, 0] / (sums[:, 1] + sums[:, 2])
    term = {"so3_scaling": 0.0, "so3": radius, "scaling": fraction, "none": radius - fraction}[keeps]
    return (y - constant * term)[:, None]
