"""Real spherical harmonics in the conventions of e3nn, by recursion: batched, differentiable, any floating dtype.

Polar axis y; alpha, the azimuth, is counted from z towards x: r = (sin b sin a, cos b, sin b cos a). With normalised associated
Legendre functions P_l^m without the Condon-Shortley sign,

    Y_l^m = sqrt(2) P_l^|m|(cos b) sin(|m| a), m < 0;    Y_l^0 = P_l^0(cos b);    Y_l^m = sqrt(2) P_l^m(cos b) cos(m a), m > 0,

so that Y_1 is proportional to (x, y, z). Coefficients of degrees 0..L lie in one axis of (L + 1)^2 entries, by degree, m = -l..l.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from models.geometry.spherical_tables import check_degree, degrees, once

NORMALISATIONS = ("integral", "component", "norm")


@once
def _recursion(deg: int, dtype: torch.dtype, device: torch.device) -> tuple[Tensor, Tensor]:
    """a_lm, a_lm b_lm for m = 0..l-2: P_l^m = a (y P_{l-1}^m - b r^2 P_{l-2}^m), a^2 = (4 l^2 - 1) / (l^2 - m^2)."""
    m = torch.arange(deg - 1, dtype=torch.float64).square()
    a = ((4.0 * deg * deg - 1.0) / (deg * deg - m)).sqrt()
    b = (((deg - 1.0) ** 2 - m) / (4.0 * (deg - 1.0) ** 2 - 1.0)).sqrt()
    return a.to(device, dtype), (a * b).to(device, dtype)


def legendre(top: int, y: Tensor, square: Tensor | None = None) -> list[Tensor]:
    """For each l = 0..top the polynomials (..., l + 1), m = 0..l: r^(l-m) P_l^m(y / r) / sin^m, integral-normalised.

    y (...,) and r^2 `square` (...,), 1 where not given. The factor sin^m is left to the azimuthal part (z + i x)^m.
    """
    rows = [torch.full_like(y, math.sqrt(0.25 / math.pi)).unsqueeze(-1)]
    y = y.unsqueeze(-1)
    for deg in range(1, top + 1):
        last = rows[-1]
        diagonal = math.sqrt((2.0 * deg + 1.0) / (2.0 * deg)) * last[..., -1:]
        beside = math.sqrt(2.0 * deg + 1.0) * y * last[..., -1:]
        if deg == 1:
            rows.append(torch.cat([beside, diagonal], -1))
            continue
        a, ab = _recursion(deg, y.dtype, y.device)
        older = rows[-2] if square is None else square.unsqueeze(-1) * rows[-2]
        rows.append(torch.cat([a * y * last[..., :-1] - ab * older, beside, diagonal], -1))
    return rows


def scale(top: int, normalisation: str) -> Tensor:
    """((top + 1)^2,) float64: what turns integral-normalised harmonics into "component" (sqrt(4 pi)) or "norm" ones."""
    if normalisation not in NORMALISATIONS:
        raise ValueError(f"normalisation is {normalisation!r}; choose one of {', '.join(NORMALISATIONS)}")
    deg = degrees(top).double()
    if normalisation == "integral":
        return torch.ones_like(deg)
    return math.sqrt(4.0 * math.pi) * (
        torch.ones_like(deg) if normalisation == "component" else (2.0 * deg + 1.0).rsqrt()
    )


def spherical_harmonics(top: int, r: Tensor, normalise: bool = True, normalisation: str = "integral") -> Tensor:
    """Y_l^m(r / |r|) for all degrees l = 0..top at vectors r (..., 3): (..., (top + 1)^2), the dtype of r.

    normalise: False gives the solid harmonics |r|^l Y_l^m(r / |r|), homogeneous polynomials.
    normalisation: "integral" (orthonormal on the sphere), "component" (|Y_l|^2 = 2 l + 1) or "norm" (|Y_l| = 1).
    The direction of a zero vector is taken as the vector 0: Y_0 is as elsewhere and all other degrees vanish.

    Raises ValueError for a wrong last axis, an integer dtype or a degree above the bound of the tables.
    """
    check_degree("top", top)
    if r.ndim == 0 or r.shape[-1] != 3:
        raise ValueError(f"r has shape {tuple(r.shape)}; give vectors (..., 3)")
    if not r.is_floating_point():
        raise ValueError(f"r is {r.dtype}; vectors are of a floating dtype, use r.double()")
    if normalise:
        r = torch.nn.functional.normalize(r, dim=-1, eps=torch.finfo(r.dtype).tiny ** 0.5)
    x, y, z = r.unbind(-1)
    rows = legendre(top, y, r.square().sum(-1))
    re, im = [torch.full_like(x, math.sqrt(2.0))], [torch.zeros_like(x)]
    for _ in range(top):
        re, im = [*re, re[-1] * z - im[-1] * x], [*im, re[-1] * x + im[-1] * z]
    out = [rows[0]]
    if top:
        cos, sin = torch.stack(re[1:], -1), torch.stack(im[1:], -1)
        flipped = sin.flip(-1)
        for deg in range(1, top + 1):
            tail = rows[deg][..., 1:]
            out += [tail.flip(-1) * flipped[..., top - deg :], rows[deg][..., :1], tail * cos[..., :deg]]
    value = torch.cat(out, -1)
    return value if normalisation == "integral" else value * scale(top, normalisation).to(value)
