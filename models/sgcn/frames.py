"""Local frames of residues, and the directions of neighbours in them."""

from __future__ import annotations

import torch
from torch import Tensor


def frames(backbone: Tensor) -> Tensor:
    """Rotations R (..., 3, 3) of residues N, CA, C (..., 3, 3); the columns are the axes x, y, z of the frame at CA.

    x = unit(C - CA), z = unit(x cross (N - CA)), y = z cross x. A rigid motion (Q, t) of the atoms gives Q R; a reflection does not
    give a rotation of R, so that the frame tells left from right.

    Raises
    ------
    ValueError : wrong shape, positions that are not finite, or N, CA, C on a line.
    """
    if backbone.shape[-2:] != (3, 3):
        raise ValueError(f"backbone has shape {tuple(backbone.shape)}; give N, CA and C of each residue, (..., 3, 3)")
    n, ca, c = backbone.unbind(-2)
    x = c - ca
    z = torch.linalg.cross(x, n - ca)
    length = x.norm(dim=-1, keepdim=True), z.norm(dim=-1, keepdim=True)
    if not (length[0].min() > 0 and length[1].min() > 0):  # false for NaN as well
        raise ValueError(
            "the frame of a residue is undefined: N, CA and C must be finite, distinct and not on a line; remove that residue"
        )
    x, z = x / length[0], z / length[1]
    return torch.stack([x, torch.linalg.cross(z, x), z], -1)


def directions(backbone: Tensor, neighbour: Tensor) -> Tensor:
    """r_ij = R_i^T (p_j - p_i) (N, D, 3), in Angstrom: from CA of residue i to CA of its neighbours j, in the frame of i.

    backbone (N, 3, 3), neighbour (N, D) residue numbers.

    Raises
    ------
    ValueError : two different neighbours at the same place, between which no direction exists.
    """
    p = backbone[:, 1]
    r = (p[neighbour] - p[:, None]) @ frames(backbone)
    if neighbour.numel() and bool(
        ((r == 0).all(-1) & (neighbour != torch.arange(len(p), device=p.device)[:, None])).any()
    ):
        raise ValueError("two residues have their CA at the same place, so that no direction joins them; remove one")
    return r
