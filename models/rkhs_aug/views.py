"""The operator of an augmentation as a matrix over all views {-1, 0, 1}^m, and exact averages of an encoder over them."""

from __future__ import annotations

import numpy as np

from models.rkhs_aug.augmentation import Augmentation

MOST = 12  # coordinates: 3^12 views
PART = 2**22  # entries gathered at once


class States:
    """All views that an augmentation can make of points of {-1, 1}^m.

    Attributes
    ----------
    views : (k, m) float64 of -1, 0, 1. p : (k,) their probabilities p(a) under uniform x, which add up to 1.
    """

    def __init__(self, augmentation: Augmentation) -> None:
        m = augmentation.m
        if m > MOST:
            raise ValueError(f"m={m} has {3**m} views; exact averages take m up to {MOST}")
        self.augmentation = augmentation
        self.visible, self.weight = augmentation.masks()
        code = np.arange(3**m)[:, None] // 3 ** np.arange(m) % 3
        mask = (code > 0) @ (1 << np.arange(m))
        place = np.full(2**m, -1)
        place[self.visible @ (1 << np.arange(m))] = np.arange(len(self.visible))
        occurs = place[mask] >= 0
        self._row = np.cumsum(occurs) - 1
        self.views = np.array([0.0, 1.0, -1.0])[code[occurs]]
        self.p = self.weight[place[mask[occurs]]] * 0.5 ** (code[occurs] > 0).sum(1)

    def average(self, phi: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Psi(x) = E[phi(A) | x] (n, d) at all points of the cube in the order x (2^m, m), from phi (k, d) at `views`."""
        m = self.augmentation.m
        digit = np.where(x > 0, 1, 2) * 3 ** np.arange(m)
        out = np.zeros((len(x), phi.shape[1]))
        step = max(1, PART // (len(x) * phi.shape[1]))
        for i in range(0, len(self.visible), step):
            row = self._row[
                digit @ self.visible[i : i + step].T.astype(np.int64)
            ]  # (2^m, masks): the view of each point
            out += np.einsum("nkd,k->nd", phi[row], self.weight[i : i + step])
        if self.augmentation.rho:
            differing = (m - x @ x.T) / 2
            out = (self.augmentation.rho**differing * (1 - self.augmentation.rho) ** (m - differing)) @ out
        return out


def operator(augmentation: Augmentation, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(p(a | x) (n, k), p(a) (k,)) for points x (n, m) and all views that occur, for small m."""
    states = States(augmentation)
    products = states.views[None] * x[:, None]
    agree, differ = (products > 0).sum(-1), (products < 0).sum(-1)
    rho = augmentation.rho
    return states.p * (2 * (1 - rho)) ** agree * (2 * rho) ** differ, states.p


def captured(psi: np.ndarray, second: np.ndarray) -> float:
    """Trace that an encoder captures of Gamma* Gamma: tr(G^-1 C), C = E_x Psi Psi^T and G = E_a phi phi^T (d, d), G singular or not.

    It is sum_i |Gamma e_i|^2 over an orthonormal basis e_i of the encoder's span in L2(P_A), so no invertible map of the features
    changes it; the best encoder of dimension d has the sum of the d largest eigenvalues.

    Parameters
    ----------
    psi : (n, d) averaged encoder at points that are equally likely. second : (d, d) G.
    """
    w, v = np.linalg.eigh(second)
    keep = w > 1e-10 * w[-1]
    white = v[:, keep] / np.sqrt(w[keep])
    return float(np.mean(np.square(psi @ white).sum(1)))
