"""The network of a configuration: backbone, wrapper, and what its output means."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from models.geometry.frames import FrameAveraging, GroupAveraging, check_cloud
from models.nn.dgcnn import DGCNN
from models.nn.pointnet import PointNet
from models.point_networks.config import Config
from models.tinvnn.mds import MDSCanonicalisation, canonicalise


def backbone(cfg: Config, n_out: int, per_point: bool) -> nn.Module:
    """PointNet or DGCNN, (B, n, 3) -> (B, n_out) or (B, n, n_out).

    size paper: the widths of FA-PointNet, 64-128-128-512-2048 and head 256-256-128; DGCNN's own paper: 64-64-128-256, 1024, 512-256.
    """
    small = cfg.size != "paper"
    if cfg.backbone == "dgcnn":
        wide = (
            {"widths": (32, 32, 64), "top": 128, "head": (64,)}
            if small
            else {"widths": (64, 64, 128, 256), "top": 1024, "head": (512, 256)}
        )
        return DGCNN(n_out, k=cfg.neighbours if small else 20, per_point=per_point, norm=bool(cfg.norm), **wide)
    if small:
        options = {"widths": (64, 64, 256), "head": (128, 64) if per_point else (128,), "skip": [1]}
    else:
        options = {"widths": (64, 128, 128, 512, 2048), "head": (256, 256, 128), "skip": None}
    return PointNet(n_out, per_point=per_point, norm=bool(cfg.norm), tnets=1 if cfg.tnets else None, **options)


class Centred(nn.Module):
    """The backbone on the cloud centred and scaled to root mean square radius 1: invariant under translation and scale only."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, x: Tensor) -> Tensor:
        check_cloud(x)
        x = x - x.mean(1, keepdim=True)
        return self.backbone(x / x.square().sum(-1).mean(1).sqrt().clamp_min(1e-12)[:, None, None])


class TurnedBack(nn.Module):
    """Normals on canonical coordinates, turned back into the frame of the input: h = (x - mean) V / s, so n = V n_h."""

    def __init__(self, backbone: nn.Module, scale: str, proper: bool) -> None:
        super().__init__()
        self.backbone, self.scale, self.proper = backbone, scale, proper
        self.ambiguous: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        h, scale, self.ambiguous = canonicalise(x, scale=self.scale, proper=self.proper)
        with torch.no_grad():  # V from h itself: x_c^T h = s V diag(second moments of h)
            centred = (x - x.mean(1, keepdim=True)).double() / scale.double()[:, None, None]
            u, _, vh = torch.linalg.svd(centred.mT @ h.double())
            axes = (u @ vh).to(x.dtype)
        return self.backbone(h) @ axes.mT


def network(cfg: Config, n_out: int, normals: bool) -> nn.Module:
    """Clouds (B, n, 3) -> class scores (B, n_out), or for normals vectors (B, n, 3) of any length.

    Raises ValueError where the wrapper cannot give normals (several random signs of MDS are a frame average: use that).
    """
    net = backbone(cfg, 3 if normals else n_out, normals)
    mode = "equivariant" if normals else "invariant"
    if cfg.wrapper == "frames":
        return FrameAveraging(net, cfg.group, mode, on_degenerate="ignore")
    if cfg.wrapper == "group":
        return GroupAveraging(net, cfg.group, mode, samples=cfg.samples)
    if cfg.wrapper == "mds":
        if not normals:
            return MDSCanonicalisation(
                net, sign=cfg.sign, scale=cfg.scale_rule, proper=cfg.proper, votes=cfg.votes, on_ambiguous="ignore"
            )
        if cfg.sign != "moment":
            raise ValueError(
                f"sign={cfg.sign} gives invariant outputs only and normals turn; use sign=moment, or wrapper=frames"
            )
        return TurnedBack(net, cfg.scale_rule, cfg.proper)
    return Centred(net)
