"""Equivariant convolution: the Gaunt product with a filter on the direction of an edge."""

from __future__ import annotations

import torch
from torch import Tensor

from models.gaunt_tp import tables
from models.gaunt_tp.backends import Sphere
from models.gaunt_tp.placed import Placed
from models.geometry.spherical import (
    ToPole,
    check_coefficients,
    check_degree,
    degrees,
    legendre,
    quadrature,
    spherical_harmonics,
)

ROUTES = ("pole", "direct")


class GauntConvolution(Placed):
    r"""z = x (x) y with the filter y_l^m = h_l Y_l^m(r): functions multiplied by one that is symmetric about r.

    route "pole": x is turned so that r is the polar axis. There y has only m = 0, depends on beta alone, and the product keeps
    the order m: per m a function of beta is multiplied, O(L^3) products, and the result is turned back (Sec. 3 of the paper,
    after eSCN). route "direct": Gaunt product with Y(r), whatever its direction. Both give the same numbers.

    top_in, top_filter, top_out : highest degrees of x, y, z; top_out = top_in unless given.
    """

    def __init__(self, top_in: int, top_filter: int, top_out: int | None = None, *, route: str = "pole") -> None:
        super().__init__()
        top_out = top_in if top_out is None else top_out
        for name, value in (("top_in", top_in), ("top_filter", top_filter), ("top_out", top_out)):
            check_degree(name, value)
        if route not in ROUTES:
            raise ValueError(f"route is {route!r}; choose one of {', '.join(ROUTES)}")
        self.top_in, self.top_filter, self.top_out, self.route = top_in, top_filter, top_out, route
        if route == "direct":
            self.product = Sphere(top_in, top_filter, top_out)
            self.keep(degree=degrees(top_filter))
            return
        degree = top_in + top_filter + top_out
        into, weight = tables.associated(top_in, degree)
        back = tables.associated(top_out, degree)[0]
        kept = min(top_in, top_out)  # orders that occur on both sides
        into = into[top_in - kept : top_in + kept + 1]
        back = (back * weight)[top_out - kept : top_out + kept + 1]
        index = tables.by_order(top_in)[0][top_in - kept : top_in + kept + 1]
        place = torch.full((2 * kept + 1, top_out + 1), -1)
        place[:] = tables.by_order(top_out)[0][top_out - kept : top_out + kept + 1]
        self.keep(into=into, back=2.0 * torch.pi * back.mT.contiguous(), index=index)
        gather = torch.full(((top_out + 1) ** 2 + 1,), place.numel())
        gather[place.flatten()] = torch.arange(place.numel())
        self.keep(gather=gather[:-1])  # orders above `kept` point at an appended zero
        node = quadrature(degree)[0]
        pole = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)
        at_pole = spherical_harmonics(top_filter, pole)[
            degrees(top_filter).new_tensor([d * d + d for d in range(top_filter + 1)])
        ]
        zonal = torch.stack([row[:, 0] for row in legendre(top_filter, node)])
        self.keep(zonal=at_pole[:, None] * zonal)

    def forward(self, x: Tensor, r: Tensor, h: Tensor | None = None) -> Tensor:
        """z (..., channels, (top_out + 1)^2) of x (..., channels, (top_in + 1)^2), directions r (..., 3) of any length but zero.

        h (..., channels, top_filter + 1), or broadcastable to it: the filter per degree, 1 where not given.
        """
        check_coefficients("x", x, self.top_in)
        if x.ndim < 2 or r.shape[-1:] != (3,):
            raise ValueError(
                f"x {tuple(x.shape)} and r {tuple(r.shape)} do not fit; give (..., channels, n) and (..., 3)"
            )
        if h is None:
            h = x.new_ones(1, self.top_filter + 1)
        if h.shape[-1] != self.top_filter + 1:
            raise ValueError(f"h has {h.shape[-1]} degrees along its last axis; the filter has {self.top_filter + 1}")
        if self.route == "direct":
            y = spherical_harmonics(self.top_filter, r).unsqueeze(-2)
            return self.product(x, h.index_select(-1, self.degree) * y)
        turn = ToPole(max(self.top_in, self.top_out), r)
        x = torch.nn.functional.pad(turn.forth(x), (0, 1))
        x = x.index_select(-1, self.index.flatten()).unflatten(-1, self.index.shape)  # (..., channels, m, l)
        x = torch.einsum("...ml,mlb->...mb", x, self.into) * (h @ self.zonal).unsqueeze(-2)
        z = torch.einsum("...mb,mbl->...ml", x, self.back).flatten(-2)
        return turn.back(torch.nn.functional.pad(z, (0, 1)).index_select(-1, self.gather))
