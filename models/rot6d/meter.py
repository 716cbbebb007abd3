"""Whether the trained networks turn their answer when their input is turned, as the tasks themselves do."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn

from bench.schema import Metric
from models.geometry.equivariance import EuclideanAction, equivariance_errors
from models.rot6d.nets import PairPointNet, PoseNet

SAMPLES = 64


def as_vectors(net: nn.Module, x: Tensor) -> tuple[Callable[[Tensor], Tensor], Tensor]:
    """(f, z) with f(z Q^T) = f(z) Q^T for a network that answers as its task does; z (B, n, 3), f(z) (B, m, 3) hold vectors in rows.

    Matrices (B, 9): R -> Q R turns the answer's columns. Pairs of clouds (B, 2, n, 3): the second cloud is turned. Skeletons (B, 3 J):
    all joints turn about the origin.
    """
    if isinstance(net, PoseNet):
        return (lambda z: net(z.flatten(1))), x.unflatten(1, (-1, 3))
    if isinstance(net, PairPointNet):
        first = x[:, 0]
        return (lambda z: net(torch.stack([first, z], 1)).mT), x[:, 1]
    return (lambda z: net(z.mT.flatten(1)).mT), x.unflatten(1, (3, 3)).mT


def symmetry(net: nn.Module, x: Tensor, generator: torch.Generator) -> list[Metric]:
    """Equivariance errors under SO(3) of at most SAMPLES inputs, in float64."""
    f, z = as_vectors(copy.deepcopy(net).double().eval(), x[:SAMPLES].double())
    action = EuclideanAction("SO(3)", "vector")
    return equivariance_errors(f, action, z, draws=4, steps=5, generator=generator).metrics()
