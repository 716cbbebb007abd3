"""The network and its training step, as the Lightning module that the frame trains."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from models.geometry import poincare
from models.hypcd.config import Config
from models.hypcd.losses import classifier_loss, representation_loss
from models.hypcd.pool import two_views
from models.image_classifier.optimisers import Joint
from models.nn.torchvision_ops import cure

cure()  # lightning imports torchmetrics, which imports torchvision

import lightning.pytorch as pl  # noqa: E402


class Discoverer(pl.LightningModule):
    """Backbone, projection head and, where there is one, classifier; trained by L_rep and the losses of SimGCD.

    `centres` by name are what k-means found: with them `predict_step` tells clusters.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        head: nn.Module,
        classifier: nn.Module | None,
        cfg: Config,
        mean: list[float],
        std: list[float],
        white: float,
    ) -> None:
        super().__init__()
        self.backbone, self.head, self.classifier, self.cfg, self.white = backbone, head, classifier, cfg, white
        self.register_buffer("mean", white * torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", white * torch.tensor(std).view(1, -1, 1, 1), persistent=False)
        self.augment_seed = int(torch.randint(2**31, ()))
        self.centres: dict[str, Tensor] = {}

    # ------------------------------------------------------------------------------------------ features

    def features(self, x: Tensor) -> Tensor:
        """(N, D) of the backbone, for images (N, C, H, W) as stored or vectors (N, D)."""
        return self.backbone(x.float() if x.dim() == 2 else (x.to(self.mean.dtype) - self.mean) / self.std)

    def points(self, features: Tensor) -> Tensor:
        """What L_rep compares: the output of the head, on the ball M of it, in single precision at least."""
        z = self.head(features)
        z = z.float() if z.dtype in (torch.float16, torch.bfloat16) else z
        cfg = self.cfg
        return poincare.to_ball(z, cfg.c, cfg.clip, 1e-5 if cfg.official_parity else 0.0) if cfg.space == "ball" else z

    def logits(self, features: Tensor) -> Tensor:
        """(N, K): cosines of the features with class directions; on the ball coordinates of a hyperbolic linear layer."""
        assert self.classifier is not None
        return self.classifier(self.points(features) if self.cfg.space == "ball" else features)

    # ------------------------------------------------------------------------------------------ training

    def on_train_epoch_start(self) -> None:
        data = getattr(self.trainer.train_dataloader, "dataset", None)
        if hasattr(data, "begin_epoch"):
            data.begin_epoch(self.augment_seed * 100003 + self.current_epoch)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        x, y = batch
        cfg = self.cfg
        if x.dim() == 5:  # views by the data
            x = torch.cat([x[:, 0], x[:, 1]])
        else:
            x = two_views(x, cfg.shift, cfg.gain, cfg.noise, self.white)
        y = torch.cat([y, y])
        features = self.features(x)
        with torch.autocast(
            x.device.type, enabled=False
        ):  # hyperbolic maps lose the edge of the ball in half precision
            loss = self._loss(features.float(), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(y) // 2)
        return loss

    def _loss(self, features: Tensor, y: Tensor) -> Tensor:
        cfg, ball = self.cfg, self.cfg.space == "ball"
        loss = representation_loss(
            self.points(features),
            y,
            self.alpha() if ball else 0.0,
            cfg.c if ball else None,
            cfg.supervised_weight,
            (cfg.temperature, cfg.temperature_labelled),
            cfg.angle_scale if ball else 1.0,
            cfg.official_parity,
        )
        if self.classifier is not None:
            logits = self.logits(features)
            loss = loss + classifier_loss(
                logits,
                y,
                cfg.student_temperature,
                self.teacher_temperature(),
                cfg.supervised_weight,
                cfg.entropy_weight,
            )
        return loss

    def alpha(self) -> float:
        """Weight of the distance loss: alpha_max (epoch + 1) / epochs, epochs counted from 0."""
        return self.cfg.alpha_max * min(1.0, (self.current_epoch + 1) / (self.cfg.epochs or 1))

    def teacher_temperature(self) -> float:
        """Linear from teacher_start to teacher_end over the first teacher_epochs epochs."""
        cfg = self.cfg
        warm = cfg.teacher_epochs or max(1, round(0.15 * (cfg.epochs or 1)))
        done = min(1.0, self.current_epoch / max(1, warm - 1))
        return cfg.teacher_start + done * (cfg.teacher_end - cfg.teacher_start)

    def configure_optimizers(self) -> Any:
        """SGD on a cosine by epoch; on the ball the classifier has Adam at a constant step size.

        Its parameters are plain vectors and matrices: the Riemannian Adam of the released code is Adam for them.
        """
        cfg = self.cfg
        apart = self.classifier is not None and cfg.space == "ball"
        own = {id(p) for p in self.classifier.parameters()} if apart and self.classifier else set()
        rest = [p for p in self.parameters() if p.requires_grad and id(p) not in own]
        decayed = [p for p in rest if not cfg.parametric or p.dim() > 1]
        plain = [p for p in rest if cfg.parametric and p.dim() <= 1]
        groups = [{"params": decayed, "weight_decay": cfg.weight_decay}, {"params": plain, "weight_decay": 0.0}]
        groups = [g for g in groups if g["params"]]
        opt: torch.optim.Optimizer = torch.optim.SGD(groups, lr=cfg.lr or 0.1, momentum=cfg.momentum)
        factors = [self.cosine] * len(groups)
        if apart and self.classifier is not None:
            opt = Joint([opt, torch.optim.Adam(self.classifier.parameters(), lr=cfg.lr_classifier)])
            factors.append(lambda epoch: 1.0)
        return [opt], [torch.optim.lr_scheduler.LambdaLR(opt, factors)]

    def cosine(self, epoch: int) -> float:
        """Factor of lr: from 1 to lr_end along half a cosine."""
        end = self.cfg.lr_end
        return end + (1 - end) * (1 + math.cos(math.pi * min(1.0, epoch / (self.cfg.epochs or 1)))) / 2

    # ------------------------------------------------------------------------------------------ prediction

    def predict_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> dict[str, Tensor]:
        features = self.features(batch[0]).float()
        if self.classifier is not None:
            return {"cluster": self.logits(features).argmax(1)}
        z = normalize(features, dim=1).double()
        return {name: torch.cdist(z, centres.to(z.device)).argmin(1) for name, centres in self.centres.items()}
