"""AdamP and SGDP as optimisers of the image classifier."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from models.adamp.optim import SGDP, AdamP
from models.image_classifier.optimisers import rate

if TYPE_CHECKING:
    from models.image_classifier.config import Config


def adamp(groups: list[dict[str, Any]], cfg: Config) -> AdamP:
    betas = (cfg.betas[0], cfg.betas[1])
    return AdamP(groups, lr=rate(cfg), betas=betas, delta=cfg.delta, wd_ratio=cfg.wd_ratio, nesterov=cfg.nesterov)


def sgdp(groups: list[dict[str, Any]], cfg: Config) -> SGDP:
    return SGDP(
        groups,
        lr=rate(cfg),
        momentum=cfg.momentum,
        nesterov=cfg.nesterov,
        delta=cfg.delta,
        wd_ratio=cfg.wd_ratio,
        official_parity=cfg.official_parity,
    )
