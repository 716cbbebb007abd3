"""Source spectra: two parameters to the variance phi_k of the Fourier coefficients of a common process.

All take `f` (k,) in Hz, the span T of the array in s and `theta` (..., 2), and give log10 phi_k (..., k), phi in s^2, float64.
h_c and Omega are related by h_c^2 = 3 H_0^2 / (2 pi^2) Omega / f^2, and phi_k = h_c(f_k)^2 / (12 pi^2 f_k^3 T). Spectra of early-universe
sources are the two-parameter closed forms named in each docstring; tables of simulated spectra are not used.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

YEAR = 365.25 * 86400.0  # s
F_YEAR = 1 / YEAR
H0 = 67.4e3 / 3.0856775814913673e22  # 1/s
OMEGA_R = 9.2e-5  # radiation today, photons and three neutrinos
A_S, F_PIVOT = (
    2.1e-9,
    0.05 * 299792458.0 / (2 * math.pi * 3.0856775814913673e22),
)  # scalar amplitude at 0.05 / Mpc, in Hz
LN10 = math.log(10)
GAMMA_STRING = 50.0  # power of a string loop in gravitational waves, in units of G mu^2
WIDTH = 1.0  # of the log-normal peak, in ln f

Spectrum = Callable[[Tensor, float, Tensor], Tensor]


@dataclass(frozen=True)
class Source:
    """A spectrum, the names of its parameters, and their prior: uniform between `low` and `high`, or normal of `mean` and `cov`."""

    spectrum: Spectrum
    names: tuple[str, str]
    low: tuple[float, float] = (0.0, 0.0)
    high: tuple[float, float] = (0.0, 0.0)
    mean: tuple[float, float] | None = None
    cov: tuple[tuple[float, float], tuple[float, float]] | None = None


def _from_omega(log10_omega: Tensor, f: Tensor, span: float) -> Tensor:
    """log10 phi of log10 Omega: phi_k = H_0^2 Omega / (8 pi^4 f^5 T)."""
    return log10_omega + 2 * math.log10(H0) - math.log10(8 * math.pi**4 * span) - 5 * f.log10()


def strain(log10_phi: Tensor, f: Tensor, span: float) -> Tensor:
    """Characteristic strain h_c(f_k) (..., k) of log10 phi_k: h_c^2 = 12 pi^2 f^3 T phi."""
    return (12 * math.pi**2 * span * f**3).sqrt() * 10 ** (log10_phi / 2)


def power_law(f: Tensor, span: float, theta: Tensor) -> Tensor:
    """(log10 A, gamma): phi = A^2 / (12 pi^2 T) f_yr^(gamma - 3) f^(-gamma), that is h_c = A (f / f_yr)^((3 - gamma) / 2)."""
    log10_a, gamma = theta[..., :1], theta[..., 1:]
    return 2 * log10_a - math.log10(12 * math.pi**2 * span) + (gamma - 3) * math.log10(F_YEAR) - gamma * f.log10()


def _inflation(f: Tensor, span: float, log10_r: Tensor, tilt: Tensor) -> Tensor:
    """Omega = Omega_r / 24 r A_s (f / f_pivot)^n_T, for modes that enter the horizon in the radiation era."""
    return _from_omega(math.log10(OMEGA_R * A_S / 24) + log10_r + tilt * (f / F_PIVOT).log10(), f, span)


def igw(f: Tensor, span: float, theta: Tensor) -> Tensor:
    """Inflation, (n_T, log10 r): a power law of tensor tilt n_T from the pivot of the microwave background on."""
    return _inflation(f, span, theta[..., 1:], theta[..., :1])


def dual_w_r(f: Tensor, span: float, theta: Tensor) -> Tensor:
    """Bounce after an era of constant equation of state, (w, log10 r): n_T = 3 - |3 (1 - w) / (1 + 3 w)|.

    Tensor modes in a ~ |eta|^nu, nu = 2 / (1 + 3 w), leave the horizon with the Hankel index |nu - 1/2|; scale invariant at w = 0 and
    w = -1, which are dual to each other (Wands, Phys. Rev. D 60, 1999).
    """
    w = theta[..., :1]
    return _inflation(f, span, theta[..., 1:], 3 - (3 * (1 - w) / (1 + 3 * w)).abs())


def dual_stable(f: Tensor, span: float, theta: Tensor) -> Tensor:
    """The branch nu < 1/2 of a ~ |eta|^nu, (nu, log10 r), where the constant mode dominates: n_T = 2 + 2 nu."""
    return _inflation(f, span, theta[..., 1:], 2 + 2 * theta[..., :1])


def dual_dynamic(f: Tensor, span: float, theta: Tensor) -> Tensor:
    """The branch nu > 1/2 of a ~ |eta|^nu, (nu, log10 r), where the growing mode dominates: n_T = 4 - 2 nu."""
    return _inflation(f, span, theta[..., 1:], 4 - 2 * theta[..., :1])


def _peak(f: Tensor, span: float, theta: Tensor, shape: Callable[[Tensor], Tensor]) -> Tensor:
    """(log10 f_peak / Hz, log10 Omega_peak): Omega = Omega_peak S(f / f_peak), `shape` = log10 S as a function of ln(f / f_peak)."""
    return _from_omega(theta[..., 1:] + shape((f.log10() - theta[..., :1]) * LN10), f, span)


def fopt(f: Tensor, span: float, theta: Tensor) -> Tensor:
    """First-order phase transition, sound waves: S(x) = x^3 (7 / (4 + 3 x^2))^(7/2) (Hindmarsh et al., Phys. Rev. D 96, 2017)."""

    def shape(ln: Tensor) -> Tensor:
        return (3 * ln + 3.5 * (math.log(7) - torch.logaddexp(ln.new_tensor(math.log(4)), math.log(3) + 2 * ln))) / LN10

    return _peak(f, span, theta, shape)


def domain_wall(f: Tensor, span: float, theta: Tensor) -> Tensor:
    """Domain walls: S(x) = 4 / (x^-3 + 3 x), causal below the peak and falling as 1 / f above it."""
    return _peak(f, span, theta, lambda ln: (math.log(4) - torch.logaddexp(-3 * ln, math.log(3) + ln)) / LN10)


def sigw(f: Tensor, span: float, theta: Tensor) -> Tensor:
    """Scalar-induced waves of a broad bump in the curvature spectrum: S(x) = exp(-ln^2 x / (2 Delta^2)), Delta = 1."""
    return _peak(f, span, theta, lambda ln: -(ln**2) / (2 * WIDTH**2 * LN10))


def strings(f: Tensor, span: float, theta: Tensor) -> Tensor:
    """Metastable cosmic strings, (log10 G mu, sqrt(kappa)): a plateau that decays below f_low.

    Omega = 8.04 Omega_r sqrt(G mu / Gamma) / (1 + (f_low / f)^2), f_low = 3e14 Hz exp(-pi kappa / 4) (1e-7 / G mu)^(1/2), Gamma = 50
    (Buchmueller, Domcke and Schmitz, JCAP 12, 2021; the corner is smooth here).
    """
    log10_tension, kappa = theta[..., :1], theta[..., 1:] ** 2
    plateau = math.log10(8.04 * OMEGA_R / math.sqrt(GAMMA_STRING)) + log10_tension / 2
    log10_low = math.log10(3e14) - math.pi * kappa / (4 * LN10) - (7 + log10_tension) / 2
    ln = 2 * LN10 * (log10_low - f.log10())
    return _from_omega(plateau - torch.logaddexp(ln, torch.zeros_like(ln)) / LN10, f, span)


_PEAK = {"names": ("log10_f_peak", "log10_omega_peak"), "low": (-9.5, -12.0), "high": (-6.0, -4.0)}

SOURCES: dict[str, Source] = {
    "smbhb": Source(  # a normal distribution over power laws, fitted to simulated binary populations (astro-02-gw of PTArcade)
        power_law, ("log10_A", "gamma"), mean=(-15.6149, 4.7071), cov=((0.278714, -0.002636), (-0.002636, 0.124154))
    ),
    "power_law": Source(power_law, ("log10_A", "gamma"), (-18.0, 0.0), (-12.0, 7.0)),
    "igw": Source(igw, ("n_T", "log10_r"), (0.0, -40.0), (6.0, 0.0)),
    "dual_w_r": Source(dual_w_r, ("w", "log10_r"), (0.0, -40.0), (10.0, 0.0)),
    "dual_stable": Source(dual_stable, ("nu", "log10_r"), (-1.0, -40.0), (0.5, 0.0)),
    "dual_dynamic": Source(dual_dynamic, ("nu", "log10_r"), (0.5, -40.0), (2.0, 0.0)),
    "fopt": Source(fopt, **_PEAK),
    "domain_wall": Source(domain_wall, **_PEAK),
    "sigw": Source(sigw, **_PEAK),
    "strings": Source(strings, ("log10_G_mu", "sqrt_kappa"), (-14.0, 7.0), (-1.5, 9.5)),
}


def log10_phi(source: str, f: Tensor, span: float, theta: Tensor) -> Tensor:
    """log10 phi_k (..., k) of a named source. Raises ValueError for an unknown name, frequencies that are not positive, or other shapes."""
    if source not in SOURCES:
        raise ValueError(f"source={source!r} is unknown; use one of {', '.join(SOURCES)}")
    if f.dim() != 1 or not bool((f > 0).all()):
        raise ValueError("f must be a vector of positive frequencies in Hz")
    if theta.shape[-1:] != (2,):
        raise ValueError(f"theta has shape {tuple(theta.shape)}; give two parameters in the last dimension")
    return SOURCES[source].spectrum(f, span, theta)
