"""Kernel ridge regression in the space of an augmentation, what its error is made of, and the choice of strength without test labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve


@dataclass(frozen=True)
class Smoother:
    """f = W y with W = K_test,train (K_train + n lambda I)^(-1): kernel ridge regression as a linear map of the n labels.

    Parameters
    ----------
    train : (n, n), test : (k, n) values of the kernel; `ridge` lambda > 0.
    """

    train: np.ndarray
    test: np.ndarray
    ridge: float

    def _solve(self, right: np.ndarray) -> np.ndarray:
        n = len(self.train)
        if not self.ridge > 0:
            raise ValueError(f"ridge is {self.ridge}; it must be positive")
        return cho_solve(cho_factor(self.train + n * self.ridge * np.eye(n)), right)

    def predict(self, y: np.ndarray) -> np.ndarray:
        """(k,) predictions from the labels (n,)."""
        return self.test @ self._solve(y)

    def parts(self, f_train: np.ndarray, f_test: np.ndarray, noise: float) -> tuple[float, float]:
        """(bias^2, variance), means over the test points, of labels f_train + noise * N(0, 1): the expected error is their sum."""
        weights = self._solve(np.column_stack([f_train, np.eye(len(self.train))]))
        bias = self.test @ weights[:, 0] - f_test
        spread = self.test @ weights[:, 1:]
        return float(np.mean(bias**2)), float(noise**2 * np.mean((spread**2).sum(1)))

    def leave_one_out(self, y: np.ndarray) -> float:
        """Mean squared error at each label when it is left out, n lambda kept: r_i / (A^-1)_ii with A = K + n lambda I, r = A^-1 y."""
        inverse = self._solve(np.eye(len(y)))
        return float(np.mean((inverse @ y / inverse.diagonal()) ** 2))
