"""The networks behind the names of method.backbone."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from models.image_classifier.config import LIBRARY, TRANSFORMERS
from models.image_classifier.norms import factory
from models.nn import convnets
from models.nn.pretrained import read_state
from models.nn.torchvision_ops import cure

if TYPE_CHECKING:
    from models.image_classifier.config import Config


RESNETS = {  # backbone: block, blocks of the four stages, whether it is the D variant
    "resnet18": (convnets.BasicBlock, (2, 2, 2, 2), False),
    "resnet50": (convnets.Bottleneck, (3, 4, 6, 3), False),
    "resnet50_d": (convnets.Bottleneck, (3, 4, 6, 3), True),
    "resnet101_d": (convnets.Bottleneck, (3, 4, 23, 3), True),
    "resnet152_d": (convnets.Bottleneck, (3, 8, 36, 3), True),
}


class Library(nn.Module):
    """A network of timm without its classifier: images (N, C, H, W) -> features (N, D)."""

    normalised: tuple[str, ...] = ()

    def __init__(self, name: str, channels: int, size: int, drop_path: float = 0.0) -> None:
        super().__init__()
        cure()  # timm imports torchvision
        import timm

        options: dict[str, Any] = {"num_classes": 0, "in_chans": channels}
        if drop_path:
            options["drop_path_rate"] = drop_path
        transformer = name in TRANSFORMERS.values()
        if transformer:
            options["img_size"] = size
        if transformer and size < 64:  # 16-pixel patches would leave nothing to attend to
            options |= {"patch_size": 2, "window_size": 4} if name.startswith("swin") else {"patch_size": 4}
        self.net = timm.create_model(name, pretrained=False, **options)
        self.features = self.net.head_hidden_size

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class Flat(nn.Module):
    """No network: the features are the entries of the input, (N, ...) -> (N, D)."""

    normalised: tuple[str, ...] = ()

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.features = math.prod(shape)

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)


def backbone(cfg: Config, shape: tuple[int, ...]) -> nn.Module:
    """The network of `cfg` for images of `shape` (C, H, W) or vectors (D,); its output has `features` columns.

    Weights come from cfg.weights where given: a state dict of the same network, read without executing anything.
    """
    name, channels, size = cfg.backbone or ("small_cnn" if len(shape) == 3 else "none"), shape[0], shape[-1]
    net: nn.Module
    if name == "none":
        net = Flat(shape)
    elif name in LIBRARY:
        net = Library(LIBRARY[name], channels, size, cfg.drop_path)
    else:
        make = factory(cfg.norm or "bn_relu", cfg.groups or 32)
        if name in ("small_cnn", "preact_resnet"):
            kind = convnets.SmallCNN if name == "small_cnn" else convnets.PreactResNet
            net = kind(channels, make, **({"width": cfg.width} if cfg.width else {}))
        else:
            block, blocks, deep = RESNETS[name]
            stem = cfg.stem or ("cifar" if size <= 64 else "deep" if deep else "imagenet")
            net = convnets.ResNet(channels, make, block, blocks, stem, deep, cfg.width or 64, cfg.drop_path)
    if cfg.weights:
        target = net.net if isinstance(net, Library) else net
        convnets.load_weights(
            target,
            read_state(cfg.weights, "method.weights"),
            f"method.weights={cfg.weights}",
            ("fc.", "head.", "head_dist.", "classifier."),
        )
    return net
