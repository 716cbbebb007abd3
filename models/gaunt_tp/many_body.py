"""Many-body products: powers of one function, each projected to low degrees and weighted."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.gaunt_tp import tables
from models.gaunt_tp.backends import Dense, Fourier
from models.gaunt_tp.placed import Placed
from models.geometry.spherical import check_coefficients, check_degree, degrees

ROUTES = ("grid", "fourier", "dense")


def halves(power: int) -> tuple[int, int]:
    """The two lower powers whose product is this one: power // 2 and the rest."""
    return power // 2, power - power // 2


class GauntPowers(Placed):
    r"""sum_nu w_nu proj(x (x) ... (x) x), nu = 1..order factors, kept up to degree top_out: the many-body form of the paper.

    Divide and conquer: F_nu = F_{floor(nu/2)} F_{ceil(nu/2)}, each lower power reused. One weight per order, species, channel and
    output degree, drawn from N(0, 1) as in the released MACE variant.

    route "grid": values on one grid that is exact for degree order * top + top_out, multiplied pointwise. "fourier": Fourier
    series on the torus, convolved by FFT (the paper's). "dense": chained Gaunt contractions without truncation. All agree.
    The released notebook accumulates into its input; here the input is left alone.
    """

    def __init__(
        self,
        top: int,
        order: int,
        top_out: int | None = None,
        *,
        channels: int = 1,
        species: int = 1,
        route: str = "grid",
    ) -> None:
        super().__init__()
        top_out = top if top_out is None else top_out
        check_degree("top", top)
        check_degree("top_out", top_out)
        if order < 1:
            raise ValueError(f"order is {order}; take at least 1 factor")
        check_degree("order times top", order * top)
        if route not in ROUTES:
            raise ValueError(f"route is {route!r}; choose one of {', '.join(ROUTES)}")
        self.top, self.order, self.top_out, self.species, self.route = top, order, top_out, species, route
        self.weight = nn.Parameter(torch.randn(order, species, channels, top_out + 1))
        self.keep(degree=degrees(top_out))
        if route == "grid":
            degree = order * top + top_out
            self.keep(into=tables.evaluate_all(top, degree), back=tables.project_all(top_out, degree))
        else:
            kind = Fourier if route == "fourier" else Dense
            tops = {1: (top, 0)} | {n: tuple(top * k for k in halves(n)) for n in range(2, order + 1)}
            outs = {n: top_out if route == "fourier" else n * top for n in tops}
            self.steps = nn.ModuleDict({str(n): kind(*tops[n], outs[n]) for n in tops})

    def powers(self, x: Tensor) -> Tensor:
        """proj(x^nu) for nu = 1..order: (order, B, (top_out + 1)^2) of x (B, (top + 1)^2)."""
        if self.route == "grid":
            f = [x @ self.into]
            for n in range(2, self.order + 1):
                a, b = halves(n)
                f.append(f[a - 1] * f[b - 1])
            return torch.stack(f) @ self.back
        if self.route == "fourier":
            f, steps = [self.steps["1"].series(x, "1")], self.steps
            for n in range(2, self.order + 1):
                a, b = halves(n)
                f.append(steps[str(n)].convolve(f[a - 1], f[b - 1]))
            return torch.stack([steps[str(n)].coefficients(g) for n, g in enumerate(f, 1)]).to(x.dtype)
        f = [x]
        for n in range(2, self.order + 1):
            a, b = halves(n)
            f.append(self.steps[str(n)](f[a - 1], f[b - 1]))
        n_out = (self.top_out + 1) ** 2
        return torch.stack([nn.functional.pad(g[:, :n_out], (0, max(0, n_out - g.shape[1]))) for g in f])

    def forward(self, x: Tensor, species: Tensor | None = None) -> Tensor:
        """(B, channels, (top_out + 1)^2) of x (B, channels, (top + 1)^2); species (B,) of integers, all 0 where not given."""
        check_coefficients("x", x, self.top)
        channels = self.weight.shape[2]
        if x.ndim != 3 or x.shape[1] != channels:
            raise ValueError(f"x has shape {tuple(x.shape)}; give (B, {channels}, {(self.top + 1) ** 2})")
        weight = self.weight[:, :1] if species is None else self.weight[:, species]
        powers = self.powers(x.flatten(0, 1)).unflatten(1, x.shape[:2])
        return (weight.index_select(-1, self.degree) * powers).sum(0)
