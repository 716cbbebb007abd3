r"""Augmentations of points x of {-1, 1}^m that hide coordinates (a_j = 0) and flip others: kernels and spectra in closed form.

With p(a | x), p(a) = E_x p(a | x) under uniform x, and the operator (Gamma g)(x) = E[g(A) | x] from L2(P_A) to L2(P_X), Gamma Gamma* is
the integral operator of

    K(x, x') = sum_a p(a | x) p(a | x') / p(a) = sum_S lambda_S chi_S(x) chi_S(x'),

whose eigenfunctions for the augmentations here are the parities chi_S(x) = prod_{j in S} x_j. K(x, x) is the same for all x, so
it is both the augmentation complexity kappa^2 and the trace sum_S lambda_S. Sets S are numbers 0, ..., 2^m - 1, coordinate j
being bit j. Everything is float64.

Source: Zhai et al., "Understanding Augmentation-based Self-Supervised Representation Learning via RKHS Approximation and
Regression", ICLR 2024; the closed forms follow from the definitions.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np


def signs(x: np.ndarray, m: int) -> np.ndarray:
    """x (n, m) as float64, after a check that it holds -1 and 1 alone."""
    x = np.asarray(x, dtype=np.float64)
    if x.ndim != 2 or x.shape[1] != m or not (np.abs(x) == 1).all():
        raise ValueError(f"x has shape {x.shape}; pass points (n, {m}) whose entries are -1 or 1")
    return x


class Augmentation(ABC):
    """p(a | x) on {-1, 0, 1}^m: a random set of coordinates is hidden, each of the others flipped with probability `rho`."""

    m: int

    @property
    @abstractmethod
    def rho(self) -> float:
        """Probability that a coordinate that is not hidden is flipped."""

    @abstractmethod
    def masks(self) -> tuple[np.ndarray, np.ndarray]:
        """(visible (k, m) bool, weight (k,)): every set of visible coordinates that occurs, and its probability."""

    @abstractmethod
    def eigenvalues(self) -> np.ndarray:
        """lambda_S (2^m,), by set, not sorted: 1 = lambda_0 >= lambda_S >= 0."""

    @abstractmethod
    def kernel(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """K(x_i, y_j) (n, k) of points x (n, m), y (k, m)."""

    @abstractmethod
    def log_kappa2(self) -> float:
        """log of the augmentation complexity kappa^2 = K(x, x), in nats."""

    @abstractmethod
    def hidden(self, n: int, rng: np.random.Generator) -> np.ndarray:
        """(n, m) bool: which coordinates n draws hide."""

    def sample(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """One view (n, m) of -1, 0, 1 of each of the points x (n, m)."""
        x = signs(x, self.m)
        a = np.where(self.hidden(len(x), rng), 0.0, x)
        return np.where(rng.random(x.shape) < self.rho, -a, a) if self.rho else a

    def ratio(self, a: np.ndarray, x: np.ndarray) -> np.ndarray:
        """p(a_i | x_i) / p(a_i) (n,) for views that can occur: 2 (1 - rho) for each visible coordinate that agrees, 2 rho for others."""
        agree, differ = (a * x > 0).sum(1), (a * x < 0).sum(1)
        return (2 * (1 - self.rho)) ** agree * (2 * self.rho) ** differ


def _powers(agree: float, differ: float, products: np.ndarray, count: int) -> np.ndarray:
    """agree^(agreeing coordinates) differ^(differing ones), from inner products of `count` coordinates."""
    return agree ** ((count + products) / 2) * differ ** ((count - products) / 2)


@dataclass(frozen=True)
class Independent(Augmentation):
    """Each coordinate by itself: hidden with probability `hide`, flipped with probability `flip`, else kept.

    K has the factor h + 2 [(1 - h - q)^2 + q^2] / (1 - h) for a coordinate that agrees and h + 4 q (1 - h - q) / (1 - h) for one that
    differs; lambda_S = ((1 - h - 2 q)^2 / (1 - h))^|S|. Without flips: alpha + 2 (1 - alpha) and alpha, lambda_S = (1 - alpha)^|S|,
    kappa^2 = (2 - alpha)^m.
    """

    m: int
    hide: float
    flip: float = 0.0

    def __post_init__(self) -> None:
        if self.m < 1 or not 0 <= self.hide <= 1 or not 0 <= self.flip <= 1 - self.hide:
            raise ValueError(
                f"m={self.m}, hide={self.hide}, flip={self.flip}: pass m >= 1 and probabilities that add up to at most 1"
            )

    @property
    def rho(self) -> float:
        return self.flip / (1 - self.hide) if self.hide < 1 else 0.0

    def factors(self) -> tuple[float, float]:
        """The factors of K of a coordinate that agrees and of one that differs."""
        h, r = self.hide, self.rho
        return h + 2 * (1 - h) * ((1 - r) ** 2 + r**2), h + 4 * (1 - h) * r * (1 - r)

    def masks(self) -> tuple[np.ndarray, np.ndarray]:
        visible = ((np.arange(2**self.m)[:, None] >> np.arange(self.m)) & 1).astype(bool)
        count = visible.sum(1)
        weight = (1 - self.hide) ** count * self.hide ** (self.m - count)
        return visible[weight > 0], weight[weight > 0]

    def eigenvalues(self) -> np.ndarray:
        each = (1 - self.hide) * (1 - 2 * self.rho) ** 2
        return each ** np.bitwise_count(np.arange(2**self.m)).astype(np.float64)

    def kernel(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return _powers(*self.factors(), signs(x, self.m) @ signs(y, self.m).T, self.m)

    def log_kappa2(self) -> float:
        return float(self.m * np.log(self.factors()[0]))

    def hidden(self, n: int, rng: np.random.Generator) -> np.ndarray:
        return rng.random((n, self.m)) < self.hide


@dataclass(frozen=True)
class Block(Augmentation):
    """`width` neighbouring coordinates are hidden, the start uniform on 0, ..., m - width; others are flipped with probability `flip`.

    K is the mean over starts of 2^(m - r) [the visible coordinates agree] without flips, so kappa^2 = 2^(m - r);
    lambda_S = (1 - 2 q)^(2 |S|) times the share of starts whose block misses S.
    """

    m: int
    width: int
    flip: float = 0.0

    def __post_init__(self) -> None:
        if self.m < 1 or not 0 <= self.width <= self.m or not 0 <= self.flip <= 1:
            raise ValueError(
                f"m={self.m}, width={self.width}, flip={self.flip}: pass 0 <= width <= m and a probability"
            )

    @property
    def rho(self) -> float:
        return self.flip

    def masks(self) -> tuple[np.ndarray, np.ndarray]:
        starts = np.arange(self.m - self.width + 1 if self.width else 1)[:, None]
        at = np.arange(self.m)
        visible = (at < starts) | (at >= starts + self.width)
        return visible, np.full(len(visible), 1 / len(visible))

    def eigenvalues(self) -> np.ndarray:
        sets = np.arange(2**self.m)
        visible, _ = self.masks()
        seen = visible @ (1 << np.arange(self.m))  # the visible coordinates as sets
        missed = ((sets[:, None] & ~seen) == 0).mean(1)
        return missed * (1 - 2 * self.flip) ** (2.0 * np.bitwise_count(sets))

    def kernel(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        x, y, q = signs(x, self.m), signs(y, self.m), self.flip
        visible, weight = self.masks()
        agree, differ, count = 2 * ((1 - q) ** 2 + q**2), 4 * q * (1 - q), self.m - self.width
        out = np.zeros((len(x), len(y)))
        for v, w in zip(visible, weight, strict=True):  # at most m starts
            out += w * _powers(agree, differ, x[:, v] @ y[:, v].T, count)
        return out

    def log_kappa2(self) -> float:
        return float((self.m - self.width) * np.log(2 * ((1 - self.flip) ** 2 + self.flip**2)))

    def hidden(self, n: int, rng: np.random.Generator) -> np.ndarray:
        start = rng.integers(self.m - self.width + 1, size=(n, 1))
        return (np.arange(self.m) >= start) & (np.arange(self.m) < start + self.width)
