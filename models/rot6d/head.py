"""From the last layer's raw vectors to rotations."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from models.geometry.rotations import (
    axis_angle_double,
    euler_sin_cos_tanh,
    matrix_gram_schmidt,
    matrix_svd,
    representation,
)


class RotationHead(nn.Module):
    """Raw vectors (..., k) to (..., 3, 3); no parameters.

    `matrix` gives the raw entries in training unless `svd`, and a rotation in evaluation: the nearest one, or, as released, Gram-Schmidt.
    `official_parity` follows the released code; `clouds` says whether it is that of the point clouds, whose axis-angle lacks a half.
    """

    def __init__(self, name: str, svd: bool = False, official_parity: bool = False, clouds: bool = False) -> None:
        super().__init__()
        rep = representation(name)
        self.dim, self.raw_in_training = rep.dim, name == "matrix" and not svd
        self.map: Callable[[Tensor], Tensor] = rep.map
        if official_parity:
            if name == "axis_angle" and clouds:
                self.map = axis_angle_double
            elif name == "euler_sin_cos":
                self.map = euler_sin_cos_tanh
            elif name == "matrix":
                self.map = matrix_gram_schmidt if not svd else matrix_svd

    def forward(self, raw: Tensor) -> Tensor:
        if self.training and self.raw_in_training:
            return raw.unflatten(-1, (3, 3))
        return self.map(raw)
