"""The Riemannian residual network as a method of the harness."""

from __future__ import annotations

from functools import partial
from typing import Any

from bench.schema import Bundle, LightningMethod
from models.nn.classifier import Classifier
from models.nn.geoopt_adam import riemannian_adam
from models.rresnet.config import Config
from models.rresnet.net import RResNet
from models.spdnet.net import normalisation

HIDDEN = 30  # in the paper's experiments; 5/8 of smaller matrices


class RiemannianResNet(LightningMethod):
    cfg: Config

    def skip(self, bundle: Bundle) -> str | None:
        if self._hidden(bundle) > bundle.shape[0]:
            return f"BiMap cannot enlarge {bundle.shape[0]} x {bundle.shape[0]} matrices; set method.hidden lower"
        return None

    def _hidden(self, bundle: Bundle) -> int:
        return self.cfg.hidden or min(HIDDEN, max(1, 5 * bundle.shape[0] // 8))

    def build(self, bundle: Bundle, cfg: Config) -> Any:
        hidden = self._hidden(bundle)
        norm = normalisation(
            cfg.norm,
            hidden,
            theta=cfg.theta,
            momentum=cfg.momentum,
            eps=cfg.norm_eps,
            official_parity=cfg.official_parity,
            mixed_bias=cfg.official_parity,
        )
        net = RResNet(
            bundle.shape[0], hidden, bundle.n_out, norm, cfg.steps, cfg.channels, cfg.kernel, cfg.official_parity
        )
        return Classifier(net, partial(riemannian_adam, lr=cfg.lr, weight_decay=cfg.weight_decay))
