"""A network trained by cross-entropy, as the Lightning module that the frame expects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from models.nn.torchvision_ops import cure

cure()  # lightning imports torchmetrics, which imports torchvision

import lightning.pytorch as pl  # noqa: E402


class Classifier(pl.LightningModule):
    """`net` maps x to scores (N, n_out); `optimiser(module)` gives what `configure_optimizers` may return.

    Logs `train_loss`, `val_loss` (nats, mean over samples) and `val_accuracy` once an epoch.
    """

    def __init__(self, net: nn.Module, optimiser: Callable[[nn.Module], Any]):
        super().__init__()
        self.net, self._optimiser = net, optimiser

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        x, y = batch
        loss = cross_entropy(self.net(x), y)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(y), sync_dist=True)
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        x, y = batch
        scores = self.net(x)
        options: dict[str, Any] = {"batch_size": len(y), "sync_dist": True}
        self.log("val_loss", cross_entropy(scores, y), **options)
        self.log("val_accuracy", (scores.argmax(1) == y).double().mean(), **options)

    def predict_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> Tensor:
        return torch.log_softmax(self.net(batch[0]), dim=1)

    def configure_optimizers(self) -> Any:
        return self._optimiser(self)
