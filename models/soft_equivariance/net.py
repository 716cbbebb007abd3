"""SoftEMLP: plain linear layers between tensor representations, an equivariant bilinear term and gates; and its constrained forms."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from models.soft_equivariance.penalty import RepLinear, project
from models.soft_equivariance.rep import Rep

BILINEAR_SCALE = 0.1
SWISH_START = 1e-3
BROKEN_START = 1e-3  # of W_b in W = P W_e + W_b


class Bilinear(nn.Module):
    """An equivariant quadratic map of features: tensors of x act as matrices on tensors of x, with normal parameters.

    From rank r to rank s acts a tensor of rank r + s, of which at most 3^(r + s) are used: s v -> v, <v, v> -> s, T v -> v, s T -> T,
    <T, T> -> s. `contract` leaves out what needs an orthogonal group (indices of vectors summed against each other). `outer` adds
    v w^T -> T, which the others cannot form.
    """

    def __init__(self, rep: Rep, contract: bool = True, outer: bool = False) -> None:
        super().__init__()
        if len(rep.counts) != 3:
            raise ValueError(f"counts are {rep.counts}; the bilinear term is for scalars, vectors and 3 x 3 tensors")
        self.rep, self.contract, self.outer = rep, contract, outer
        n0, n1, n2 = rep.counts
        k1, k2 = min(n1, 3), min(n2, 9)
        shapes = {"sv": (n1 * k1, n0), "st": (n2 * k2, n0)}
        if contract:
            shapes |= {"vv": (n0, n1 * k1), "tv": (n1 * k2, n1), "tt": (n0, n2 * k2)}
        if outer:
            shapes |= {"vw": (n2 * k1, n1)}
        self.weights = nn.ParameterDict({k: nn.Parameter(torch.randn(s)) for k, s in shapes.items()})
        self.k1, self.k2 = k1, k2

    def forward(self, x: Tensor) -> Tensor:
        """(B, size) -> (B, size). Parameters meet the smaller factor first, so that no product of all pairs is formed."""
        w, (n0, n1, n2), k1, k2 = self.weights, self.rep.counts, self.k1, self.k2
        s, v, t = x.split([n0, 3 * n1, 9 * n2], 1)
        v, t = v.unflatten(1, (n1, 3)), t.unflatten(1, (n2, 9))
        vk, tk = v[:, :k1], t[:, :k2]
        vectors = linear(s, w["sv"]).unflatten(1, (n1, k1)) @ vk
        tensors = linear(s, w["st"]).unflatten(1, (n2, k2)) @ tk
        scalars = torch.zeros_like(s)
        if self.contract:
            scalars = linear((v @ vk.mT).flatten(1), w["vv"]) + linear((t @ tk.mT).flatten(1), w["tt"])
            mixed = (w["tv"] @ v).reshape(-1, n1, 3 * k2)
            vectors = vectors + mixed @ tk.unflatten(2, (3, 3)).mT.reshape(-1, 3 * k2, 3)
        if self.outer:
            mixed = (w["vw"] @ v).unflatten(1, (n2, k1))
            tensors = tensors + (mixed.mT @ vk.unsqueeze(1)).flatten(2)
        return torch.cat([scalars, vectors.flatten(1), tensors.flatten(1)], 1)


class ConstrainedLinear(RepLinear):
    """W = P_g W and b = P_g b in every forward pass; with `broken`, P W_e + W_b: residual pathway priors."""

    def __init__(self, rep_in: Rep, rep_out: Rep, name: str, broken: bool) -> None:
        super().__init__(rep_in, rep_out)
        self.name = name
        if broken:
            self.weight_b = nn.Parameter(BROKEN_START * torch.randn_like(self.weight))
            self.bias_b = nn.Parameter(BROKEN_START * torch.randn_like(self.bias))
        self.broken = broken

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = project(self.name, self.rep_in, self.rep_out, self.weight, self.bias)
        if self.broken:
            weight, bias = weight + self.weight_b, bias + self.bias_b
        return linear(x, weight, bias)


class Block(nn.Module):
    """Linear to the gated representation, plus 0.1 times its bilinear map; then v sigmoid(gate) + w v sigmoid(v).

    Scalars gate themselves, every other tensor has a gate scalar of its own behind the scalars. `swish` keeps the last term, which
    acts entry by entry and is not equivariant.
    """

    def __init__(self, linear_of, rep_in: Rep, rep_out: Rep, bilinear: str, contract: bool, swish: bool) -> None:
        super().__init__()
        n0, n1, n2 = rep_out.counts
        gated = Rep((n0 + n1 + n2, n1, n2))
        self.linear, self.rep, self.gated = linear_of(rep_in, gated), rep_out, gated
        self.bilinear = Bilinear(gated, contract, bilinear == "outer") if bilinear != "none" else None
        self.swish = nn.Parameter(torch.full((rep_out.size,), SWISH_START)) if swish else None

    def forward(self, x: Tensor) -> Tensor:
        z = self.linear(x)
        if self.bilinear is not None:
            z = z + BILINEAR_SCALE * self.bilinear(z)
        n0, n1, n2 = self.rep.counts
        sizes = [n0, n1, n2, 3 * n1, 9 * n2]
        own = torch.sigmoid(z)  # of all entries at once: gates are some of them, the swish path takes the others
        s, gate_v, gate_t, own_v, own_t = own.split(sizes, 1)
        gate = torch.cat([s, gate_v.repeat_interleave(3, 1), gate_t.repeat_interleave(9, 1)], 1)
        if self.swish is not None:
            gate = gate + self.swish * torch.cat([s, own_v, own_t], 1)
        scalars, _, _, vectors, tensors = z.split(sizes, 1)
        return torch.cat([scalars, vectors, tensors], 1) * gate


class SoftEMLP(nn.Module):
    """Three blocks and a linear layer, (B, rep_in.size) -> (B, rep_out.size).

    constraint: "none" (plain weights, as the penalty has them), "hard" (projected on the group's equivariant maps, no swish path: an
    EMLP) or "rpp" (projected plus unconstrained weights).
    """

    def __init__(
        self,
        rep_in: Rep,
        rep_out: Rep,
        hidden: Rep,
        constraint: str = "none",
        group: str = "o3",
        bilinear: str = "emlp",
        contract: bool = True,
    ) -> None:
        super().__init__()

        def linear_of(a: Rep, b: Rep) -> RepLinear:
            return RepLinear(a, b) if constraint == "none" else ConstrainedLinear(a, b, group, constraint == "rpp")

        reps = [rep_in, hidden, hidden, hidden]
        swish = constraint != "hard"
        self.blocks = nn.Sequential(
            *(Block(linear_of, a, b, bilinear, contract, swish) for a, b in itertools.pairwise(reps))
        )
        self.last = linear_of(hidden, rep_out)

    def linears(self) -> list[RepLinear]:
        return [*(b.linear for b in self.blocks), self.last]

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.blocks(x))


def swish_mlp(n_in: int, n_out: int, widths: Sequence[int]) -> nn.Sequential:
    """A plain perceptron with swish between its layers."""
    layers: list[nn.Module] = []
    sizes = [n_in, *widths]
    for a, b in itertools.pairwise(sizes):
        layers += [nn.Linear(a, b), nn.SiLU()]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], n_out))
