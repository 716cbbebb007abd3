"""The Gaunt tensor product as a module: checked arguments, path weights, a choice of back ends."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from models.gaunt_tp.backends import BACKENDS
from models.gaunt_tp.choice import CANDIDATES, choose
from models.geometry.spherical import check_coefficients, check_degree, degrees

NAMES = ("auto", *BACKENDS)


class DegreeWeights(nn.Module):
    """One factor per channel and degree, 1 at the start: x (..., channels, n) or, with one channel, (..., n)."""

    def __init__(self, top: int, channels: int = 1) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels, top + 1))
        self.register_buffer("degree", degrees(top), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        weight: Any = self.weight
        weight = weight.index_select(1, self.degree)
        return x * (weight if len(weight) > 1 else weight[0])


class GauntProduct(nn.Module):
    r"""Gaunt tensor product: the product of two functions on the sphere, in coefficients of real spherical harmonics.

    z_l^m = sum G_{l m, l1 m1, l2 m2} x_{l1}^{m1} y_{l2}^{m2} with G the integral of three harmonics over the sphere (Luo, Chen,
    Krishnapriyan, ICLR 2024, arXiv 2401.10216). Bilinear, equivariant under O(3) where degree l has parity (-1)^l. It is the
    Clebsch-Gordan product with fixed path weights and without the paths of odd l + l1 + l2: a cross product of vectors, for
    example, cannot come out, so it replaces that product in speed and not in expressivity.

    Parameters
    ----------
    top1, top2 : highest degrees of x and y; top2 = top1 unless given.
    top : highest degree of z; top1 + top2, where nothing is cut off, unless given.
    backend : how it is computed; all agree to rounding.
        dense        contraction with the table of Gaunt coefficients
        grid         values on an exact Lebedev grid, antipodal symmetry used
        sphere       the same grid without the symmetry: fewer, larger matrix products
        separable    values on a Gauss-Legendre x uniform grid, one angle after the other
        fourier      2D Fourier series, linear convolution by FFT (the paper's)
        convolution  2D Fourier series, linear convolution term by term
        auto         the fastest for the batch at hand (`choose`)
    weights : learn w_{l1} w_{l2} w_l, the path weights that survive in the space of values: a factor per channel and degree of x,
        of y and of z, all 1 at the start.
    channels : of the weights; x, y are then (..., channels, n).

    Half and bfloat16 are computed in that dtype with tables rounded to it, except the Fourier routes, which compute in float32.
    Norm-wise error against float64, standard normal coefficients, L <= 6: below 2^-6 for bfloat16 and 2^-9 for half.
    """

    def __init__(
        self,
        top1: int,
        top2: int | None = None,
        top: int | None = None,
        *,
        backend: str = "auto",
        weights: bool = False,
        channels: int = 1,
    ) -> None:
        super().__init__()
        self.top1 = check_degree("top1", top1)
        self.top2 = check_degree("top2", top1 if top2 is None else top2)
        self.top = check_degree("top", self.top1 + self.top2 if top is None else top)
        if backend not in NAMES:
            raise ValueError(f"backend is {backend!r}; choose one of {', '.join(NAMES)}")
        self.backend = backend
        names = CANDIDATES if backend == "auto" else (backend,)
        self.routes = nn.ModuleDict({name: BACKENDS[name](self.top1, self.top2, self.top) for name in names})
        self.weights = None
        if weights:
            self.weights = nn.ModuleList(DegreeWeights(t, channels) for t in (self.top1, self.top2, self.top))

    def extra_repr(self) -> str:
        return f"{self.top1}, {self.top2}, {self.top}, backend={self.backend}, weights={self.weights is not None}"

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """z (..., (top + 1)^2) of x (..., (top1 + 1)^2) and y (..., (top2 + 1)^2), whose leading axes broadcast.

        Raises ValueError where an argument has the wrong number of coefficients or is not floating.
        """
        check_coefficients("x", x, self.top1)
        check_coefficients("y", y, self.top2)
        if self.weights is not None:
            x, y = self.weights[0](x), self.weights[1](y)
        name = self.backend
        if name == "auto":
            batch = torch.broadcast_shapes(x.shape[:-1], y.shape[:-1]).numel()
            backward = torch.is_grad_enabled() and (x.requires_grad or y.requires_grad)
            threads = 1 if torch.compiler.is_compiling() else torch.get_num_threads()
            name = choose((self.top1, self.top2, self.top), batch, x.device.type, threads, backward)
        z = self.routes[name](x, y)
        return z if self.weights is None else self.weights[2](z)
