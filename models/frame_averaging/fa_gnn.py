"""FA-GNN: message passing whose features are averaged over a new frame in every layer (Puny et al. 2022, n-body experiment)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.geometry.frames import GAP, euclidean_frames, from_frames, parse_group, to_frames
from models.nn.mlp import mlp
from models.nn.particle_gnn import GCL, edge_features


class FAGNN(nn.Module):
    """Positions, velocities (B, n, 3) and charges (B, n) -> positions (B, n, 3), equivariant under E(3) or SE(3).

    Linear(6, f) on framed position and velocity; `layers` rounds of messages on all frames at once; after each but the last
    the f features are read as f / 3 vectors, turned back, averaged over the frame, and framed anew by all n f / 3 vectors of
    the sample (centred). The decoder's output turns back with the last frame, is averaged, and moves to the centre of the
    input. `degenerate` (B,): some frame on the way was not unique.

    Raises ValueError where f is not a multiple of 3, or the group is not of dimension 3.
    """

    def __init__(self, f: int = 60, layers: int = 4, group: str = "E(3)", gap: float = GAP) -> None:
        super().__init__()
        kind, dim = parse_group(group)
        if dim != 3 or kind not in ("E", "SE"):
            raise ValueError(f"group {group}: particles in space need E(3) or SE(3)")
        if f % 3:
            raise ValueError(f"f={f} features cannot be read as vectors in space; take a multiple of 3")
        self.embed = nn.Linear(6, f)
        self.rounds = nn.ModuleList(GCL(f) for _ in range(layers))
        self.decode = mlp((f, f, 3), nn.SiLU)
        self.group, self.gap = group, gap
        self.degenerate: Tensor | None = None

    def forward(self, x: Tensor, v: Tensor, charge: Tensor) -> Tensor:
        frames = euclidean_frames(x.detach(), self.group, self.gap)
        center, degenerate = frames.center, frames.degenerate
        size = frames.rotation.shape[1]
        # distances are the same in every frame
        edges = edge_features(x, charge).repeat_interleave(size, 0)
        h = self.embed(torch.cat([to_frames(frames, x), to_frames(frames, v, centred=False)], -1))
        for k, layer in enumerate(self.rounds):
            h = layer(h.flatten(0, 1), edges).reshape(h.shape)
            if k < len(self.rounds) - 1:
                arrows = from_frames(frames, h.unflatten(-1, (-1, 3))).mean(1)
                frames = euclidean_frames(arrows.flatten(1, 2).detach(), self.group, self.gap)
                degenerate = degenerate | frames.degenerate
                h = to_frames(frames, arrows).flatten(-2)
        self.degenerate = degenerate
        return from_frames(frames, self.decode(h)).mean(1) + center[:, None]
