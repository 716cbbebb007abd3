"""When and how the radial part of an update is removed (Heo et al. 2021, Algorithms 1 and 2).

A weight w is scale-invariant when f(c w) = f(w) for c > 0; then <w, grad f> = 0. A tensor is taken for scale-invariant when
the cosine of gradient and weight is below delta / sqrt(dim) in every row of a view: first the channel view (shape[0], -1), then
the layer view (1, -1). The update d then loses its part along each row of w, d - w_hat <w_hat, d>, w_hat = w / (||w|| + eps).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity


def project(w: Tensor, g: Tensor, d: Tensor, delta: float, eps: float) -> tuple[Tensor, int]:
    """One tensor at a time: (update, view), where view says what was projected: 0 channels, 1 the layer, -1 nothing.

    Parameters
    ----------
    w, g, d : Tensor of one shape (two or more dimensions); weight, raw gradient of this step, and update, which is not changed
    """
    spread = [-1] + [1] * (w.dim() - 1)
    for i, rows in enumerate((w.shape[0], 1)):
        a, b = w.reshape(rows, -1), g.reshape(rows, -1)
        if cosine_similarity(b, a, dim=1, eps=eps).abs().max() < delta / math.sqrt(a.shape[1]):
            unit = w / (a.norm(dim=1) + eps).view(spread)
            return d - unit * (unit * d).reshape(rows, -1).sum(1).view(spread), i
    return d, -1


@dataclass
class Radial:
    """What projecting does to one tensor, as a scaling of its rows.

    `shrink` (rows,): c with projected update = d - c w for the rows of w, zero where nothing is projected;
    `views` (2,): 1.0 for the view that passed the test (channels, layer); both zero: none.
    """

    shrink: Tensor
    views: Tensor


def dots(a: Tensor, b: Tensor) -> Tensor:
    """<a, b> of each row, both (rows, n)."""
    if a.device.type == "cpu" and a.dtype in (
        torch.float32,
        torch.float64,
    ):  # one pass, where torch writes the products first
        return torch.from_numpy(np.vecdot(a.numpy(), b.numpy()))
    return (a * b).sum(1)


def row_sums(w: Tensor, g: Tensor, d: Tensor) -> Tensor:
    """<g, w>, <w, d>, ||g||, ||w|| of each row, (4, rows); all arguments (rows, n)."""
    return torch.stack([dots(g, w), dots(d, w), *(torch.linalg.vector_norm(x, dim=1) for x in (g, w))])


def passes(gw: Tensor, gn: Tensor, wn: Tensor, n: int, delta: float, eps: float) -> Tensor:
    """Which view passes the test (channels, layer), (2,) bool, at most one, from <g, w>, ||g||, ||w|| of each row of n entries.

    The sums of the layer view are those over the rows.
    """
    channel = (gw / (gn.clamp_min(eps) * wn.clamp_min(eps))).abs().max() < delta / math.sqrt(n)
    gl, wl = torch.linalg.vector_norm(gn), torch.linalg.vector_norm(wn)
    whole = (gw.sum() / (gl.clamp_min(eps) * wl.clamp_min(eps))).abs()
    return torch.stack([channel, (whole < delta / math.sqrt(n * len(wn))) & ~channel])


def radial(sums: Tensor, n: int, delta: float, eps: float) -> Radial:
    """The decision and the effect of `project` from the `row_sums` of a tensor whose rows have n entries.

    The removed part lies along w itself, so nothing else is needed. There is no branch on values, so nothing is copied from a
    device to the host.
    """
    gw, wd, gn, wn = sums
    views = passes(gw, gn, wn, n, delta, eps)
    whole = wd.sum() / (torch.linalg.vector_norm(wn) + eps).square()
    return Radial(torch.where(views[0], wd / (wn + eps).square(), views[1] * whole), views.to(wd.dtype))


class Scratch:
    """Working memory that the tensors of a step use one after the other: it stays in the cache, and no pages are asked for anew."""

    def __init__(self) -> None:
        self._flat: dict[object, Tensor] = {}

    def like(self, x: Tensor) -> Tensor:
        """An uninitialised tensor laid out as the dense tensor x; always the same memory."""
        key = (x.dtype, x.device)
        if key not in self._flat or self._flat[key].numel() < x.numel():
            self._flat[key] = torch.empty(x.numel(), dtype=x.dtype, device=x.device)
        return self._flat[key][: x.numel()].as_strided(x.shape, x.stride())


def dense(x: Tensor) -> bool:
    """Whether `rows_of` gives a view of x."""
    return x.is_contiguous() or (x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last))


def rows_of(x: Tensor, like: Tensor) -> Tensor:
    """x as (shape[0], -1), in the order in which `like` lies in memory: a view also where weights are stored channels-last."""
    if like.dim() == 4 and not like.is_contiguous() and like.is_contiguous(memory_format=torch.channels_last):
        x = x.permute(0, 2, 3, 1)
    return x.reshape(x.shape[0], -1)
