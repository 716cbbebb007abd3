"""The network and its training step, as the Lightning module that the frame trains."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from models.image_classifier.objective import loss, mixed
from models.image_classifier.optimisers import optimiser, schedule
from models.nn.torchvision_ops import cure

cure()  # lightning imports torchmetrics, which imports torchvision

import lightning.pytorch as pl  # noqa: E402

if TYPE_CHECKING:
    from models.image_classifier.config import Config


class Network(nn.Module):
    """Images (N, C, H, W), uint8, or vectors (N, D) -> scores (N, n_out): normalised by channel, then backbone, then head.

    `mean` and `std` are in units of `white`, the value of a white pixel.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        backbone: nn.Module,
        head: nn.Module,
        mean: list[float],
        std: list[float],
        white: float,
        channels_last: bool = False,
    ) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        self.register_buffer("mean", white * torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", white * torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    def features(self, x: Tensor) -> Tensor:
        """(N, D) after the backbone."""
        if x.dim() == 2:  # vectors come as they are to be used
            return self.backbone(x.to(self.mean.dtype))
        z = (x.to(self.mean.dtype) - self.mean) / self.std
        return self.backbone(z.contiguous(memory_format=self.layout))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


class Training(pl.LightningModule):
    """The loss of `net`, with Mixup and CutMix, accumulation, clipping, a schedule by step and a moving average of weights as `cfg` says.

    Logs `train_loss`, `val_loss` (nats, without label smoothing) and `val_accuracy` once an epoch.
    """

    def __init__(self, net: Network, cfg: Config, n_out: int) -> None:
        super().__init__()
        self.net, self.cfg, self.n_out = net, cfg, n_out
        # one backward for each part of a batch: Lightning's own accumulation would count batches, not their parts
        self.automatic_optimization = False
        self.average: AveragedModel | None = None
        if cfg.ema is not None:
            self.average = AveragedModel(net, multi_avg_fn=get_ema_multi_avg_fn(cfg.ema), use_buffers=True)
        self.augment_seed = int(torch.randint(2**31, ()))
        self.images = 0  # seen in training, by all processes

    def tested(self) -> nn.Module:
        """What is evaluated: the averaged network where there is one."""
        return self.net if self.average is None else self.average

    def forward(self, x: Tensor) -> Tensor:
        return self.tested()(x)

    def on_train_epoch_start(self) -> None:
        data = getattr(self.trainer.train_dataloader, "dataset", None)
        if hasattr(data, "begin_epoch"):
            data.begin_epoch(self.augment_seed * 100003 + self.current_epoch)

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        x, y = mixed(*batch, self.n_out, self.cfg)
        opt: Any = self.optimizers()
        opt.zero_grad()
        total = torch.zeros((), device=x.device)
        for xi, yi in zip(x.chunk(self.cfg.accumulate), y.chunk(self.cfg.accumulate), strict=True):
            share = loss(self.net(xi), yi, self.cfg) * (len(yi) / len(y))
            self.manual_backward(share)
            total += share.detach()
        if self.cfg.clip is not None:
            self.clip_gradients(opt, gradient_clip_val=self.cfg.clip, gradient_clip_algorithm="norm")
        opt.step()
        self.lr_schedulers().step()  # type: ignore[union-attr]
        if self.average is not None:
            self.average.update_parameters(self.net)
            for m in self.average.modules():
                if hasattr(m, "after_average"):
                    m.after_average()
        self.images += len(y) * self.trainer.world_size
        self.log("train_loss", total, on_step=False, on_epoch=True, batch_size=len(y), sync_dist=True)

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        x, y = batch
        scores = self.tested()(x)
        options: dict[str, Any] = {"batch_size": len(y), "sync_dist": True}
        self.log("val_loss", cross_entropy(scores, y), **options)
        self.log("val_accuracy", (scores.argmax(1) == y).double().mean(), **options)

    def predict_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> Tensor:
        return torch.log_softmax(self.tested()(batch[0]).float(), dim=1)

    def configure_optimizers(self) -> Any:
        opt = optimiser(self.net, self.cfg)
        self.trainer.fit_loop.setup_data()
        steps = int(self.trainer.num_training_batches)
        return [opt], [torch.optim.lr_scheduler.LambdaLR(opt, schedule(self.cfg, steps))]

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["images"] = self.images

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.images = checkpoint["images"]

    def mode_gap(self, x: Tensor) -> float:
        """Largest |scores in training mode - scores in evaluation mode| on images x, without touching the network."""
        net = copy.deepcopy(self.net)
        with torch.no_grad():
            return float((net.train()(x) - net.eval()(x)).abs().max())
