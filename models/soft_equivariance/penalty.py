"""How far linear layers are from equivariance: R_g = sum of 1/2 |vec W - P_g vec W|^2 + 1/2 |b - P_g b|^2."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.soft_equivariance.rep import DIM, Rep, basis


class RepLinear(nn.Linear):
    """A plain linear layer that knows the representations it maps between; W orthogonal, b uniform in [0, 1) / sqrt(n_out)."""

    def __init__(self, rep_in: Rep, rep_out: Rep) -> None:
        super().__init__(rep_in.size, rep_out.size)
        self.rep_in, self.rep_out = rep_in, rep_out
        nn.init.orthogonal_(self.weight)
        nn.init.uniform_(self.bias, 0.0, rep_out.size**-0.5)


def blocks(rep_in: Rep, rep_out: Rep, weight: Tensor, bias: Tensor | None) -> list[tuple[tuple[int, int], Tensor]]:
    """((rank_in, rank_out), maps (copies_out, copies_in, 3^(rank_out + rank_in))) of every pair of ranks; a bias maps from rank 0."""
    out = []
    for s, b, rows in rep_out.blocks():
        for r, a, columns in rep_in.blocks():
            w = weight[rows, columns].reshape(b, DIM**s, a, DIM**r)
            out.append(((r, s), w.transpose(1, 2).reshape(b, a, -1)))
        if bias is not None:
            out.append(((0, s), bias[rows].reshape(b, 1, -1)))
    return out


def project(name: str, rep_in: Rep, rep_out: Rep, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """The nearest equivariant weight (n_out, n_in) and bias (n_out,): P_g, applied block by block, differentiable."""
    rows = []
    biases = []
    for s, b, place in rep_out.blocks():
        row = []
        for r, a, columns in rep_in.blocks():
            n = basis(name, r, s).to(weight)
            w = weight[place, columns].reshape(b, DIM**s, a, DIM**r).transpose(1, 2).reshape(b, a, -1)
            w = ((w @ n.mT) @ n).reshape(b, a, DIM**s, DIM**r)
            row.append(w.transpose(1, 2).reshape(b * DIM**s, -1))
        rows.append(torch.cat(row, 1))
        n = basis(name, 0, s).to(weight)
        biases.append(((bias[place].reshape(b, -1) @ n.mT) @ n).reshape(-1))
    return torch.cat(rows), torch.cat(biases)


@torch.no_grad()
def blend(layers: Sequence[RepLinear], name: str, share: float) -> None:
    """Weights and biases become share P W + (1 - share) W, in place: a start between free and equivariant."""
    for layer in layers:
        weight, bias = project(name, layer.rep_in, layer.rep_out, layer.weight, layer.bias)
        layer.weight.lerp_(weight, share)
        layer.bias.lerp_(bias, share)


def residual(name: str, layer: RepLinear) -> Tensor:
    """R_g of one layer, differentiable; its gradient is vec W - P_g vec W."""
    total = layer.weight.new_zeros(())
    for (r, s), w in blocks(layer.rep_in, layer.rep_out, layer.weight, layer.bias):
        n = basis(name, r, s).to(w)
        total = total + 0.5 * (w - (w @ n.mT) @ n).square().sum()
    return total


class Penalty:
    """sum_g lambda_g R_g over the layers of a network, by its gradient.

    R_g is quadratic, so that for fixed lambda its gradient is one symmetric matrix for each pair of ranks,
    S = sum_g lambda_g (I - P_g), and a step costs one product per block instead of one per block and group.
    """

    def __init__(self, layers: Sequence[RepLinear], groups: Sequence[str], strengths: Sequence[float]) -> None:
        if len(strengths) != len(groups):
            raise ValueError(f"there are {len(strengths)} strengths for {len(groups)} groups; give one for each")
        self.layers, self.groups = list(layers), list(groups)
        self.set(strengths)

    def set(self, strengths: Sequence[float]) -> None:
        """Take new strengths lambda (one for each group, finite and not negative)."""
        if not all(0.0 <= s < float("inf") for s in strengths):
            raise ValueError(f"strengths are {list(strengths)}; they must be finite and not negative")
        self.strengths = [float(s) for s in strengths]
        self._matrices: dict[tuple[int, int], Tensor] = {}

    def _matrix(self, ranks: tuple[int, int], like: Tensor) -> Tensor:
        if ranks not in self._matrices:
            eye = torch.eye(DIM ** sum(ranks), dtype=torch.float64)
            total = torch.zeros_like(eye)
            for name, strength in zip(self.groups, self.strengths, strict=True):
                n = basis(name, *ranks)
                total += strength * (eye - n.mT @ n)
            self._matrices[ranks] = total.to(like)
        return self._matrices[ranks]

    @torch.no_grad()
    def residuals(self) -> Tensor:
        """R_g summed over layers, for every group (groups,)."""
        out = [sum(residual(name, layer) for layer in self.layers) for name in self.groups]
        return torch.stack([torch.as_tensor(r) for r in out])

    @torch.no_grad()
    def add_gradient(self) -> None:
        """Add the penalty's gradient to the .grad of weights and biases, which a backward pass has filled."""
        if not any(self.strengths):
            return
        for layer in self.layers:
            rep_in, rep_out = layer.rep_in, layer.rep_out
            for s, b, rows in rep_out.blocks():
                for r, a, columns in rep_in.blocks():
                    w = layer.weight[rows, columns].reshape(b, DIM**s, a, DIM**r).transpose(1, 2).reshape(b, a, -1)
                    step = (w @ self._matrix((r, s), w)).reshape(b, a, DIM**s, DIM**r).transpose(1, 2)
                    layer.weight.grad[rows, columns] += step.reshape(b * DIM**s, -1)
                bias = layer.bias[rows].reshape(b, -1)
                layer.bias.grad[rows] += (bias @ self._matrix((0, s), bias)).reshape(-1)
