"""Counted floating-point operations of one product, by the shapes of its tables; a multiplication and an addition count one each."""

from __future__ import annotations

import math

from models.gaunt_tp.backends import BACKENDS, Backend, Convolution, Dense, Fourier, Grid, Separable, Sphere

COMPLEX = 8  # operations of a complex multiplication and addition


def operations(module: Backend) -> float:
    """Of one product of degrees top1, top2 to top; a real FFT of n points is taken as 2.5 n log2 n."""
    t = {name: table.numel() for name, table in module.sources.items()}
    if isinstance(module, Dense):
        return (module.top1 + 1) ** 2 * (module.top2 + 1) ** 2 + 2 * t["table"]
    if isinstance(module, Sphere):
        return 2 * (t["into1"] + t["into2"] + t["out"]) + module.out.shape[0]
    if isinstance(module, Grid):
        tables = sum(t[name] for name in ("even1", "odd1", "even2", "odd2", "out_even", "out_odd"))
        return 2 * tables + 6 * module.out_even.shape[0]
    if isinstance(module, Separable):
        beta = module.legendre1.shape[-1]
        tables = t["legendre1"] + t["legendre2"] + t["project"] + beta * (t["azimuth1"] + t["azimuth2"] + t["turn"])
        return 2 * tables + beta * module.turn.shape[1]
    series = COMPLEX * (t["series_of1"] + t["series_of2"] + t["back"])
    if isinstance(module, Fourier):
        n = module.size**2
        return series + 3 * 2.5 * n * math.log2(n) + n
    if isinstance(module, Convolution):
        return series + COMPLEX * t["at"]
    raise TypeError(f"no count for {type(module).__name__}")


def exponent(backend: str, low: int = 2, high: int = 8) -> float:
    """p of operations ~ L^p, least squares of logarithms over L = low..high, full products 0..L x 0..L -> 0..2L."""
    degrees = range(low, high + 1)
    x = [math.log(top) for top in degrees]
    y = [math.log(operations(BACKENDS[backend](top, top, 2 * top))) for top in degrees]
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    return sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / sum((a - mean_x) ** 2 for a in x)
