"""When and how the radial part of an update is removed (Heo et al. 2021, Algorithms 1 and 2).

A weight w is scale-invariant when f(c w) = f(w) for c > 0; then <w, grad f> = 0. A tensor is taken for scale-invariant when
the cosine of gradient and weight is below delta / sqrt(dim) in every row of a view: first the channel view (shape[0], -1), then
the layer view (1, -1). The update d then loses its part along each row of w, d - w_hat <w_hat, d>, w_hat = w / (||w|| + eps).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

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


def radial(w: Tensor, g: Tensor, d: Tensor, delta: float, eps: float) -> Radial:
    """`project` without a branch on values and without temporaries of the size of w.

    The removed part lies along w itself, so only row sums are needed: <g, w>, <w, d>, ||g||, ||w||; those of the layer view are
    sums over the rows. Nothing is copied from a device to the host.
    """
    a, b, u = rows_of(w, w), rows_of(g, w), rows_of(d, w)
    gw, wd = _dots(b, a), _dots(a, u)
    gn, wn = torch.linalg.vector_norm(b, dim=1), torch.linalg.vector_norm(a, dim=1)
    cosine = (gw / (gn.clamp_min(eps) * wn.clamp_min(eps))).abs().max()
    channel = cosine < delta / math.sqrt(a.shape[1])
    length = torch.linalg.vector_norm(wn)
    whole = (gw.sum() / (torch.linalg.vector_norm(gn).clamp_min(eps) * length.clamp_min(eps))).abs()
    layer = (whole < delta / math.sqrt(w.numel())) & ~channel
    shrink = torch.where(channel, wd / (wn + eps).square(), layer * wd.sum() / (length + eps).square())
    return Radial(shrink, torch.stack([channel, layer]).to(shrink.dtype))


def rows_of(x: Tensor, like: Tensor) -> Tensor:
    """x as (shape[0], -1), in the order in which `like` lies in memory: a view also where weights are stored channels-last."""
    if like.dim() == 4 and not like.is_contiguous() and like.is_contiguous(memory_format=torch.channels_last):
        x = x.permute(0, 2, 3, 1)
    return x.reshape(x.shape[0], -1)


def _dots(a: Tensor, b: Tensor) -> Tensor:
    """Inner products of the rows of two (rows, n) tensors, (rows,); by matrix products, which need no temporary."""
    return torch.bmm(a.unsqueeze(1), b.unsqueeze(2)).flatten()
