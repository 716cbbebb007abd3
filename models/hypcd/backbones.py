"""The networks behind the names of method.backbone."""

from __future__ import annotations

from math import prod

from torch import Tensor, nn

from models.hypcd.config import VITS, Config
from models.nn.pretrained import Backbone


class DigitsCNN(nn.Module):
    """Two 3 x 3 convolutions (32; 64 with stride 2) with ReLU and a linear layer, by choice normalised: (N, C, H, W) -> (N, 128)."""

    features = 128

    def __init__(self, channels: int, height: int, width: int, layer_norm: bool = False) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(channels, 32, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(64 * ((height + 1) // 2) * ((width + 1) // 2), self.features),
            nn.LayerNorm(self.features, elementwise_affine=False) if layer_norm else nn.Identity(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class Given(nn.Module):
    """No network: the features are the entries of the input."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.features = prod(shape)

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)


def choice(cfg: Config, shape: tuple[int, ...]) -> str:
    """The backbone for samples of `shape`, where none is named: by their size."""
    return cfg.backbone or ("none" if len(shape) == 1 else "digits_cnn" if shape[-1] < 64 else "vit_b16")


def backbone(cfg: Config, shape: tuple[int, ...]) -> nn.Module:
    """The network of `cfg` for samples of `shape`; `features` columns come out."""
    name = choice(cfg, shape)
    if name == "none":
        return Given(shape)
    if name == "digits_cnn":
        return DigitsCNN(*shape, layer_norm=cfg.layer_norm)
    net = Backbone(f"timm/{VITS[name]}", shape[-1], shape[0], cfg.weights, "method.weights")
    net.freeze(cfg.tuned_blocks)
    return net
