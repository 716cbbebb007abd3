"""One pulsar, reduced to what its likelihood needs: the timing model marginalised, the white noise whitened, the rest left out.

r = M eps + F c + n, n ~ N(0, N) with N diagonal, eps of a flat prior. With G spanning the orthogonal complement of M, G^T r depends on c
through A = (G^T N G)^(-1/2) G^T F alone; from A = Q U follow e = U c + noise, noise ~ N(0, I), and a part that knows nothing of c.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Reduced:
    """`factor` U (q, q) and `data` e (q,), q = 2 k, in units of the noise: ln p(G^T r | c) = `constant` - |e - U c|^2 / 2."""

    factor: Tensor
    data: Tensor
    constant: float


def fourier(times: Tensor, frequencies: Tensor) -> Tensor:
    """F (n, 2 k): sine and cosine of each frequency in turn, so that column 2 k and 2 k + 1 have the variance phi_k."""
    angle = 2 * math.pi * times[:, None] * frequencies
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(1)


def reduce(
    residuals: Tensor, sigma: Tensor, design: Tensor, times: Tensor, frequencies: Tensor, name: str = ""
) -> Reduced:
    """The reduced form of one pulsar. All float64; residuals, sigma, times (n,) in s, design (n, p), frequencies (k,) in Hz.

    No n x n matrix is made: with M~ = N^(-1/2) M the projection is that onto the complement of M~, and
    |G^T N G| = |N| |M^T N^-1 M| / |M^T M| for orthonormal G. Columns of the design are scaled to unit length first.

    Raises ValueError for too few observations, uncertainties that are not positive, NaN, and a design of lower rank than it has columns.
    """
    who = f"pulsar {name}" if name else "the pulsar"
    n, p = design.shape
    if n < p + 2:
        raise ValueError(
            f"{who} has {n} observations and {p} timing parameters; leave it out, or simplify its timing model"
        )
    if not bool(torch.isfinite(residuals).all() and torch.isfinite(design).all() and torch.isfinite(times).all()):
        raise ValueError(f"{who} has NaN or infinity in its residuals, times or design; leave those observations out")
    if not bool((sigma > 0).all() and torch.isfinite(sigma).all()):
        raise ValueError(f"{who} has uncertainties that are not positive; leave those observations out")
    m = design / design.norm(dim=0)
    if int(torch.linalg.matrix_rank(m)) < p:
        raise ValueError(f"{who} has a timing model of linearly dependent columns; leave one of them out")
    basis, upper = torch.linalg.qr(m / sigma[:, None])
    whitened = torch.cat([fourier(times, frequencies), residuals[:, None]], 1) / sigma[:, None]
    whitened = whitened - basis @ (basis.T @ whitened)
    a, y = whitened[:, :-1], whitened[:, -1]
    q, u = torch.linalg.qr(a)
    e = q.T @ y
    gram = m.T @ m
    log_det = 2 * sigma.log().sum() + 2 * upper.diagonal().abs().log().sum() - torch.linalg.slogdet(gram).logabsdet
    constant = -0.5 * (y @ y - e @ e) - 0.5 * ((n - p) * math.log(2 * math.pi) + log_det)
    short = a.shape[1] - len(e)  # fewer observations than coefficients: rows that carry nothing fill up
    if short > 0:
        u, e = torch.nn.functional.pad(u, (0, 0, 0, short)), torch.nn.functional.pad(e, (0, short))
    return Reduced(u, e, float(constant))
