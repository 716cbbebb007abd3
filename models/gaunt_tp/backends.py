"""The Gaunt product z_k = sum_ij G_ijk x_i y_j by five routes that give the same numbers up to rounding.

Each is a module called with x (..., (top1 + 1)^2) and y (..., (top2 + 1)^2), leading axes broadcast, and gives (..., (top + 1)^2).
Tables are buffers that are not stored with weights; they follow the module's dtype and device. No argument is checked here.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from models.gaunt_tp import tables
from models.gaunt_tp.placed import Placed
from models.geometry.spherical import gaunt


class Backend(Placed):
    """Degrees 0..top1 and 0..top2 to degrees 0..top."""

    def __init__(self, top1: int, top2: int, top: int) -> None:
        super().__init__()
        self.top1, self.top2, self.top = top1, top2, top

    def of(self, name: str, side: str) -> Any:
        """A table of the first ("1") or the second ("2") argument."""
        return getattr(self, name + side)


class Dense(Backend):
    """One contraction with the table of Gaunt coefficients: (2 L + 1)^2 (L + 1)^4 products."""

    def __init__(self, top1: int, top2: int, top: int) -> None:
        super().__init__(top1, top2, top)
        self.keep(table=gaunt(top1, top2, top).flatten(0, 1))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return (x.unsqueeze(-1) * y.unsqueeze(-2)).flatten(-2) @ self.table


class Grid(Backend):
    """Pointwise product of values on an exact Lebedev grid; even and odd degrees on half of it."""

    def __init__(self, top1: int, top2: int, top: int) -> None:
        super().__init__(top1, top2, top)
        degree = top1 + top2 + top
        even, odd, order = tables.projection(top, degree)
        self.keep(out_even=even, out_odd=odd, order=order)
        for side, t in (("1", top1), ("2", top2)):
            (even, odd), (even_at, odd_at) = tables.evaluation(t, degree), tables.parity(t)
            self.keep(**{f"even{side}": even, f"odd{side}": odd, f"even_at{side}": even_at, f"odd_at{side}": odd_at})

    def values(self, x: Tensor, side: str) -> tuple[Tensor, Tensor]:
        """The even and the odd part of f_x at the nodes."""
        even = x.index_select(-1, self.of("even_at", side)) @ self.of("even", side)
        return even, x.index_select(-1, self.of("odd_at", side)) @ self.of("odd", side)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        (xe, xo), (ye, yo) = self.values(x, "1"), self.values(y, "2")
        even = torch.addcmul(xe * ye, xo, yo) @ self.out_even
        odd = torch.addcmul(xe * yo, xo, ye) @ self.out_odd
        return torch.cat([even, odd], -1).index_select(-1, self.order)


class Sphere(Backend):
    """Pointwise product of values on the whole of the same grid: fewer and larger matrix products."""

    def __init__(self, top1: int, top2: int, top: int) -> None:
        super().__init__(top1, top2, top)
        degree = top1 + top2 + top
        into = [tables.evaluate_all(t, degree) for t in (top1, top2)]
        self.keep(into1=into[0], into2=into[1], out=tables.project_all(top, degree))

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return ((x @ self.into1) * (y @ self.into2)) @ self.out


class Separable(Backend):
    """The same on a Gauss-Legendre x uniform grid, one angle after the other: O(L^3) products."""

    def __init__(self, top1: int, top2: int, top: int) -> None:
        super().__init__(top1, top2, top)
        degree = top1 + top2 + top
        for side, t in (("1", top1), ("2", top2)):
            self.keep(**{f"at{side}": tables.by_order(t)[0], f"legendre{side}": tables.associated(t, degree)[0]})
            self.keep(**{f"azimuth{side}": tables.azimuth(t, degree).mT.contiguous()})
        table, weight = tables.associated(top, degree)
        self.keep(project=(table * weight).mT.contiguous(), back=tables.by_order(top)[1])
        self.keep(turn=tables.azimuth(top, degree) * (2.0 * torch.pi / (degree + 1)))

    def values(self, x: Tensor, side: str) -> Tensor:
        """f_x (n_alpha, B * n_beta) of x (B, n)."""
        at = self.of("at", side)
        x = nn.functional.pad(x, (0, 1)).mT.index_select(0, at.flatten()).unflatten(0, at.shape)
        return self.of("azimuth", side) @ (x.mT @ self.of("legendre", side)).flatten(1)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        x, y, shape = _pair(x, y)
        f = self.turn @ (self.values(x, "1") * self.values(y, "2"))
        z = f.unflatten(1, (len(x), -1)) @ self.project  # (m, B, l)
        return z.transpose(1, 2).flatten(0, 1).index_select(0, self.back).mT.reshape(*shape, -1)


def _pair(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor, torch.Size]:
    """x and y (B, n) over their broadcast leading axes, and these."""
    shape = torch.broadcast_shapes(x.shape[:-1], y.shape[:-1])
    return x.expand(*shape, -1).reshape(-1, x.shape[-1]), y.expand(*shape, -1).reshape(-1, y.shape[-1]), shape


class _Series(Backend):
    """Common to the Fourier routes: coefficients on the sphere to Fourier coefficients on the torus, and back.

    Only v = 0..L is kept: functions are real, F[-u, -v] is the conjugate of F[u, v]. Half and bfloat16 are computed in float32,
    for which complex numbers exist.
    """

    wide = True

    def __init__(self, top1: int, top2: int, top: int) -> None:
        super().__init__(top1, top2, top)
        for side, t in (("1", top1), ("2", top2)):
            plus, minus, factor = tables.halves(t)
            self.keep(**{f"plus{side}": plus, f"minus{side}": minus, f"factor{side}": factor})
            self.keep(**{f"series_of{side}": tables.series(t)})
        index, negative = tables.whole(top)
        self.keep(back=tables.from_series(top, top1 + top2).mT.contiguous(), index=index, negative=negative)

    def series(self, x: Tensor, side: str) -> Tensor:
        """F (L + 1, B, 2 L + 1), axes v = 0..L and u = -L..L, of x (B, n)."""
        x = nn.functional.pad(x, (0, 1)).mT
        plus, minus = self.of("plus", side), self.of("minus", side)
        factor = self.of("factor", side).to(x.dtype).unsqueeze(-1)
        re = factor * x.index_select(0, plus.flatten()).unflatten(0, plus.shape)
        im = factor * x.index_select(0, minus.flatten()).unflatten(0, minus.shape)
        table = self.of("series_of", side)
        return torch.complex(re, -im).mT.to(table.dtype) @ table

    def coefficients(self, f: Tensor) -> Tensor:
        """z (B, n) of F (v = 0..top1 + top2, B, u = -(top1 + top2)..top1 + top2)."""
        kept = min(self.top, self.top1 + self.top2) + 1
        a = f[:kept] @ self.back[:kept]  # (m, B, l)
        a = (
            nn.functional.pad(a, (0, 0, 0, 0, 0, self.top + 1 - kept))
            .transpose(1, 2)
            .flatten(0, 1)
            .index_select(0, self.index)
        )
        return torch.where(self.negative[:, None], -a.imag, a.real).mT

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        x, y, shape = _pair(x, y)
        kind = torch.promote_types(x.dtype, y.dtype)
        inner = torch.float64 if kind == torch.float64 else torch.float32
        f = self.convolve(self.series(x.to(inner), "1"), self.series(y.to(inner), "2"))
        return self.coefficients(f).to(kind).reshape(*shape, -1)

    def convolve(self, f: Tensor, g: Tensor) -> Tensor:
        raise NotImplementedError


class Fourier(_Series):
    """Linear convolution of the Fourier coefficients by real FFTs of at least 2 (top1 + top2) + 1 points each way."""

    def __init__(self, top1: int, top2: int, top: int) -> None:
        super().__init__(top1, top2, top)
        from scipy.fft import next_fast_len

        self.modes = top1 + top2
        self.size = int(next_fast_len(2 * self.modes + 1, real=True))

    def convolve(self, f: Tensor, g: Tensor) -> Tensor:
        return self.transform(self.on_torus(f) * self.on_torus(g))

    def on_torus(self, f: Tensor) -> Tensor:
        """Values (B, size, size), axes beta and alpha, of F (v, B, u)."""
        top = len(f) - 1
        f = nn.functional.pad(f.permute(1, 2, 0), (0, 0, 0, self.size - 2 * top - 1)).roll(-top, 1)
        return torch.fft.irfft2(f, s=(self.size, self.size), norm="forward")

    def transform(self, values: Tensor) -> Tensor:
        """F (v, B, u) with `modes` modes of values (B, size, size)."""
        f = torch.fft.rfft2(values, norm="forward").roll(self.modes, 1)
        return f[:, : 2 * self.modes + 1, : self.modes + 1].permute(2, 0, 1)


class Convolution(_Series):
    """Linear convolution of the Fourier coefficients term by term, as one batched product: for small degrees."""

    def __init__(self, top1: int, top2: int, top: int) -> None:
        super().__init__(top1, top2, top)
        n1, n2, modes = 2 * top1 + 1, 2 * top2 + 1, top1 + top2
        side = torch.arange(n1)
        u = torch.arange(2 * modes + 1)[:, None] - side  # which u of g meets u' of f in u of the result
        v = u[modes:]  # v >= 0 only
        ok = ((v >= 0) & (v < n2))[:, None, :, None] & ((u >= 0) & (u < n2))[None, :, None, :]
        at = v[:, None, :, None] * n2 + u[None, :, None, :]
        self.keep(at=torch.where(ok, at, n2 * n2).flatten(0, 1).flatten(1))  # ((v, u), (v', u'))

    def convolve(self, f: Tensor, g: Tensor) -> Tensor:
        f, g = _all_orders(f), _all_orders(g)  # (B, (v, u)), v = -L..L
        g = nn.functional.pad(g, (0, 1))[:, self.at]
        out = (g @ f.unsqueeze(-1)).squeeze(-1)
        modes = self.top1 + self.top2
        return out.unflatten(1, (modes + 1, 2 * modes + 1)).transpose(0, 1)


def _all_orders(f: Tensor) -> Tensor:
    """(v = 0..L, B, u) to (B, (v = -L..L, u))."""
    return torch.cat([f[1:].flip(0, -1).conj(), f]).transpose(0, 1).flatten(1)


BACKENDS: dict[str, type[Backend]] = {
    "dense": Dense,
    "grid": Grid,
    "sphere": Sphere,
    "separable": Separable,
    "fourier": Fourier,
    "convolution": Convolution,
}
