"""The SPD network as a method of the harness."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Any

from torch import nn

from bench.schema import Bundle, LightningMethod
from models.nn.classifier import Classifier
from models.nn.eeg_frontend import CovarianceFrontEnd
from models.nn.riemannian_sgd import MixedRiemannianSGD, manifold_groups
from models.spdnet.config import Config
from models.spdnet.net import SIZES, SPDNetwork, normalisation

SKELETON = 30  # size after BiMap in the paper's experiments on skeletons; 5/8 of smaller matrices


class SPDNet(LightningMethod):
    cfg: Config

    def skip(self, bundle: Bundle) -> str | None:
        if bundle.kind == "eeg_trials" and bundle.shape[-1] < (kernel := self._sizes(bundle)[2]):
            return f"trials have {bundle.shape[-1]} samples and the temporal kernel {kernel}; set method.kernel lower"
        chain = [self._size(bundle), *self._dims(bundle)]
        if any(a < b for a, b in pairwise(chain)):
            return f"BiMap cannot enlarge a matrix and the sizes are {chain}; set method.hidden or method.dims lower"
        return None

    def _sizes(self, bundle: Bundle) -> tuple[int, int, int, int]:
        paper = SIZES.get(bundle.meta.get("paradigm", ""), SIZES["imagery"])
        given = (self.cfg.spatial, self.cfg.temporal, self.cfg.kernel, self.cfg.hidden)
        a, b, c, d = (p if g is None else g for g, p in zip(given, paper, strict=True))
        return a, b, c, d

    def _size(self, bundle: Bundle) -> int:
        """Size of the SPD matrices that reach the first BiMap."""
        return self._sizes(bundle)[1] if bundle.kind == "eeg_trials" else bundle.shape[0]

    def _dims(self, bundle: Bundle) -> list[int]:
        if self.cfg.dims is not None:
            return list(self.cfg.dims)
        if bundle.kind == "eeg_trials":
            return [self._sizes(bundle)[3]]
        return [self.cfg.hidden or min(SKELETON, max(1, 5 * bundle.shape[0] // 8))]

    def build(self, bundle: Bundle, cfg: Config) -> Any:
        front: nn.Module = nn.Identity()
        if bundle.kind == "eeg_trials":
            spatial, temporal, kernel, _ = self._sizes(bundle)
            front = CovarianceFrontEnd(bundle.shape[0], spatial, temporal, kernel)
        norm = partial(
            normalisation,
            cfg.norm,
            theta=cfg.theta,
            momentum=cfg.momentum,
            eps=cfg.norm_eps,
            official_parity=cfg.official_parity,
        )
        net = SPDNetwork(
            front, self._size(bundle), bundle.n_out, self._dims(bundle), norm, train_bimap=not cfg.official_parity
        )
        if cfg.optimiser == "amsgrad":
            from models.nn.geoopt_adam import riemannian_adam  # geoopt is an extra, and only this choice needs it

            return Classifier(net, partial(riemannian_adam, lr=cfg.lr, weight_decay=cfg.weight_decay))
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
