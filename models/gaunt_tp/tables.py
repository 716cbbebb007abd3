"""Constant tables of the back ends, in float64, built once in a process.

A function f of degree L on the sphere is sum_lm x_l^m Y_l^m. Three ways to see it: values on a grid; on the torus
(beta, alpha) in [0, 2 pi)^2 a trigonometric polynomial with 2 L + 1 modes each way; for each order m a function of beta.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from models.geometry.spherical import degrees, legendre, once, orders, quadrature, spherical_harmonics

LEBEDEV = (3, 5, 7, 9, 11, 15, 17, 19, 21, 23, 27, 29, 31, *range(35, 132, 6))
"""Degrees up to which scipy's Lebedev rules are exact. 13 and 25 are left out: their negative weights amplify rounding."""


# ------------------------------------------------------------------------------------------ values on a grid


@once
def half_grid(degree: int) -> tuple[Tensor, Tensor]:
    """One of each pair +-p of the nodes (k, 3) of a Lebedev rule exact up to `degree`, and twice their weights (k,), float64.

    Lebedev rules have about a third fewer nodes than Gauss-Legendre times uniform ones and contain -p with p: even and odd
    degrees need only half of them.
    """
    from scipy.integrate import lebedev_rule

    node, weight = lebedev_rule(next(d for d in LEBEDEV if d >= degree))
    x, y, z = np.round(node, 8)
    half = (y > 0) | ((y == 0) & ((x > 0) | ((x == 0) & (z > 0))))
    return torch.from_numpy(node.T[half].copy()), torch.from_numpy(2.0 * weight[half])


@once
def parity(top: int) -> tuple[Tensor, Tensor]:
    """Indices of the coefficients of even and of odd degree, 0..top."""
    odd = degrees(top) % 2 == 1
    return torch.nonzero(~odd)[:, 0], torch.nonzero(odd)[:, 0]


@once
def evaluation(top: int, degree: int) -> tuple[Tensor, Tensor]:
    """Harmonics of even (n_even, k) and odd (n_odd, k) degree at `half_grid(degree)`."""
    y = spherical_harmonics(top, half_grid(degree)[0]).mT
    even, odd = parity(top)
    return y[even].contiguous(), y[odd].contiguous()


@once
def projection(top: int, degree: int) -> tuple[Tensor, Tensor, Tensor]:
    """Weighted harmonics (k, n_even), (k, n_odd), and where each coefficient 0..(top + 1)^2 is in the two joined."""
    weight = half_grid(degree)[1]
    even, odd = (weight[:, None] * e.mT for e in evaluation(top, degree))
    return even.contiguous(), odd.contiguous(), torch.argsort(torch.cat(parity(top)))


@once
def evaluate_all(top: int, degree: int) -> Tensor:
    """Harmonics ((top + 1)^2, 2 k) at both halves of the grid."""
    y = spherical_harmonics(top, half_grid(degree)[0]).mT
    return torch.cat([y, torch.where(degrees(top)[:, None] % 2 == 1, -y, y)], -1)


@once
def project_all(top: int, degree: int) -> Tensor:
    """Weighted harmonics (2 k, (top + 1)^2) at both halves of the grid."""
    return (evaluate_all(top, degree) * (0.5 * half_grid(degree)[1]).repeat(2)).mT.contiguous()


# ------------------------------------------------------------------------------------------ order by order


@once
def by_order(top: int) -> tuple[Tensor, Tensor]:
    """Coefficients as an array (signed m, l), m = -top..top, l = 0..top.

    Gives the index (2 top + 1, top + 1) into the (top + 1)^2 coefficients with one zero appended, which stands where |m| > l; and
    the index ((top + 1)^2,) into the flattened array that brings the coefficients back.
    """
    m, deg = torch.arange(-top, top + 1)[:, None], torch.arange(top + 1)
    index = torch.where(m.abs() <= deg, deg * deg + deg + m, (top + 1) ** 2)
    return index, (orders(top) + top) * (top + 1) + degrees(top)


