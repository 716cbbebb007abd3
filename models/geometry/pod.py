"""Proper orthogonal decomposition by snapshots (Sirovich 1987), in the inner product of a mass matrix. float64."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

NOISE = 1e-12  # eigenvalues below this share of the largest are rounding


@dataclass
class POD:
    """modes (m, r): orthonormal under `mass` (r, r); values (all of them,), descending, of the correlation matrix of the snapshots."""

    modes: np.ndarray
    values: np.ndarray
    mass: sp.csr_array

    @classmethod
    def fit(cls, snapshots: np.ndarray, mass: sp.csr_array, count: int) -> POD:
        """snapshots (n, r), not centred. Fewer than `count` modes where the snapshots have a smaller rank.

        C_ij = Z_i^T B Z_j = V S V^T; phi_k = sum_i V_ik Z_i / sqrt(S_k). Raises ValueError for values that are not finite.
        """
        if not np.isfinite(snapshots).all():
            row = int(np.argmin(np.isfinite(snapshots).all(1)))
            raise ValueError(f"snapshot {row} is not finite (NaN or Inf); drop or repair that sample")
        values, vectors = np.linalg.eigh(snapshots @ (mass @ snapshots.T))
        values, vectors = values[::-1], vectors[:, ::-1]
        count = min(count, int((values > NOISE * values[0]).sum()))
        modes = (vectors[:, :count] / np.sqrt(values[:count])).T @ snapshots
        # once more, in the space of the modes: squaring the snapshots has lost half of the digits
        small = np.linalg.cholesky(modes @ (mass @ modes.T))
        return cls(np.linalg.solve(small, modes), np.maximum(values, 0.0), mass)

    def encode(self, fields: np.ndarray) -> np.ndarray:
        """Coefficients (n, m) = phi B Z of fields (n, r)."""
        return fields @ (self.mass @ self.modes.T)

    def decode(self, coefficients: np.ndarray) -> np.ndarray:
        """Fields (n, r) of coefficients (n, m)."""
        return coefficients @ self.modes
