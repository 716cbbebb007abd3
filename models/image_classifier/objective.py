"""What is minimised: the loss, and Mixup and CutMix of a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, one_hot

from models.nn.torchvision_ops import cure

if TYPE_CHECKING:
    from models.image_classifier.config import Config


def loss(scores: Tensor, y: Tensor, cfg: Config) -> Tensor:
    """Mean over samples of the loss of `cfg`, in nats: scores (N, K); y (N,) classes or (N, K) shares that sum to 1.

    bce is the sum over classes of the binary cross-entropies (Wightman et al. 2021 train with these).
    """
    smoothing = cfg.label_smoothing or 0.0
    if cfg.loss == "cross_entropy":
        return cross_entropy(scores, y, label_smoothing=smoothing)
    k = scores.shape[1]
    shares = (one_hot(y, k) if y.dim() == 1 else y).to(scores.dtype)
    shares = shares * (1 - smoothing) + smoothing / k
    return binary_cross_entropy_with_logits(scores, shares, reduction="sum") / len(scores)


def mixed(x: Tensor, y: Tensor, n_out: int, cfg: Config) -> tuple[Tensor, Tensor]:
    """Images (N, C, H, W) and classes (N,) after Mixup or CutMix, whichever `cfg` has or a coin says: floats, shares (N, n_out)."""
    cure()
    from torchvision.transforms import v2

    choices = [
        make(alpha=alpha, num_classes=n_out)
        for make, alpha in ((v2.MixUp, cfg.mixup), (v2.CutMix, cfg.cutmix))
        if alpha
    ]
    if not choices:
        return x, y
    transform = choices[int(torch.randint(len(choices), ())) if len(choices) > 1 else 0]
    return transform(x.to(torch.get_default_dtype()), y)