@once
def associated(top: int, degree: int) -> tuple[Tensor, Tensor]:
    """P_l^|m| at the Gauss-Legendre nodes exact for `degree`: (2 top + 1, top + 1, n_beta), 0 where |m| > l; the weights."""
    node, weight, _ = quadrature(degree)
    sine = (1.0 - node.square()).sqrt()
    table = torch.zeros(2 * top + 1, top + 1, len(node), dtype=torch.float64)
    for deg, row in enumerate(legendre(top, node)):
        for m in range(deg + 1):
            table[top + m, deg] = table[top - m, deg] = row[:, m] * sine**m
    return table, weight


@once
def azimuth(top: int, degree: int) -> Tensor:
    """sqrt(2) sin(|m| a), 1, sqrt(2) cos(m a) at degree + 1 uniform azimuths: (2 top + 1, degree + 1)."""
    m = torch.arange(-top, top + 1)[:, None]
    a = quadrature(degree)[2] * m.abs()
    return torch.where(m == 0, torch.ones_like(a), math.sqrt(2.0) * torch.where(m < 0, a.sin(), a.cos()))


# ------------------------------------------------------------------------------------------ Fourier series on the torus


@once
def series(top: int) -> Tensor:
    """Fourier coefficients of beta -> P_l^m(cos beta), (top + 1, top + 1, 2 top + 1) complex128: (m, l, u), u = -top..top.

    a_l^m = (x_l^m - i x_l^-m) / sqrt(2), x_l^0 for m = 0, contributes a_l^m times row (m, l) to F[u, v = m]; F[-u, -v] = conj F[u, v].

    sin^m(beta) keeps its sign on [0, 2 pi), so that the extension is a trigonometric polynomial: real coefficients for even m,
    imaginary for odd m. By the discrete transform of as many values, which is exact.
    """
    n = 2 * top + 1
    beta = 2.0 * math.pi / n * torch.arange(n, dtype=torch.float64)
    table = torch.zeros(top + 1, top + 1, n, dtype=torch.float64)
    for deg, row in enumerate(legendre(top, beta.cos())):
        for m in range(deg + 1):
            table[m, deg] = row[:, m] * beta.sin() ** m
    return torch.fft.fftshift(torch.fft.fft(table, norm="forward"), -1)


@once
def from_series(top: int, modes: int) -> Tensor:
    """(m, l, u), u = -modes..modes, from F[u, v = m] to coefficients: with a = sum_u table F, z_l^m = Re a and z_l^-m = -Im a.

    sum_k P_l^m[k] J_{u + k} with J_n the integral of e^{i n beta} sin(beta) over [0, pi]: (1 + (-1)^n) / (1 - n^2), and i n pi / 2
    for n = -1, 1; times 2 pi for m = 0 and 2 sqrt(2) pi otherwise (azimuth).
    """
    n = torch.arange(-top - modes, top + modes + 1)
    j = torch.where(n % 2 == 0, 2.0 / (1.0 - n.double().square()), 0.0).to(torch.complex128)
    j = torch.where(n.abs() == 1, 0.5j * math.pi * n, j)
    shift = (torch.arange(-top, top + 1)[:, None] + torch.arange(-modes, modes + 1)) + top + modes
    table = series(top) @ j[shift]
    table[0] *= 2.0 * math.pi
    table[1:] *= 2.0 * math.sqrt(2.0) * math.pi
    return table


@once
def halves(top: int) -> tuple[Tensor, Tensor, Tensor]:
    """Index (m, l) of x_l^m and of x_l^-m, m = 0..top, with a zero appended where |m| > l (and x_l^-0); sqrt(1/2) but 1 at m = 0."""
    index = by_order(top)[0]
    minus = index[: top + 1].flip(0).clone()
    minus[0] = (top + 1) ** 2
    factor = torch.full((top + 1, 1), math.sqrt(0.5), dtype=torch.float64)
    factor[0] = 1.0
    return index[top:], minus, factor


@once
def whole(top: int) -> tuple[Tensor, Tensor]:
    """Index into the flattened (m, l) array of each coefficient's (|m|, l), and whether its m is negative."""
    m = orders(top)
    return m.abs() * (top + 1) + degrees(top), m < 0
