"""Forward kinematics of a skeleton, one batched product per level of its tree."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class ForwardKinematics(nn.Module):
    """Joint positions from local rotations: p_j = p_parent + R_parent o_j, R_j = R_parent R_local,j.

    Parameters
    ----------
    parents : parent of each joint; joint 0 is the root with parent -1, and a parent comes before its children.
    offsets : (J, 3), from the parent at rest; the root's is not used.
    """

    def __init__(self, parents: Sequence[int], offsets: Tensor) -> None:
        super().__init__()
        if not parents or parents[0] != -1 or any(not 0 <= p < j for j, p in enumerate(parents) if j):
            raise ValueError("parents must begin with -1, the root, and name an earlier joint for every other one")
        if tuple(offsets.shape) != (len(parents), 3):
            raise ValueError(
                f"offsets have shape {tuple(offsets.shape)}; {len(parents)} joints need ({len(parents)}, 3)"
            )
        depth = [0] * len(parents)
        for j in range(1, len(parents)):
            depth[j] = depth[parents[j]] + 1
        levels = [[j for j, d in enumerate(depth) if d == k] for k in range(max(depth) + 1)]
        self.depth = len(levels)
        for k, joints in enumerate(levels):
            self.register_buffer(f"joints{k}", torch.tensor(joints))
            if k:
                self.register_buffer(f"parents{k}", torch.tensor([levels[k - 1].index(parents[j]) for j in joints]))
                self.register_buffer(f"offsets{k}", offsets[joints])
        self.register_buffer("order", torch.tensor([j for joints in levels for j in joints]).argsort())

    def forward(self, local: Tensor, root: Tensor) -> Tensor:
        """Local rotations (B, J, 3, 3) and root positions (B, 3) to positions (B, J, 3), in the unit of the offsets."""
        turn, place = local[:, :1], root.unsqueeze(1)
        places = [place]
        for k in range(1, self.depth):
            index = getattr(self, f"parents{k}")
            turn, place = turn[:, index], place[:, index]
            place = place + (turn @ getattr(self, f"offsets{k}").unsqueeze(-1)).squeeze(-1)
            turn = turn @ local[:, getattr(self, f"joints{k}")]
            places.append(place)
        return torch.cat(places, 1)[:, self.order]


def forward_kinematics(local: Tensor, root: Tensor, parents: Sequence[int], offsets: Tensor) -> Tensor:
    """`ForwardKinematics` in one call."""
    return ForwardKinematics(parents, offsets)(local, root)
