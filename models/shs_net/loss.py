"""The four terms of the training loss."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from models.shs_net.net import Output

SINE, NEAR, WEIGHT, SIDE = 0.1, 0.5, 1.0, 0.1
LEAST_SIGMA, SHARE = 0.05**2, 0.3


def plane_weights(points: Tensor, normal: Tensor) -> Tensor:
    """w*_i = exp(-(p_i . n)^2 / sigma) (B, m), near 1 on the tangent plane of the query: points (B, m, 3), the query first, normal (B, 3).

    The m points are scaled to radius 1 about the query (coincident ones lie on the plane);
    sigma = 0.3 mean (p_i . n)^2 + 1e-5, at least 0.05^2.
    """
    local = points - points[:, :1]
    local = local / local.norm(dim=-1).amax(1)[:, None, None].clamp_min(torch.finfo(local.dtype).tiny)
    square = (local @ normal[..., None])[..., 0].square()
    sigma = (SHARE * square.mean(1, keepdim=True) + 1e-5).clamp_min(LEAST_SIGMA)
    return torch.exp(-square / sigma)


def losses(out: Output, normal: Tensor, near: Tensor, points: Tensor) -> dict[str, Tensor]:
    """The weighted terms, whose sum is minimised; normal (B, 3) and near (B, >= m, 3) true normals, points (B, >= m, 3) of the patch.

    sine  0.1 mean |n_hat x n|, blind to the side;
    near  0.5 mean w_i |n_hat_i - n_i|^2, which is not;
    weight  mean (w*_i - w_i)^2;
    side  0.1 BCE(logit, [n_hat . n >= 0]): whether the side that n_hat has at this moment is right, without gradient to n_hat.
    """
    m = out.near.shape[1]
    right = ((out.normal * normal).sum(-1) >= 0).to(normal.dtype)
    return {
        "sine": SINE * torch.linalg.cross(out.normal, normal).norm(dim=-1).mean(),
        "near": NEAR * (out.weights * (out.near - near[:, :m]).square().sum(-1)).mean(),
        "weight": WEIGHT * (plane_weights(points[:, :m], normal) - out.weights).square().mean(),
        "side": SIDE * binary_cross_entropy_with_logits(out.logit, right),
    }
