"""Tables that depend on degrees only: bounds of the degree, a cache that builds each table once, quadrature on the sphere."""

from __future__ import annotations

import functools
import math
import threading
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

MAX_DEGREE = 40
"""Highest degree of any table: what is tested. Gaunt products of features of degree L need 2 L."""

_LOCK = threading.RLock()
F = TypeVar("F", bound=Callable[..., Any])


def once(build: F) -> F:
    """Decorator: the table of given arguments is built on first use, and once in a process, also with several threads.

    What is returned is shared: never write into it.
    """
    kept = functools.lru_cache(maxsize=None)(build)

    @functools.wraps(build)
    def table(*args: Any) -> Any:
        with _LOCK:
            return kept(*args)

    table.cache_info = kept.cache_info  # type: ignore[attr-defined]
    return table  # type: ignore[return-value]


def check_degree(name: str, value: int, top: int = MAX_DEGREE) -> int:
    """`value` as a degree: an integer 0..top, else a ValueError that names the argument."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ValueError(f"{name} is {value!r}; a degree is an integer of at least 0")
    if value > top:
        raise ValueError(f"{name} is {value}, above the bound {top} of the tables; take a lower degree")
    return value


def check_coefficients(name: str, x: Tensor, degree: int) -> Tensor:
    """x (..., (degree + 1)^2) of a floating dtype, else a ValueError that names it."""
    if not x.is_floating_point():
        raise ValueError(f"{name} is {x.dtype}; coefficients are of a floating dtype, use {name}.double()")
    if x.ndim == 0 or x.shape[-1] != (degree + 1) ** 2:
        have = "no axis" if x.ndim == 0 else f"{x.shape[-1]} coefficients"
        raise ValueError(f"{name} has {have} along its last axis; degrees 0..{degree} have {(degree + 1) ** 2}")
    return x


def degrees(top: int) -> Tensor:
    """The degree l of each of the (top + 1)^2 coefficients, in the order (l, m) = (0, 0), (1, -1), (1, 0), (1, 1), ..."""
    return torch.repeat_interleave(torch.arange(top + 1), 2 * torch.arange(top + 1) + 1)


def orders(top: int) -> Tensor:
    """The order m of each of the (top + 1)^2 coefficients."""
    return torch.cat([torch.arange(-deg, deg + 1) for deg in range(top + 1)])


@once
def quadrature(degree: int) -> tuple[Tensor, Tensor, Tensor]:
    """Nodes that integrate every polynomial of total degree <= `degree` on the sphere: cos(beta), its weights, alpha.

    Gauss-Legendre in cos(beta) with floor(degree / 2) + 1 nodes, uniform alpha in [0, 2 pi) with degree + 1 nodes. float64.
    The integral of f is (2 pi / n_alpha) sum_b w_b sum_a f(alpha_a, beta_b); the weights sum to 2.
    """
    node, weight = np.polynomial.legendre.leggauss(degree // 2 + 1)
    alpha = 2.0 * math.pi / (degree + 1) * torch.arange(degree + 1, dtype=torch.float64)
    return torch.from_numpy(node), torch.from_numpy(weight), alpha


def points(cos_beta: Tensor, alpha: Tensor) -> Tensor:
    """Unit vectors (n_beta, n_alpha, 3): (sin beta sin alpha, cos beta, sin beta cos alpha), the polar axis being y."""
    sine = (1.0 - cos_beta.square()).sqrt()[:, None]
    ring = torch.ones_like(alpha)
    return torch.stack([sine * alpha.sin(), cos_beta[:, None] * ring, sine * alpha.cos()], -1)
