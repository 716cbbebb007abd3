"""The equivariance meter: by how much a network fails to commute with a group, at random elements and at the worst found.

For y = f(x) and a group element g the error of one sample is ||f(g x) - g f(x)|| / s, with s the root mean square norm of
f(x) over the samples (one number for all, so that a small output does not look like a failure). In float64 an exactly
symmetric network stays near 1e-15 times the condition of its layers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from bench.schema import Metric
from models.geometry.frames import parse_group, random_orthogonal

LOG_SCALE = math.log(3.0)
OUTPUTS = ("invariant", "vector", "position", "line")


@dataclass(frozen=True)
class Errors:
    """`mean` over samples and random elements, `worst` of them, and `adversarial`, the largest after gradient ascent."""

    mean: float
    worst: float
    adversarial: float

    def metrics(self, prefix: str = "equivariance") -> list[Metric]:
        """Rows of the harness; relative errors."""
        names = {"error": self.mean, "error_worst": self.worst, "error_adversarial": self.adversarial}
        return [Metric(f"{prefix}_{k}", v, "lower", "relative") for k, v in names.items()]


class EuclideanAction:
    """x -> s R x + t on clouds (B, n, d), with vectors turning by R; R in O(d) or SO(d), t in the unit ball times `spread`.

    `scale`: s is drawn from [1/3, 3] (a similarity); outputs: "invariant", "vector" (R y), "position" (s R y + t) or
    "line" (R y up to sign).
    """

    def __init__(self, group: str, output: str = "invariant", *, scale: bool = False, spread: float = 1.0) -> None:
        kind, self.dim = parse_group(group)
        if kind == "S":
            raise ValueError("S_n acts on graphs; use permutation_errors")
        if output not in OUTPUTS:
            raise ValueError(f"output {output!r} is unknown; use {', '.join(OUTPUTS)}")
        self.proper, self.moves = kind in ("SO", "SE"), kind in ("E", "SE")
        self.output, self.scale, self.spread = output, scale, spread

    def draw(self, count: int, generator: torch.Generator, like: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Random (R, log s, t), one for each sample."""
        options: dict[str, Any] = {"dtype": like.dtype, "device": like.device}
        r = random_orthogonal(count, self.dim, generator, proper=self.proper, **options)
        t = (
            torch.randn(count, self.dim, generator=generator, dtype=torch.float64).to(**options)
            * self.spread
            * float(self.moves)
        )
        s = (
            (torch.rand(count, generator=generator, dtype=torch.float64).to(**options) * 2 - 1)
            * float(self.scale)
            * LOG_SCALE
        )
        return r, s, t

    def perturb(self, r: Tensor, w: Tensor) -> Tensor:
        """R exp(skew(w)): w (B, d (d - 1) / 2) are coordinates of the Lie algebra."""
        skew = r.new_zeros(len(r), self.dim, self.dim)
        i, j = torch.triu_indices(self.dim, self.dim, 1, device=r.device)
        skew = skew.index_put((torch.arange(len(r), device=r.device)[:, None], i[None], j[None]), w)
        return r @ torch.linalg.matrix_exp(skew - skew.mT)

    def on_input(
        self, element: tuple[Tensor, Tensor, Tensor], x: Tensor, vectors: list[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        r, s, t = element
        moved = s.exp()[:, None, None] * (x @ r.mT) + t[:, None]
        return moved, [v @ r.mT for v in vectors]

    def on_output(self, element: tuple[Tensor, Tensor, Tensor], y: Tensor) -> Tensor:
        if self.output == "invariant":
            return y
        r, s, t = element
        if y.shape[-1] != self.dim:
            raise ValueError(
                f"an output of {y.shape[-1]} numbers per point cannot carry {self.output}s of dimension {self.dim}"
            )
        turned = (y.reshape(len(y), -1, self.dim) @ r.mT).reshape(y.shape)
        if self.output != "position":
            return turned
        lift = (slice(None), *[None] * (y.dim() - 2))
        return s.exp().reshape(-1, *[1] * (y.dim() - 1)) * turned + t[lift]

    def gap(self, a: Tensor, b: Tensor) -> Tensor:
        """Distance (B,) of two outputs; lines are compared up to sign, entry by entry of the last axis."""
        if self.output == "line":
            flip = (a * b).sum(-1, keepdim=True).detach().sign()
            b = torch.where(flip < 0, -b, b)
        return (a - b).flatten(1).square().sum(1).sqrt()


def equivariance_errors(
    f: Callable[..., Tensor],
    action: EuclideanAction,
    x: Tensor,
    *vectors: Tensor,
    draws: int = 8,
    steps: int = 10,
    rate: float = 0.2,
    generator: torch.Generator | None = None,
) -> Errors:
    """Errors of f(x, *vectors) under `draws` random elements for each sample, then `steps` of gradient ascent from the worst.

    Ascent: normalised gradient steps of length `rate` (in radians; in `spread` for translations) with the largest value on
    the way kept, so the adversarial error is never below the worst random one. The network is not changed.
    """
    generator = generator or torch.Generator().manual_seed(0)
    given = list(vectors)
    with torch.no_grad():
        y = f(x, *given)
        size = y.flatten(1).square().sum(1).mean().sqrt().clamp_min(torch.finfo(y.dtype).tiny)
        best = x.new_full((len(x),), -1.0)
        keep = action.draw(len(x), generator, x)
        errors = []
        for _ in range(draws):
            element = action.draw(len(x), generator, x)
            error = _error(f, action, element, x, given, y, size)
            errors.append(error)
            better = error > best
            best = torch.where(better, error, best)
            keep = tuple(
                torch.where(better.reshape(-1, *[1] * (a.dim() - 1)), b, a) for a, b in zip(keep, element, strict=True)
            )  # type: ignore[assignment]
        every = torch.stack(errors)
    r, s, t = keep
    for _ in range(steps):
        w = r.new_zeros(len(r), action.dim * (action.dim - 1) // 2).requires_grad_()
        dt, ds = torch.zeros_like(t).requires_grad_(), torch.zeros_like(s).requires_grad_()
        with torch.enable_grad():
            error = _error(f, action, (action.perturb(r, w), s + ds, t + dt), x, given, y, size)
            grads = (
                torch.autograd.grad(error.sum(), (w, ds, dt), allow_unused=True) if error.requires_grad else (None,) * 3
            )
        if all(g is None for g in grads):
            break
        with torch.no_grad():
            # a sample without any error has no direction: the distance's gradient is not defined there
            gw, gs, gt = (
                torch.zeros_like(a) if g is None else g.nan_to_num(0.0) for g, a in zip(grads, (w, ds, dt), strict=True)
            )
            r = action.perturb(r, rate * torch.nn.functional.normalize(gw, dim=-1))
            if action.moves:
                t = t + rate * action.spread * torch.nn.functional.normalize(gt, dim=-1)
            if action.scale:
                s = (s + rate * gs.sign()).clamp(-LOG_SCALE, LOG_SCALE)
            best = torch.maximum(best, _error(f, action, (r, s, t), x, given, y, size))
    return Errors(float(every.mean()), float(every.max()), float(best.max()))


def _error(
    f: Callable[..., Tensor],
    action: EuclideanAction,
    element: Any,
    x: Tensor,
    vectors: list[Tensor],
    y: Tensor,
    size: Tensor,
) -> Tensor:
    moved, turned = action.on_input(element, x, vectors)
    return action.gap(f(moved, *turned), action.on_output(element, y)) / size


@torch.no_grad()
def permutation_errors(
    f: Callable[..., Tensor],
    adjacency: Tensor,
    features: Tensor | None,
    mask: Tensor,
    *,
    draws: int = 4,
    rounds: int = 2,
    generator: torch.Generator | None = None,
) -> Errors:
    """Invariance errors of f(adjacency, features, mask) under relabelling: random permutations of the existing vertices.

    The group is finite, so ascent is a climb: `rounds` sweeps over random transpositions from the worst permutation, each
    kept where it raises the error.
    """
    from models.geometry.graph_frames import reorder

    generator = generator or torch.Generator().manual_seed(0)
    n = adjacency.shape[-1]
    y = f(adjacency, features, mask)
    size = y.flatten(1).square().sum(1).mean().sqrt().clamp_min(torch.finfo(y.dtype).tiny)

    def error(orders: Tensor) -> Tensor:
        nodes = None if features is None else features.gather(1, orders[..., None].expand_as(features))
        z = f(reorder(adjacency, orders), nodes, mask)  # existing vertices come first and stay first
        return (z - y).flatten(1).square().sum(1).sqrt() / size

    beyond = (~mask.bool()).double() * 2 + torch.arange(n, device=mask.device) * 1e-9 * (~mask.bool())
    every, best, keep = [], None, None
    for _ in range(draws):
        noise = torch.rand(adjacency.shape[:2], generator=generator, dtype=torch.float64).to(adjacency.device)
        orders = torch.where(mask.bool(), noise, beyond).argsort(-1)
        e = error(orders)
        every.append(e)
        if best is None or keep is None:
            best, keep = e, orders
        keep = torch.where((e > best)[:, None], orders, keep)
        best = torch.maximum(best, e)
    assert best is not None and keep is not None
    worst, count, rows = torch.stack(every), mask.sum(1), torch.arange(len(keep), device=keep.device)
    for _ in range(rounds):
        i, j = (
            (torch.rand(len(keep), generator=generator, dtype=torch.float64).to(keep.device) * count).long()
            for _ in "ij"
        )
        trial = keep.clone()
        trial[rows, i], trial[rows, j] = keep[rows, j], keep[rows, i]
        e = error(trial)
        keep = torch.where((e > best)[:, None], trial, keep)
        best = torch.maximum(best, e)
    return Errors(float(worst.mean()), float(worst.max()), float(best.max()))
