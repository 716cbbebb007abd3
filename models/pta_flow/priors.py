"""Priors as maps from standard normal variables: theta = theta(z), z ~ N(0, I), so that every problem lives on R^d with one prior.

Evidences do not change: Z = int L(theta(z)) N(z; 0, I) dz. The unit cube of nested sampling is u = Phi(z).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor


def log_normal(z: Tensor) -> Tensor:
    """ln N(z; 0, I) of the last dimension."""
    return -0.5 * (z.square().sum(-1) + z.shape[-1] * math.log(2 * math.pi))


class Prior(Protocol):
    """`d` parameters; `theta(z)` maps (..., d) standard normal variables to (..., d) parameters, differentiably."""

    d: int

    def theta(self, z: Tensor) -> Tensor: ...


class Uniform:
    """Independent uniform priors between `low` and `high` (d,). Raises ValueError where they do not rise."""

    def __init__(self, low: Sequence[float] | Tensor, high: Sequence[float] | Tensor) -> None:
        self.low, self.high = (torch.as_tensor(v, dtype=torch.float64) for v in (low, high))
        self.d = len(self.low)
        if self.low.shape != self.high.shape or not bool((self.low < self.high).all()):
            raise ValueError(
                f"the prior's ends {self.low.tolist()} and {self.high.tolist()} do not rise; exchange them"
            )

    def theta(self, z: Tensor) -> Tensor:
        return self.low + (self.high - self.low) * torch.special.ndtr(z)


class Normal:
    """A normal prior of `mean` (d,) and `cov` (d, d). Raises ValueError for a covariance that is not positive definite."""

    def __init__(self, mean: Sequence[float] | Tensor, cov: Sequence[Sequence[float]] | Tensor) -> None:
        self.mean = torch.as_tensor(mean, dtype=torch.float64)
        root, info = torch.linalg.cholesky_ex(torch.as_tensor(cov, dtype=torch.float64))
        if int(info):
            raise ValueError("the prior's covariance is not positive definite; drop parameters that others determine")
        self.root, self.d = root, len(self.mean)

    def theta(self, z: Tensor) -> Tensor:
        return self.mean + z @ self.root.T


class Joint:
    """Independent priors side by side."""

    def __init__(self, parts: Sequence[Prior]) -> None:
        self.parts, self.d = list(parts), sum(p.d for p in parts)

    def theta(self, z: Tensor) -> Tensor:
        if not self.parts:
            return z
        blocks = z.split([p.d for p in self.parts], dim=-1)
        return torch.cat([p.theta(block) for p, block in zip(self.parts, blocks, strict=True)], -1)
