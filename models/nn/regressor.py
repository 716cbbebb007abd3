"""A network trained on any loss, as the Lightning module that the frame expects."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from models.nn.torchvision_ops import cure

cure()  # lightning imports torchmetrics, which imports torchvision

import lightning.pytorch as pl  # noqa: E402

Loss = Callable[[nn.Module, Tensor, Tensor], Tensor]


class Regressor(pl.LightningModule):
    """`loss(net, x, y)` is trained with Adam; `predict(net, x)` gives what a task scores, under the name `output`.

    `augment(x, y)` changes training batches only. `ema`: decay of a moving average of the weights, which is then what is validated
    and tested. Logs `train_loss` and `val_loss` once an epoch.
    """

    def __init__(
        self,
        net: nn.Module,
        loss: Loss,
        predict: Callable[[nn.Module, Tensor], Tensor],
        *,
        output: str = "y",
        lr: float = 1e-3,
        weight_decay: float = 0.0,
        augment: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]] | None = None,
        ema: float | None = None,
    ) -> None:
        super().__init__()
        self.net, self._loss, self._predict, self._augment = net, loss, predict, augment
        self._output, self._lr, self._decay = output, lr, weight_decay
        self.average: AveragedModel | None = None
        if ema is not None:
            self.average = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(ema), use_buffers=True)
            self.average.requires_grad_(False)

    def tested(self) -> nn.Module:
        """What is evaluated: the averaged network where there is one."""
        return self.net if self.average is None else self.average.module

    def forward(self, x: Tensor) -> Tensor:
        return self._predict(self.tested(), x)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        x, y = batch if self._augment is None else self._augment(*batch)
        loss = self._loss(self.net, x, y)
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(x), sync_dist=True)
        return loss

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        if self.average is not None:
            self.average.update_parameters(self.net)

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self.log("val_loss", self._loss(self.tested(), *batch), batch_size=len(batch[0]), sync_dist=True)

    def predict_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> dict[str, Tensor]:
        return {self._output: self._predict(self.tested(), batch[0])}

    def configure_optimizers(self) -> Any:
        return torch.optim.Adam(self.net.parameters(), lr=self._lr, weight_decay=self._decay)
