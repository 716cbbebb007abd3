"""Coupling coefficients and rotations of real spherical harmonics, in float64 and in the conventions of e3nn.

Clebsch-Gordan coefficients by the ladder operator; Wigner 3j symbols of the real basis from them; Gaunt coefficients by exact
quadrature; Wigner D matrices by exact quadrature, or as products of fast rotations about the polar axis.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from models.geometry.spherical_harmonics import spherical_harmonics
from models.geometry.spherical_tables import check_degree, degrees, once, orders, points, quadrature

# ------------------------------------------------------------------------------------------ coupling


def allowed(l1: int, l2: int, l3: int) -> bool:
    """Whether the triangle inequality holds: |l1 - l2| <= l3 <= l1 + l2."""
    return abs(l1 - l2) <= l3 <= l1 + l2


@once
def clebsch_gordan(l1: int, l2: int, l3: int) -> np.ndarray:
    """<l1 m1 l2 m2 | l3 m3> of the complex basis, (2 l1 + 1, 2 l2 + 1, 2 l3 + 1) float64, Condon-Shortley phases.

    The state m3 = l3 in closed form, the others from it by J_- = J_-(1) + J_-(2), down to m3 = 0, and
    <-m1 -m2 | -m3> = (-1)^(l1 + l2 - l3) <m1 m2 | m3>. Rounding grows with the number of steps only.
    """
    for name, value in (("l1", l1), ("l2", l2), ("l3", l3)):
        check_degree(name, value)
    if not allowed(l1, l2, l3):
        raise ValueError(
            f"l3 = {l3} is not between |l1 - l2| = {abs(l1 - l2)} and l1 + l2 = {l1 + l2}; such a path is zero"
        )
    table = np.zeros((2 * l1 + 1, 2 * l2 + 1, 2 * l3 + 1))
    m1 = np.arange(max(-l1, l3 - l2), min(l1, l3 + l2) + 1)
    m2 = l3 - m1
    lgamma = np.vectorize(math.lgamma)
    log = 0.5 * (lgamma(l1 + m1 + 1) + lgamma(l2 + m2 + 1) - lgamma(l1 - m1 + 1) - lgamma(l2 - m2 + 1))
    top = (-1.0) ** (l1 - m1) * np.exp(log - log.max())
    table[l1 + m1, l2 + m2, 2 * l3] = top / np.linalg.norm(top)

    def lower(deg: int) -> np.ndarray:  # J_-|m + 1> = lower[l + m] |m>
        m = np.arange(-deg, deg)
        return np.sqrt(deg * (deg + 1.0) - m * (m + 1.0))

    a, b, c = lower(l1), lower(l2), lower(l3)
    for k in range(2 * l3, l3, -1):
        table[:-1, :, k - 1] += a[:, None] * table[1:, :, k]
        table[:, :-1, k - 1] += b * table[:, 1:, k]
        table[:, :, k - 1] /= c[k - 1]
    sign = (-1.0) ** (l1 + l2 - l3)
    table[:, :, :l3] = sign * table[::-1, ::-1, :l3:-1]
    return table


@once
def _to_complex(deg: int) -> np.ndarray:
    """(2 l + 1, 2 l + 1): complex basis states in terms of the real ones, times (-i)^l, which makes all real 3j symbols real."""
    q = np.zeros((2 * deg + 1, 2 * deg + 1), dtype=complex)
    q[deg, deg] = 1.0
    m = np.arange(1, deg + 1)
    q[deg - m, deg + m], q[deg - m, deg - m] = math.sqrt(0.5), -1j * math.sqrt(0.5)
    q[deg + m, deg + m], q[deg + m, deg - m] = (-1.0) ** m * math.sqrt(0.5), 1j * (-1.0) ** m * math.sqrt(0.5)
    return (-1j) ** deg * q


@once
def wigner_3j(l1: int, l2: int, l3: int) -> Tensor:
    """The invariant tensor of three degrees in the real basis: (2 l1 + 1, 2 l2 + 1, 2 l3 + 1) float64 of norm 1.

    Sign as in e3nn. It is symmetric under exchange of equal degrees where l1 + l2 + l3 is even, antisymmetric where odd.
    """
    table = clebsch_gordan(l1, l2, l3)
    half = np.tensordot(_to_complex(l1), np.tensordot(_to_complex(l2), table, (0, 1)), (0, 1))
    real = (half @ _to_complex(l3).conj()).real / math.sqrt(2 * l3 + 1)
    real[np.abs(real) < 1e-13] = 0.0  # forbidden by the orders: rounding of the change of basis
    return torch.from_numpy(real)


@once
def gaunt_factor(l1: int, l2: int, l3: int) -> float:
    """c >= 0 with G = c wigner_3j: sqrt((2 l1 + 1)(2 l2 + 1)(2 l3 + 1) / 4 pi) |3j(l1 l2 l3; 0 0 0)|; 0 where the sum is odd."""
    if not allowed(l1, l2, l3) or (l1 + l2 + l3) % 2:
        return 0.0
    middle = abs(float(clebsch_gordan(l1, l2, l3)[l1, l2, l3]))
    return math.sqrt((2 * l1 + 1) * (2 * l2 + 1) / (4.0 * math.pi)) * middle


@once
def gaunt(top1: int, top2: int, top3: int) -> Tensor:
    """G[i, j, k], the integral of Y_i Y_j Y_k over the sphere, for degrees 0..top1, 0..top2, 0..top3, float64.

    ((top1 + 1)^2, (top2 + 1)^2, (top3 + 1)^2). Exact quadrature, then exact zeros where degrees or orders forbid the triple.
    """
    for name, value in (("top1", top1), ("top2", top2), ("top3", top3)):
        check_degree(name, value)
    node, weight, alpha = quadrature(top1 + top2 + top3)
    y = spherical_harmonics(max(top1, top2, top3), points(node, alpha)).flatten(0, 1)
    w = (weight[:, None] * (2.0 * math.pi / len(alpha))).expand(-1, len(alpha)).reshape(-1, 1)
    a, b, c = ((t + 1) ** 2 for t in (top1, top2, top3))
    pair = ((w * y[:, :a]).unsqueeze(-1) * y[:, None, :b]).flatten(1)
    table = (pair.mT @ y[:, :c]).view(a, b, c)
    return torch.where(
        selection(top1, top2, top3) & (table.abs() > 1e-13), table, 0.0
    )  # below: chance zeros, as of (2, 3, 3)


@once
def selection(top1: int, top2: int, top3: int) -> Tensor:
    """Where Gaunt coefficients can be other than zero, bool of the shape of `gaunt`: even sum of degrees, triangle, orders.

    Orders: |m3| is |m1| + |m2| or ||m1| - |m2||, and an even number of them is negative.
    """
    l1, l2, l3 = degrees(top1)[:, None, None], degrees(top2)[:, None], degrees(top3)
    m1, m2, m3 = orders(top1)[:, None, None], orders(top2)[:, None], orders(top3)
    degree = ((l1 + l2 + l3) % 2 == 0) & ((l1 - l2).abs() <= l3) & (l3 <= l1 + l2)
    size = (m3.abs() == m1.abs() + m2.abs()) | (m3.abs() == (m1.abs() - m2.abs()).abs())
    return degree & size & (((m1 < 0).int() + (m2 < 0).int() + (m3 < 0).int()) % 2 == 0)


# ------------------------------------------------------------------------------------------ rotations


@once
def _nodes(top: int) -> tuple[Tensor, Tensor]:
    """Points (k, 3) and, for each, w_k Y(p_k) (k, (top + 1)^2): exact for products of two harmonics of degree <= top."""
    node, weight, alpha = quadrature(2 * top)
    p = points(node, alpha)
    w = weight[:, None, None] * (2.0 * math.pi / len(alpha))
    return p.flatten(0, 1), (w * spherical_harmonics(top, p)).flatten(0, 1)


@once
def _blocks(top: int) -> Tensor:
    """Bool ((top + 1)^2, (top + 1)^2): entries of equal degree."""
    deg = degrees(top)
    return deg[:, None] == deg


def wigner_d(top: int, r: Tensor) -> Tensor:
    """D(R) with Y(R p) = D(R) Y(p), block-diagonal over degrees 0..top: (..., 3, 3) -> (..., (top + 1)^2, (top + 1)^2).

    R orthogonal; of determinant -1 too, where D(-R) = (-1)^l D(R) comes out by itself. By exact quadrature of
    D = int Y(R p) Y(p)^T dp; differentiable. The same D as e3nn's `Irreps.D_from_matrix` for parities (-1)^l.

    Raises ValueError for a wrong shape or a matrix that is not orthogonal.
    """
    check_degree("top", top)
    if r.ndim < 2 or r.shape[-2:] != (3, 3):
        raise ValueError(f"r has shape {tuple(r.shape)}; give orthogonal matrices (..., 3, 3)")
    off = (r @ r.mT - torch.eye(3, dtype=r.dtype, device=r.device)).abs()
    if not bool((off < 64 * torch.finfo(r.dtype).eps ** 0.75).all()):
        raise ValueError(
            "r is not orthogonal (or not finite); give rotations or rotoinversions, e.g. by a QR decomposition"
        )
    p, weighted = (t.to(r) for t in _nodes(top))
    d = spherical_harmonics(top, p @ r.mT, normalise=False).mT @ weighted
    return torch.where(_blocks(top).to(r.device), d, 0.0)


@once
def _cycle(top: int) -> Tensor:
    """The Wigner matrix of the rotation (x, y, z) -> (y, z, x)."""
    return wigner_d(top, torch.tensor([[0.0, 1, 0], [0, 0, 1], [1, 0, 0]], dtype=torch.float64))


class ToPole:
    """Rotations R_i with R_i r_i = e_y, for directions r (..., 3), acting on coefficients of any degree up to `top`.

    Directions must not be zero. `forth` applies D(R_i), `back` its inverse, to (..., channels, (degree + 1)^2) with one direction
    per leading index. Two
    charts keep every derivative in r finite and exact: directions close to the polar axis are first turned by a fixed
    rotation, because azimuths are singular there.
    """

    def __init__(self, top: int, r: Tensor) -> None:
        check_degree("top", top)
        r = torch.nn.functional.normalize(r, dim=-1)
        self.close = (r[..., 1].abs() > 0.8)[..., None]
        r = torch.where(self.close, r[..., [1, 2, 0]], r)
        x, y, z = r.unbind(-1)
        sine = (x * x + z * z).sqrt()
        self.alpha = _powers(z / sine, -x / sine, top)
        self.beta = _powers(y, sine, top)
        self.close = self.close[..., None]

    def forth(self, x: Tensor) -> Tensor:
        """D(R_i) x_i."""
        top = math.isqrt(x.shape[-1]) - 1
        x = torch.where(self.close, x @ _cycle(top).to(x).mT, x)
        return self._tilt(_about_pole(self.alpha, x, 1.0), 1.0)

    def back(self, x: Tensor) -> Tensor:
        """D(R_i)^T x_i."""
        top = math.isqrt(x.shape[-1]) - 1
        x = _about_pole(self.alpha, self._tilt(x, -1.0), -1.0)
        return torch.where(self.close, x @ _cycle(top).to(x), x)

    def _tilt(self, x: Tensor, sign: float) -> Tensor:
        j = _tilt_basis(math.isqrt(x.shape[-1]) - 1).to(x)
        return _about_pole(self.beta, x @ j.mT, sign) @ j


@once
def _tilt_basis(top: int) -> Tensor:
    """The Wigner matrix of the exchange of x and y, its own inverse: between two of them a turn about y is one about x."""
    return wigner_d(top, torch.tensor([[0.0, 1, 0], [1, 0, 0], [0, 0, 1]], dtype=torch.float64))


def _powers(c: Tensor, s: Tensor, top: int) -> tuple[Tensor, Tensor]:
    """cos(m t), sin(m t) for m = 0..top, (..., top + 1) each, from cos t and sin t."""
    re, im = [torch.ones_like(c)], [torch.zeros_like(c)]
    for _ in range(top):
        re, im = [*re, re[-1] * c - im[-1] * s], [*im, re[-1] * s + im[-1] * c]
    return torch.stack(re, -1), torch.stack(im, -1)


@once
def _order_tables(top: int) -> tuple[Tensor, Tensor, Tensor]:
    """Per coefficient: |m|, the index of (l, -m), and the sign of m."""
    deg, m = degrees(top), orders(top)
    return m.abs(), deg * deg + deg - m, m.sign().double()


def _about_pole(turn: tuple[Tensor, Tensor], x: Tensor, sign: float) -> Tensor:
    """Rotate coefficients x (..., channels, n) about y by the angles whose cos(m t), sin(m t) are given, one per leading index.

    Y_l^m(a + t) = cos(m t) Y_l^m + sin(m t) Y_l^-m for m > 0, and its partner for m < 0 with the opposite sign.
    """
    size, partner, way = (t.to(x.device) for t in _order_tables(math.isqrt(x.shape[-1]) - 1))
    c, s = (t[..., None, :].index_select(-1, size) for t in turn)
    return c * x - (sign * way.to(x)) * s * x.index_select(-1, partner)
