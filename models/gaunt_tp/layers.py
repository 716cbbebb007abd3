"""Equivariant layers on coefficients (..., channels, (L + 1)^2): linear maps per degree, gates, products by name, radial functions."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from models.gaunt_tp.coupled import CoupledProduct
from models.gaunt_tp.placed import Placed
from models.gaunt_tp.product import GauntProduct
from models.geometry.spherical import degrees, gaunt
from models.nn.mlp import mlp

PRODUCTS = ("gaunt", "cg_even", "cg")


class DegreeLinear(Placed):
    """A matrix (c_in, c_out) per degree: x (..., c_in, n) -> (..., c_out, n); weights N(0, 1 / c_in)."""

    def __init__(self, top: int, c_in: int, c_out: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(top + 1, c_in, c_out) / math.sqrt(c_in))
        self.keep(degree=degrees(top))

    def forward(self, x: Tensor) -> Tensor:
        return torch.einsum("...ci,ico->...oi", x, self.weight[self.degree])


class Gate(Placed):
    """Degree 0 through SiLU; every higher degree times the sigmoid of a linear map of degree 0, per channel."""

    def __init__(self, top: int, channels: int) -> None:
        super().__init__()
        self.top, self.gates = top, nn.Linear(channels, channels * top)
        self.keep(degree=degrees(top)[1:] - 1)

    def forward(self, x: Tensor) -> Tensor:
        scalar = x[..., 0]
        if self.top == 0:
            return nn.functional.silu(x)
        gate = torch.sigmoid(self.gates(scalar)).unflatten(-1, (-1, self.top)).index_select(-1, self.degree)
        return torch.cat([nn.functional.silu(scalar).unsqueeze(-1), gate * x[..., 1:]], -1)


class Gaunt(Placed):
    """The Gaunt product in a network, scaled per output degree to variance 1 for standard normal inputs.

    Its path weights w_l1 w_l2 w_l are those of the linear maps and radial functions around it.
    """

    def __init__(self, top1: int, top2: int, top: int, backend: str) -> None:
        super().__init__()
        self.product = GauntProduct(top1, top2, top, backend=backend)
        square = gaunt(top1, top2, top).square().sum((0, 1))
        deg = degrees(top)
        mean = torch.zeros(top + 1, dtype=torch.float64).index_add(0, deg, square) / (2.0 * torch.arange(top + 1) + 1.0)
        self.keep(scale=mean.clamp_min(1e-12).rsqrt()[deg])

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.product(x, y) * self.scale


def product(kind: str, top1: int, top2: int, top: int, channels: int, backend: str = "auto") -> nn.Module:
    """A product by name: "gaunt"; "cg_even", Clebsch-Gordan over the paths that Gaunt has; "cg", over all paths."""
    if kind not in PRODUCTS:
        raise ValueError(f"product is {kind!r}; choose one of {', '.join(PRODUCTS)}")
    if kind == "gaunt":
        return Gaunt(top1, top2, top, backend)
    return CoupledProduct(top1, top2, top, channels=channels, even=kind == "cg_even")


def bessel(distance: Tensor, cutoff: float, count: int = 8, p: int = 5) -> tuple[Tensor, Tensor]:
    """sqrt(2 / c) sin(n pi d / c) / d, n = 1..count, and a polynomial envelope that vanishes with two derivatives at c.

    Of distances d (E,): (E, count) and (E,) (Gasteiger et al., ICLR 2020, eq. 7 and 8).
    """
    d = distance.unsqueeze(-1)
    n = torch.arange(1, count + 1, dtype=distance.dtype, device=distance.device) * (math.pi / cutoff)
    u = (distance / cutoff).clamp_max(1.0)
    envelope = 1.0 - (p + 1) * (p + 2) / 2 * u**p + p * (p + 2) * u ** (p + 1) - p * (p + 1) / 2 * u ** (p + 2)
    return math.sqrt(2.0 / cutoff) * torch.sin(n * d) / d, envelope


def bounded(x: Tensor) -> Tensor:
    """x / sqrt(1 + mean square over channels and components) per sample: equivariant, entries of a bounded mean square."""
    return x * (1.0 + x.square().mean((-2, -1), keepdim=True)).rsqrt()


class Interaction(nn.Module):
    """One round: messages x_j (x) h(edge) Y(r_ij), summed at i; then products of the sum with itself, up to `order` factors.

    x_i <- Linear(x_i) + sum_nu Linear_nu(A_i^nu), then a gate; A^nu = A^(nu-1) (x) A. Each product is of the given kind. bound: A is
    bounded first, for data in which particles may come close or fly apart.
    """

    def __init__(
        self,
        kind: str,
        top_in: int,
        top: int,
        channels: int,
        edge: int,
        order: int,
        neighbours: float,
        backend: str = "auto",
        bound: bool = False,
    ) -> None:
        super().__init__()
        self.top, self.channels, self.neighbours, self.bound = top, channels, neighbours, bound
        self.send = DegreeLinear(top_in, channels, channels)
        self.radial = mlp((edge, 2 * channels, channels * (top + 1)), nn.SiLU)
        self.message = product(kind, top_in, top, top, channels, backend)
        self.collect = DegreeLinear(top, channels, channels)
        self.powers = nn.ModuleList(product(kind, top, top, top, channels, backend) for _ in range(order - 1))
        self.mix = nn.ModuleList(DegreeLinear(top, channels, channels) for _ in range(order))
        self.keep_own = DegreeLinear(top_in, channels, channels)
        self.gate = Gate(top, channels)
        self.register_buffer("degree", degrees(top), persistent=False)

    def forward(self, x: Tensor, y: Tensor, edge: Tensor, envelope: Tensor, send: Tensor, receive: Tensor) -> Tensor:
        """x (N, channels, n_in), harmonics y (E, n), edge features (E, f), envelope (E,), node indices (E,): (N, channels, n)."""
        h = (self.radial(edge) * envelope.unsqueeze(-1)).unflatten(-1, (self.channels, self.top + 1))
        m = self.message(self.send(x)[send], h.index_select(-1, self.degree) * y.unsqueeze(-2))
        a = x.new_zeros(len(x), *m.shape[1:]).index_add(0, receive, m) / math.sqrt(self.neighbours)
        a = self.collect(bounded(a) if self.bound else a)
        out, power = self.mix[0](a), a
        for times, mix in zip(self.powers, self.mix[1:], strict=True):
            power = times(power, a)
            out = out + mix(power)
        own = self.keep_own(x)
        return self.gate(out + nn.functional.pad(own, (0, out.shape[-1] - own.shape[-1])))
