"""Energies and forces of molecules by equivariant messages within a cutoff."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.gaunt_tp.layers import Interaction, bessel
from models.geometry.spherical import spherical_harmonics
from models.nn.mlp import mlp

CLOSE = 0.1
"""Distance (angstrom) below which two atoms are taken to overlap: no molecule is like that, and directions lose their meaning."""


class Potential(nn.Module):
    """Atomic numbers (B, A) and positions (B, A, 3) in angstrom -> energies (B,) in eV relative to free atoms.

    Rows are padded with atomic number 0. Features start from the species alone; `layers` interactions of the given product; the energy
    is a sum over atoms and layers of functions of degree 0 (linear but for the last, as in MACE), times `scale`, plus `shift`
    per atom. Invariant under E(3) ("cg": SE(3)); forces are its negative gradient.
    """

    def __init__(
        self,
        species: tuple[int, ...],
        kind: str = "gaunt",
        top: int = 2,
        channels: int = 16,
        layers: int = 2,
        order: int = 2,
        cutoff: float = 5.0,
        neighbours: float = 12.0,
        shift: float = 0.0,
        scale: float = 1.0,
        backend: str = "auto",
    ) -> None:
        super().__init__()
        self.top, self.cutoff, self.species = top, cutoff, species
        lookup = torch.full((max(species) + 1,), -1)
        lookup[list(species)] = torch.arange(len(species))
        self.register_buffer("lookup", lookup, persistent=False)
        self.register_buffer("shift", torch.tensor(float(shift)))
        self.register_buffer("scale", torch.tensor(float(scale)))
        self.embed = nn.Embedding(len(species), channels)
        self.pair = nn.Embedding(len(species), 8)
        self.layers = nn.ModuleList(
            Interaction(kind, 0 if i == 0 else top, top, channels, 8 + 16, order, neighbours, backend)
            for i in range(layers)
        )
        self.read = nn.ModuleList(
            nn.Linear(channels, 1) if i < layers - 1 else mlp((channels, channels, 1), nn.SiLU) for i in range(layers)
        )

    def kinds(self, z: Tensor) -> Tensor:
        """Index of each atomic number z > 0 among the species, or a ValueError that names an unknown one."""
        known = self.lookup[z.clamp(0, len(self.lookup) - 1)]
        unknown = (known < 0) | (z >= len(self.lookup)) | (z < 0)
        if bool(unknown.any()):
            raise ValueError(
                f"atomic number {int(z[unknown][0])} is unknown to this potential, which was made for {', '.join(map(str, self.species))}; "
                "train on data that have it, or leave such molecules out"
            )
        return known

    def forward(self, z: Tensor, r: Tensor) -> Tensor:
        b, a = z.shape
        real = z > 0
        batch = torch.where(real)[0]
        kind = self.kinds(z[real])
        index = torch.full_like(z, -1)
        index[real] = torch.arange(len(kind), device=z.device)
        with torch.no_grad():
            near = torch.cdist(r, r, compute_mode="donot_use_mm_for_euclid_dist") < self.cutoff
            near &= real[:, :, None] & real[:, None] & ~torch.eye(a, dtype=torch.bool, device=z.device)
            at, i, j = torch.where(near)
        gap = r[at, j] - r[at, i]
        distance = gap.norm(dim=-1)
        if bool((distance < CLOSE).any()):
            raise ValueError(
                f"two atoms are less than {CLOSE} angstrom apart; positions are in angstrom, mend or leave out that molecule"
            )
        receive, send = index[at, i], index[at, j]
        radial, envelope = bessel(distance, self.cutoff)
        pair = self.pair(kind)
        edge = torch.cat([radial, pair[receive], pair[send]], -1)
        y = spherical_harmonics(self.top, gap, normalisation="component")
        h, energy = self.embed(kind).unsqueeze(-1), 0.0
        for layer, read in zip(self.layers, self.read, strict=True):
            h = layer(h, y, edge, envelope, send, receive)
            energy = energy + read(h[..., 0]).squeeze(-1)
        energy = self.scale * energy + self.shift
        return r.new_zeros(b).index_add(0, batch, energy)


def energy_and_forces(net: nn.Module, z: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
    """E (B,) and F = -dE/dr (B, A, 3); differentiable once more in training mode."""
    with torch.enable_grad():
        r = r.detach().requires_grad_()
        energy = net(z, r)
        (slope,) = torch.autograd.grad(energy.sum(), r, create_graph=net.training)
    return energy, -slope
