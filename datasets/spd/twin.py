"""Simulated classes of SPD matrices with known centres."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Clusters:
    """`x` (k, n, n) float64 SPD, `y` (k,) int64 in blocks of `per_class`; `centres` (classes, n, n), the truth; `base` (n, n)."""

    x: np.ndarray
    y: np.ndarray
    centres: np.ndarray
    base: np.ndarray


def expm(x: np.ndarray) -> np.ndarray:
    """Exponential of symmetric x (..., n, n)."""
    w, q = np.linalg.eigh(x)
    return (q * np.exp(w)[..., None, :]) @ q.swapaxes(-1, -2)


def symmetric(rng: np.random.Generator, k: int, n: int) -> np.ndarray:
    """k symmetric Gaussian matrices (k, n, n), law invariant under rotations, expected squared Frobenius norm 1."""
    a = rng.normal(size=(k, n, n))
    return (a + a.swapaxes(-1, -2)) / np.sqrt(2.0 * n * (n + 1))


def clusters(
    n: int,
    classes: int,
    per_class: int,
    *,
    kappa: float,
    separation: float,
    spread: float,
    rng: np.random.Generator,
) -> Clusters:
    """X = F_c exp(spread S) F_c^T with F_c = B^(1/2) exp(separation T_c / 2), S and T_c symmetric Gaussian, |T_c|_F = 1.

    B = Q diag(logspace(0, -log10 kappa, n)) Q^T, scaled to trace n. F_c F_c^T is the centre of class c: its affine-invariant
    distance from B is `separation`, and it is the Frechet mean of the law of X, since S and -S have one law. With one `rng`
    state another `kappa` gives the same matrices up to one congruence X -> A X A^T: to a method that is invariant under
    congruence the problem stays the same.
    """
    q, r = np.linalg.qr(rng.normal(size=(n, n)))
    q = q * np.sign(np.diag(r))
    w = np.logspace(0.0, -np.log10(kappa), n)
    root = (q * np.sqrt(w * n / w.sum())) @ q.T
    direction = symmetric(rng, classes, n)
    direction /= np.linalg.norm(direction, axis=(1, 2), keepdims=True)
    factor = root @ expm(0.5 * separation * direction)
    y = np.repeat(np.arange(classes), per_class)
    x = factor[y] @ expm(spread * symmetric(rng, len(y), n)) @ factor[y].swapaxes(-1, -2)
    return Clusters((x + x.swapaxes(-1, -2)) / 2, y, factor @ factor.swapaxes(-1, -2), root @ root.T)
