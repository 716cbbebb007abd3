"""Charged particles: positions some time ahead, by equivariant messages on the complete graph."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.gaunt_tp.layers import DegreeLinear, Interaction
from models.geometry.spherical import spherical_harmonics
from models.nn.mlp import mlp


class ParticleNetwork(nn.Module):
    """Positions x and velocities v (B, n, 3), charges q (B, n) -> positions (B, n, 3).

    With d = x - mean x, features of a particle start from degree 0: q, |v|, log(1 + |d|); degree 1: v, d / (1 + |d|), q v. Edges
    have q_i q_j, log(1 + |x_i - x_j|) and q_i q_j / (1 + |x_i - x_j|^2). The displacement is v s + a vector read from degree 1, both
    from the last features. Equivariant under E(3) where the product has even paths only ("gaunt", "cg_even"), under SE(3)
    otherwise ("cg").
    """

    def __init__(
        self, kind: str, top: int, channels: int, layers: int, order: int = 2, backend: str = "auto", n: int = 5
    ) -> None:
        super().__init__()
        self.top = top
        self.scalars, self.vectors = nn.Linear(3, channels), nn.Linear(3, channels, bias=False)
        self.layers = nn.ModuleList(
            Interaction(kind, 1 if i == 0 else top, top, channels, 3, order, n - 1, backend, bound=True)
            for i in range(layers)
        )
        self.read = DegreeLinear(top, channels, 1)
        self.speed = mlp((channels, channels, 1), nn.SiLU)
        nn.init.zeros_(self.speed[-1].weight)  # the first guess is uniform motion
        nn.init.zeros_(self.speed[-1].bias)
        with torch.no_grad():
            self.read.weight.mul_(0.1)

    def forward(self, x: Tensor, v: Tensor, q: Tensor) -> Tensor:
        b, n, _ = x.shape
        centred = x - x.mean(1, keepdim=True)
        far = centred.norm(dim=-1)
        scalar = torch.stack([q, v.norm(dim=-1), far.log1p()], -1)
        vector = torch.stack([v, centred / (1.0 + far).unsqueeze(-1), q.unsqueeze(-1) * v], -1)
        # degree 1 of the basis is proportional to (x, y, z)
        h = torch.cat([self.scalars(scalar).unsqueeze(-1), self.vectors(vector).mT], -1).flatten(0, 1)
        i, j = (t.to(x.device) for t in torch.where(~torch.eye(n, dtype=torch.bool)))
        start = n * torch.arange(b, device=x.device)[:, None]
        receive, send = (start + i).flatten(), (start + j).flatten()
        gap = (x[:, j] - x[:, i]).flatten(0, 1)
        distance = gap.norm(dim=-1)
        force = (q[:, i] * q[:, j]).flatten()
        edge = torch.stack([force, distance.log1p(), force / (1.0 + distance.square())], -1)
        y = spherical_harmonics(self.top, gap, normalisation="component")
        for layer in self.layers:
            h = layer(h, y, edge, torch.ones_like(distance), send, receive)
        moved = self.read(h)[:, 0, 1:4].view(b, n, 3) if self.top else 0.0
        return x + v * (1.0 + self.speed(h[..., 0]).view(b, n, 1)) + moved
