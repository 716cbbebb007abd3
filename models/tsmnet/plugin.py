"""TSMNet as a method of the harness."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from bench.schema import Arrays, Bundle, LightningMethod, Result
from models.geometry.eig import logm
from models.nn.classifier import Classifier
from models.nn.geoopt_adam import riemannian_adam
from models.tsmnet.config import OWN, Config
from models.tsmnet.net import TSMNetwork, upper
from models.tsmnet.sampler import domain_batches
from models.tsmnet.schedule import momenta

MOST = 500  # trials of a split in the figure
TAU0 = {"spddsmbn": 0.85, "spdmbn": 0.35}  # of the released configurations


class DomainClassifier(Classifier):
    """`Classifier` for batches (x, y, domain), with the momentum schedule and statistics for domains met in validation only."""

    net: TSMNetwork

    def __init__(self, net: TSMNetwork, cfg: Config, unseen: tuple[Tensor, Tensor] | None) -> None:
        super().__init__(net, lambda module: riemannian_adam(module, cfg.lr, cfg.weight_decay, amsgrad=False))
        self.cfg, self.unseen = cfg, unseen

    def on_train_epoch_start(self) -> None:
        cfg = self.cfg
        if cfg.norm not in OWN:
            return
        by_domain = cfg.norm == "spddsmbn"
        bs, bs0 = (cfg.batch // cfg.domains, cfg.batch) if by_domain else (cfg.batch, 10 * cfg.batch)
        last = max(int(cfg.epochs or 0) - cfg.settle, 2)
        self.net.norm.set_momenta(*momenta(self.current_epoch + 1, last, bs, bs0, TAU0[cfg.norm], cfg.official_parity))

    def on_validation_epoch_start(self) -> None:
        if self.unseen is not None:  # as in the test: a new domain gets its statistics from its unlabelled data
            self.net.refit(*(t.to(self.device) for t in self.unseen))

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor], batch_idx: int) -> Tensor:
        x, y, domain = batch
        loss = cross_entropy(self.net(x, domain), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(y))
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor, Tensor], batch_idx: int) -> None:
        x, y, domain = batch
        scores = self.net(x, domain)
        self.log("val_loss", cross_entropy(scores, y), batch_size=len(y))
        self.log("val_accuracy", (scores.argmax(1) == y).double().mean(), batch_size=len(y))

    def predict_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> Tensor:
        return torch.log_softmax(self.net(batch[0], batch[2]), dim=1)


class TSMNet(LightningMethod):
    cfg: Config
    grouped: ClassVar[bool] = True

    def skip(self, bundle: Bundle) -> str | None:
        splits = [s for s in (bundle.train, bundle.val, bundle.test) if s is not None]
        if any(not isinstance(s, Arrays) or s.group is None for s in splits):
            return "the trials of this data set name no session or subject, and TSMNet draws its batches by them"
        if bundle.shape[-1] <= self.cfg.kernel // 2:
            return f"trials have {bundle.shape[-1]} samples and the temporal kernel {self.cfg.kernel}; set method.kernel lower"
        return None

    def build(self, bundle: Bundle, cfg: Config) -> DomainClassifier:
        by_domain = cfg.norm == "spddsmbn"
        splits = [s for s in (bundle.train, bundle.val, bundle.test) if s is not None]
        domains = np.unique(np.concatenate([s.group for s in splits])).tolist() if by_domain else None
        sizes = (cfg.temporal, cfg.spatial, cfg.kernel, cfg.hidden)
        net = TSMNetwork(
            bundle.shape[0],
            bundle.n_out,
            domains,
            sizes,
            cfg.rectify,
            cfg.trace_norm,
            cfg.official_parity,
            None if cfg.norm in OWN else self._layer,
        )
        unseen = None
        if by_domain and cfg.adapt and bundle.val is not None:
            new = ~np.isin(bundle.val.group, bundle.train.group)
            unseen = tensors(bundle.val, new) if new.any() else None
        self.module = DomainClassifier(net, cfg, unseen)
        return self.module

    def _layer(self, n: int) -> nn.Module:
        from models.spdnet.net import normalisation  # the code of other methods, part of the row only when it is chosen

        cfg = self.cfg
        options = {"theta": cfg.theta, "momentum": cfg.momentum, "eps": cfg.norm_eps}
        return normalisation(cfg.norm, n, **options, official_parity=cfg.official_parity)

    def batches(self, split: Arrays, generator: Any) -> list[list[int]]:
        cfg = self.cfg
        y, domain = torch.as_tensor(split.y), torch.as_tensor(split.group)
        if cfg.official_parity:  # the released loader takes the domain for the class: its batches are not stratified
            y = torch.zeros_like(y)
        return domain_batches(y, domain, cfg.batch // cfg.domains, cfg.domains, generator)

    def adapt(self, module: DomainClassifier, bundle: Bundle) -> bool:
        """spdmbn: statistics of all training data. spddsmbn: of each domain of the test split, from its unlabelled trials."""
        if self.cfg.norm == "spdmbn":
            for_fit = [s for s in (bundle.train, bundle.val) if s is not None]
            parts = [tensors(s) for s in for_fit]
            module.net.refit(*(torch.cat(t).to(module.device) for t in zip(*parts, strict=True)))
            return False
        if self.cfg.norm == "spddsmbn" and self.cfg.adapt:
            module.net.refit(*(t.to(module.device) for t in tensors(bundle.test)))
            return True
        return False

    def run(self, bundle: Bundle, ctx: Any) -> Result:
        result = super().run(bundle, ctx)
        if result.predictions:  # not in the other processes of a distributed run
            ctx.save_figure("tangent_space", figure(self.module, bundle))
        return result


def tensors(split: Arrays, rows: Any = slice(None)) -> tuple[Tensor, Tensor]:
    """Trials and domains of a split; labels stay behind."""
    return torch.as_tensor(split.x)[rows], torch.as_tensor(split.group)[rows]


@torch.no_grad()
def figure(module: DomainClassifier, bundle: Bundle) -> Any:
    """First two principal components of the tangent vectors, before and after the normalisation: training and test sessions."""
    from matplotlib.figure import Figure

    net = module.net.eval()
    train, test = (Arrays(s.x[:MOST], s.y[:MOST], s.group[:MOST]) for s in (bundle.train, bundle.test))
    parts = [tensors(s) for s in (train, test)]
    x, domain = (torch.cat(t).to(module.device) for t in zip(*parts, strict=True))
    kinds = (("training sessions", "o", 0.3, train), ("test", "^", 1.0, test))
    out = Figure(figsize=(9, 4), layout="constrained")
    views = (("before", upper(logm(net.spd(x)))), (f"after {module.cfg.norm}", net.features(x, domain)))
    for i, (name, features) in enumerate(views, 1):
        from_mean = features - features.mean(0)
        points = (from_mean @ torch.linalg.svd(from_mean, full_matrices=False).Vh[:2].T).cpu().numpy()
        axes = out.add_subplot(1, 2, i, title=name, xlabel="component 1", ylabel="component 2")
        for (label, marker, alpha, split), at in zip(kinds, np.split(points, [len(train)]), strict=True):
            axes.scatter(
                *at.T, c=np.asarray(split.y), cmap="tab10", vmax=9, s=18, marker=marker, alpha=alpha, label=label
            )
        axes.legend(title="colour: class", fontsize=7, title_fontsize=7)
    return out
