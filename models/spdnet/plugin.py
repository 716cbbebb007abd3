"""The SPD network as a method of the harness."""

from __future__ import annotations

from typing import Any

from bench.schema import Bundle, LightningMethod
from models.nn.classifier import Classifier
from models.nn.riemannian_sgd import MixedRiemannianSGD, manifold_groups
from models.spdnet.config import Config
from models.spdnet.net import SIZES, SPDNetwork, normalisation


class SPDNet(LightningMethod):
    cfg: Config

    def skip(self, bundle: Bundle) -> str | None:
        kernel = self._sizes(bundle)[2]
        if bundle.shape[-1] < kernel:
            return f"trials have {bundle.shape[-1]} samples and the temporal kernel {kernel}; set method.kernel lower"
        return None

    def _sizes(self, bundle: Bundle) -> tuple[int, int, int, int]:
        paper = SIZES.get(bundle.meta.get("paradigm", ""), SIZES["imagery"])
        given = (self.cfg.spatial, self.cfg.temporal, self.cfg.kernel, self.cfg.hidden)
        a, b, c, d = (p if g is None else g for g, p in zip(given, paper, strict=True))
        return a, b, c, d

    def build(self, bundle: Bundle, cfg: Config) -> Any:
        sizes = self._sizes(bundle)
        norm = normalisation(
            cfg.norm,
            sizes[3],
            theta=cfg.theta,
            momentum=cfg.momentum,
            eps=cfg.norm_eps,
            official_parity=cfg.official_parity,
        )
        net = SPDNetwork(bundle.shape[0], bundle.n_out, sizes, norm, train_bimap=not cfg.official_parity)
        return Classifier(
            net,
            lambda module: MixedRiemannianSGD(
                manifold_groups(module),
                lr=cfg.lr,
                momentum=cfg.sgd_momentum,
                weight_decay=cfg.weight_decay,
                max_step=None if cfg.official_parity else 0.5,
            ),
        )
