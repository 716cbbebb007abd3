"""The three networks of the paper: matrices, pairs of point clouds, skeletons."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.rot6d.head import RotationHead
from models.rot6d.kinematics import ForwardKinematics


def perceptron(sizes: Sequence[int]) -> nn.Sequential:
    """Linear layers with LeakyReLU(0.01) between them."""
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise(sizes):
        layers += [nn.Linear(a, b), nn.LeakyReLU(0.01)]
    return nn.Sequential(*layers[:-1])


class MatrixNet(nn.Module):
    """9 entries of a rotation to a rotation: 9 - w - w - w - k. (B, 9) -> (B, 3, 3)."""

    def __init__(self, head: RotationHead, width: int = 128) -> None:
        super().__init__()
        self.body, self.head = perceptron([9, width, width, width, head.dim]), head

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x))


class PairPointNet(nn.Module):
    """A cloud and its rotated copy to the rotation: (B, 2, points, 3) -> (B, 3, 3).

    One PointNet, 3 - 64 - 128 - w by point with LeakyReLU after the first two and a maximum over points, sees both; then
    2w - w/2 - k.
    """

    def __init__(self, head: RotationHead, width: int = 1024) -> None:
        super().__init__()
        self.point, self.head = perceptron([3, 64, 128, width]), head
        self.top = perceptron([2 * width, width // 2, head.dim])

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.top(self.point(x).amax(2).flatten(1)))


class PoseNet(nn.Module):
    """Joint positions in metres to local rotations and, by forward kinematics, to positions again: (B, 3 J) -> (B, J, 3) metres.

    3J - w - w - w - J k; the root stays where the input has it.
    """

    def __init__(self, head: RotationHead, parents: Sequence[int], offsets: Tensor, width: int = 1024) -> None:
        super().__init__()
        self.joints, self.head = len(parents), head
        self.body = perceptron([3 * self.joints, width, width, width, self.joints * head.dim])
        self.kinematics = ForwardKinematics(parents, offsets)

    def rotations(self, x: Tensor) -> Tensor:
        return self.head(self.body(x).unflatten(-1, (self.joints, self.head.dim)))

    def forward(self, x: Tensor) -> Tensor:
        return self.kinematics(self.rotations(x), x[:, :3])


def mean_angle(a: Tensor, b: Tensor) -> Tensor:
    """Mean geodesic distance of (B, 3, 3) in radians; the chord is kept below its largest value, where the gradient is infinite."""
    chord = torch.linalg.vector_norm((a - b).flatten(1), dim=-1) / 8.0**0.5
    return 2.0 * torch.asin(chord.clamp(max=1.0 - 1e-6)).mean()
