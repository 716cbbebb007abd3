"""Generators of n unit vectors in R^d with small coherence, max over i != j of |<v_i, v_j>|."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

from models.ebv.bounds import angle, check_reachable, lower_bound, welch_bound

SLACK = 1e-4  # a basis counts as reached at max_cos + SLACK, as in the released generator
KINDS = ("equiangular", "random", "simplex", "official")


@dataclass
class Basis:
    """`vectors` (n, d) float32 unit rows; `steps` taken; `reached` whether the coherence asked for was reached."""

    vectors: Tensor
    steps: int
    reached: bool

    @property
    def coherence(self) -> float:
        return coherence(self.vectors)


def coherence(v: Tensor) -> float:
    """Largest |<v_i, v_j>|, i != j, of the normalised rows of v (n, d); 0 for one row."""
    return float(cosines(v).abs().amax()) if len(v) > 1 else 0.0


def cosines(v: Tensor) -> Tensor:
    """(n, n) inner products of normalised rows, float64, with zeros on the diagonal."""
    v = normalize(v.double(), dim=1)
    return (v @ v.T).fill_diagonal_(0)


def hinge(v: Tensor, max_cos: float, rows: int | None = None) -> tuple[Tensor, Tensor]:
    """The released objective and its gradient at v (n, d): sum over all ordered pairs of relu(|<v_i, v_j>| - [i = j] - max_cos).

    `rows` at a time are compared with all others, which bounds memory and changes nothing else. The diagonal adds nothing for unit
    rows. Each pair occurs twice in the sum, so the gradient is 2 sum_j sign(<v_i, v_j>) [|<v_i, v_j>| > max_cos] v_j.
    """
    loss, gradient = v.new_zeros(()), torch.zeros_like(v)
    for start in range(0, len(v), rows or len(v)):
        part = v[start : start + (rows or len(v))]
        gram = part @ v.T
        gram.diagonal(start).zero_()
        excess = gram.abs() - max_cos
        loss += excess.clamp_min(0).sum()
        gradient[start : start + len(part)] = 2 * (gram.sign() * (excess > 0)) @ v
    return loss, gradient


def official(
    n: int, d: int, max_cos: float, *, seed: int = 42, steps: int = 100_000, lr: float = 1e-3, rows: int | None = None
) -> Basis:
    """The released recursion: plain gradient descent on `hinge` from normalised Gaussian rows, rows normalised before each step.

    It ends when the coherence is at most max_cos + 1e-4, tested before the step, or after `steps`. Gradients are sums over pairs, so
    lr has to shrink as n grows; too large a step makes the vectors collapse.
    """
    v = torch.randn(n, d, generator=torch.Generator().manual_seed(seed))
    for step in range(steps):
        v = normalize(v, dim=1)
        if float((v @ v.T).fill_diagonal_(0).abs().amax()) <= max_cos + SLACK:
            return Basis(v, step, True)
        v = v - lr * hinge(v, max_cos, rows)[1]
    v = normalize(v, dim=1)
    return Basis(v, steps, coherence(v) <= max_cos + SLACK)


def simplex(n: int, d: int, generator: torch.Generator) -> Tensor:
    """n unit vectors with all cosines -1 / (n - 1), randomly rotated into R^d, d >= n - 1 (regular simplex; float64)."""
    if d < n - 1:
        raise ValueError(f"{n} vectors of a regular simplex need dimension {n - 1} or more, not {d}")
    centred = torch.eye(n, dtype=torch.float64) - 1 / n
    flat = torch.linalg.qr(centred[:, : n - 1])[0] if n > 1 else torch.zeros(1, 0, dtype=torch.float64)
    corners = normalize(centred @ flat, dim=1) if n > 1 else flat
    return corners @ orthonormal(n - 1, d, generator) if n > 1 else orthonormal(1, d, generator)


def orthonormal(n: int, d: int, generator: torch.Generator) -> Tensor:
    """n <= d orthonormal rows (n, d), float64, uniformly distributed."""
    return torch.linalg.qr(torch.randn(d, n, dtype=torch.float64, generator=generator))[0].T


def generate(
    n: int, d: int, max_cos: float | None = None, *, kind: str = "equiangular", seed: int = 42, steps: int = 4000,
    lr: float | None = None,
) -> Basis:  # fmt: skip
    """n unit vectors (n, d) with coherence at most `max_cos` (+ 1e-4); null: as low as `steps` steps get.

    Parameters
    ----------
    n, d : number of vectors and their dimension
    kind : equiangular: orthonormal rows for n <= d, a regular simplex for n = d + 1, both exactly optimal, else `pack`;
        random: normalised Gaussian rows; simplex: cosines -1 / (n - 1); official: the recursion of the released code for max_cos
    seed : of the start
    steps : at most so many steps of an iterative generator
    lr : step size of the official recursion; null: 1e-3

    Raises
    ------
    ValueError : n or d below 1, an unknown kind, max_cos below what n vectors in R^d allow (the text says what they allow), a simplex
        in too few dimensions, or the official recursion without max_cos.
    """
    if n < 1 or d < 1:
        raise ValueError(f"n={n} vectors of dimension d={d}: both must be at least 1")
    if kind not in KINDS:
        raise ValueError(f"kind={kind!r} is unknown; use {', '.join(KINDS)}")
    if max_cos is not None and kind in ("equiangular", "official"):
        check_reachable(n, d, max_cos)
    generator = torch.Generator().manual_seed(seed)
    if kind == "official":
        if max_cos is None:
            raise ValueError("the official recursion stops at max_cos: give it, e.g. 1.1 times the Welch bound")
        return official(n, d, max_cos, seed=seed, steps=steps, lr=lr or 1e-3)
    if kind == "equiangular" and n > d + 1:
        return pack(n, d, max_cos, generator, steps)
    if kind == "random":
        v = normalize(torch.randn(n, d, dtype=torch.float64, generator=generator), dim=1)
    elif kind == "simplex" or n == d + 1:
        v = simplex(n, d, generator)
    else:
        v = orthonormal(n, d, generator)
    v = v.float()
    return Basis(v, 0, max_cos is None or coherence(v) <= max_cos + SLACK)


def pack(n: int, d: int, max_cos: float | None, generator: torch.Generator, steps: int) -> Basis:
    """Adam on the sum of squared excesses of |<v_i, v_j>| over a level, for n > d; rows normalised after each step.

    With `max_cos` the level lies a little below it (never below the bound), the step size shrinks by a third after 20 steps without
    a gain, and the first basis that reaches max_cos is returned. Without,
    the level follows the coherence down, the step size falls to zero, and the best basis on the way is returned. The start is a
    tight frame, which spreads the n vectors evenly over the d directions: their mean squared cosine is the Welch bound's.
    """
    v = torch.randn(n, d, generator=generator)
    v = torch.linalg.svd(v, full_matrices=False)
    v = normalize(v[0] @ v[2], dim=1)
    least = lower_bound(n, d)
    m, s = torch.zeros_like(v), torch.zeros_like(v)
    rate, b1, b2 = 0.2 / d**0.5, 0.9, 0.99
    best, lowest, gained = v, 2.0, 0
    for step in range(1, steps + 1):
        gram = v @ v.T
        gram.fill_diagonal_(0)
        top = float(gram.abs().amax())
        if top < lowest:
            best, lowest, gained = v.clone(), top, step
        elif max_cos is not None and step - gained >= 20:
            rate, gained = rate * 2 / 3, step
        if max_cos is not None and top <= max_cos:
            return Basis(best, step - 1, True)
        level = max(least, 0.995 * max_cos if max_cos is not None else 0.9 * top)
        g = torch.nn.functional.hardshrink(gram, level)
        g -= level * g.sign()  # excess with its sign
        g = g @ v
        g -= v * (g * v).sum(1, keepdim=True)
        m.mul_(b1).add_(g, alpha=1 - b1)
        s.mul_(b2).addcmul_(g, g, value=1 - b2)
        fall = 1.0 if max_cos is not None else 1 - (step - 1) / steps
        change = m / (1 - b1**step) / (s.div(1 - b2**step).sqrt_() + 1e-12)
        v = normalize(v - rate * fall * change, dim=1)
    return Basis(best, steps, max_cos is None or lowest <= max_cos + SLACK)


def unreached(basis: Basis, max_cos: float) -> str:
    """One sentence for a basis that stayed above max_cos."""
    n, d = basis.vectors.shape
    got = basis.coherence
    return (
        f"{n} vectors of dimension {d} did not reach max_cos={max_cos:g} ({angle(max_cos):.2f} degrees) in {basis.steps} steps; "
        f"{got:.4f} ({angle(got):.2f} degrees) was reached, and the bound is {lower_bound(n, d):.4f}: allow more, or raise the dimension"
    )


def optimality(basis: Basis) -> float:
    """Coherence over the Welch bound (1 is an equiangular tight frame); infinite where the bound is 0 and the coherence is not."""
    n, d = basis.vectors.shape
    bound = welch_bound(n, d)
    return basis.coherence / bound if bound else float("inf")
