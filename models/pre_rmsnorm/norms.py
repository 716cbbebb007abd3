"""RMSNorm, compressed RMSNorm, and the two linear maps between a vector and its first d - 1 entries (arXiv 2305.14858).

LN(x) = (x - mean x) / sqrt(var x + eps) with the biased variance; RMS(x) = x / sqrt(mean x^2 + eps). If mean x = 0, LN(x) = RMS(x),
and the last entry of x is minus the sum of the others, so that d - 1 entries hold all of x.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def _wide(x: Tensor) -> Tensor:
    """Half-precision input in float32: squares of 16-bit numbers overflow or lose their digits."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def fused(x: Tensor) -> bool:
    """Whether torch's own rms_norm is one kernel for x: on a GPU it is, on a CPU it runs as several passes over memory."""
    return x.is_cuda


def rms_norm(x: Tensor, eps: float) -> Tensor:
    """x (..., d) -> x / sqrt(mean x^2 + eps) over the last axis; computed in float32 or float64, returned in x's dtype."""
    if fused(x):
        return nn.functional.rms_norm(x, x.shape[-1:], None, eps).to(x.dtype)  # sums in float32 itself
    y = _wide(x)
    # one reduction and one product: in eager mode fewer passes over memory than torch's own rms_norm takes on a CPU
    size = torch.linalg.vector_norm(y, dim=-1, keepdim=True)
    return (y * torch.rsqrt(size.square() / x.shape[-1] + eps)).to(x.dtype)


def crms_norm(x: Tensor, eps: float) -> Tensor:
    """x (..., d-1), the first entries of a zero-mean vector of d -> x / sqrt((sum x^2 + (sum x)^2) / d + eps)."""
    y = _wide(x)
    square = torch.linalg.vector_norm(y, dim=-1, keepdim=True).square() + y.sum(-1, keepdim=True).square()
    return (y * torch.rsqrt(square / (x.shape[-1] + 1) + eps)).to(x.dtype)


class RMSNorm(nn.Module):
    """`rms_norm` on `width` entries, without parameters: scale and offset belong to the linear map that reads it."""

    def __init__(self, width: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.width, self.eps = width, eps

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-1] != self.width:
            raise ValueError(
                f"x has {x.shape[-1]} entries on its last axis and this norm {self.width}; give (..., {self.width})"
            )
        return rms_norm(x, self.eps)

    def extra_repr(self) -> str:
        return f"{self.width}, eps={self.eps:g}"


class CRMSNorm(RMSNorm):
    """`crms_norm` on `width` = d - 1 entries."""

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[-1] != self.width:
            raise ValueError(
                f"x has {x.shape[-1]} entries on its last axis and this norm {self.width}; give (..., {self.width})"
            )
        return crms_norm(x, self.eps)


class Centre(nn.Module):
    """x (..., d) -> x - mean x; with `compress`, its first d - 1 entries."""

    def __init__(self, compress: bool = False) -> None:
        super().__init__()
        self.compress = compress

    def forward(self, x: Tensor) -> Tensor:
        x = x - x.mean(-1, keepdim=True)
        return x[..., :-1] if self.compress else x


class Expand(nn.Module):
    """x (..., d-1) -> (..., d): the last entry that makes the mean zero."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, -x.sum(-1, keepdim=True)], -1)
