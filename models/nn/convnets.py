"""Convolutional backbones, images (N, C, H, W) -> features (N, D), with normalisation and activation by choice.

`make(channels, act=True, zero=False)` gives the layer of normalisation and activation; without `act` what stands where no activation
follows; `zero` starts its scale at 0.

Parameters are called as in torchvision's ResNets (and, for the D variant, as in timm's resnet50d), so that their weights fit.
Each class has `features`, the D of its output, and `normalised`, the names of the weights that a normalisation follows.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

NormAct = Callable[..., nn.Module]


def conv(c_in: int, c_out: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    """A convolution without bias that keeps the size, up to its stride."""
    return nn.Conv2d(c_in, c_out, kernel, stride, kernel // 2, bias=False)


class SmallCNN(nn.Module):
    """Three 3 x 3 convolutions (w, 2w with stride 2, 2w), each normalised and activated, then the average over places."""

    normalised = ("conv1.weight", "conv2.weight", "conv3.weight")

    def __init__(self, channels: int, make: NormAct, width: int = 32) -> None:
        super().__init__()
        self.conv1, self.norm1 = conv(channels, width), make(width)
        self.conv2, self.norm2 = conv(width, 2 * width, stride=2), make(2 * width)
        self.conv3, self.norm3 = conv(2 * width, 2 * width), make(2 * width)
        self.features = 2 * width

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm1(self.conv1(x))
        x = self.norm2(self.conv2(x))
        return self.norm3(self.conv3(x)).mean((2, 3))


class PreactBlock(nn.Module):
    """x -> shortcut + conv(norm_act(conv(norm_act(x)))); a projection, where needed, starts from the first norm_act."""

    def __init__(self, c_in: int, c_out: int, stride: int, make: NormAct) -> None:
        super().__init__()
        self.norm1, self.conv1 = make(c_in), conv(c_in, c_out, stride=stride)
        self.norm2, self.conv2 = make(c_out), conv(c_out, c_out)
        self.shortcut = conv(c_in, c_out, 1, stride) if stride != 1 or c_in != c_out else None

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm1(x)
        skip = x if self.shortcut is None else self.shortcut(y)
        return skip + self.conv2(self.norm2(self.conv1(y)))


class PreactResNet(nn.Module):
    """A small pre-activation ResNet: conv to w, blocks w, 2w (stride 2), 2w, norm_act, average over places."""

    normalised: tuple[str, ...] = ()  # a residual sum is normalised, not the output of one convolution

    def __init__(self, channels: int, make: NormAct, width: int = 16) -> None:
        super().__init__()
        self.conv1 = conv(channels, width)
        blocks = [(width, width, 1), (width, 2 * width, 2), (2 * width, 2 * width, 1)]
        self.blocks = nn.Sequential(*(PreactBlock(*b, make) for b in blocks))
        self.norm = make(2 * width)
        self.features = 2 * width

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.blocks(self.conv1(x))).mean((2, 3))


class DropPath(nn.Module):
    """Stochastic depth (Huang et al. 2016): in training each sample of x (N, ...) is zero with probability `rate`, else divided by
    1 - rate."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        keep = x.new_empty([len(x)] + [1] * (x.dim() - 1)).bernoulli_(1 - self.rate)
        return x * keep / (1 - self.rate)


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions (ResNet-18 and 34)."""

    expansion = 1

    def __init__(self, c_in: int, width: int, stride: int, make: NormAct, deep: bool) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv(c_in, width, stride=stride), make(width)
        self.conv2, self.bn2 = conv(width, width), make(width, act=False, zero=True)
        self.downsample = _shortcut(c_in, width, stride, make, deep)
        self.drop: nn.Module = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.drop(self.bn2(self.conv2(self.bn1(self.conv1(x)))))
        return relu(y + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3 (with the stride), 1 x 1 convolutions (ResNet-50 and larger)."""

    expansion = 4

    def __init__(self, c_in: int, width: int, stride: int, make: NormAct, deep: bool) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv(c_in, width, 1), make(width)
        self.conv2, self.bn2 = conv(width, width, stride=stride), make(width)
        self.conv3, self.bn3 = conv(width, 4 * width, 1), make(4 * width, act=False, zero=True)
        self.downsample = _shortcut(c_in, 4 * width, stride, make, deep)
        self.drop: nn.Module = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(self.bn1(self.conv1(x))))
        y = self.drop(self.bn3(self.conv3(y)))
        return relu(y + (x if self.downsample is None else self.downsample(x)))


def _shortcut(c_in: int, c_out: int, stride: int, make: NormAct, deep: bool) -> nn.Sequential | None:
    if stride == 1 and c_in == c_out:
        return None
    norm = make(c_out, act=False)
    if not deep:
        return nn.Sequential(conv(c_in, c_out, 1, stride), norm)
    pool = nn.AvgPool2d(2, stride, ceil_mode=True, count_include_pad=False) if stride != 1 else nn.Identity()
    return nn.Sequential(pool, conv(c_in, c_out, 1), norm)


class ResNet(nn.Module):
    """ResNet (He et al. 2016) with norm_act by choice.

    Parameters
    ----------
    channels : of the images
    blocks : blocks of the four stages, e.g. (2, 2, 2, 2)
    stem : "imagenet" 7 x 7 with stride 2 and max-pooling, "cifar" one 3 x 3, "deep" three 3 x 3 (32, 32, 64) and max-pooling
    deep : the D variant of He et al. 2019: average pooling in the shortcuts
    drop_path : rate of stochastic depth of the last block; it grows linearly from 0 at the first

    A plain ReLU follows each residual sum; the last layer of a block starts with scale 0.
    """

    def __init__(
        self,
        channels: int,
        make: NormAct,
        block: type[BasicBlock] | type[Bottleneck],
        blocks: tuple[int, ...],
        stem: str = "imagenet",
        deep: bool = False,
        width: int = 64,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        if stem == "deep":
            h = width // 2
            self.conv1: nn.Module = nn.Sequential(  # the empty places keep the numbers of timm's layers
                conv(channels, h, 3, 2), make(h), nn.Identity(), conv(h, h), make(h), nn.Identity(), conv(h, width)
            )
        else:
            self.conv1 = conv(channels, width, 7, 2) if stem == "imagenet" else conv(channels, width)
        self.bn1 = make(width)
        self.maxpool = nn.Identity() if stem == "cifar" else nn.MaxPool2d(3, 2, 1)
        c, done, last = width, 0, max(1, sum(blocks) - 1)
        for i, n in enumerate(blocks):
            stage = []
            for j in range(n):
                stage.append(block(c, width << i, 2 if i and not j else 1, make, deep))
                if drop_path and done:
                    stage[-1].drop = DropPath(drop_path * done / last)
                c, done = (width << i) * block.expansion, done + 1
            setattr(self, f"layer{i + 1}", nn.Sequential(*stage))
        self.stages = len(blocks)
        self.features = c
        self.normalised = tuple(n for n, p in self.named_parameters() if p.dim() == 4)
        _start(self)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.bn1(self.conv1(x)))
        for i in range(self.stages):
            x = getattr(self, f"layer{i + 1}")(x)
        return x.mean((2, 3))


def _start(module: nn.Module) -> None:
    """He initialisation of the convolutions."""
    for m in module.modules():
        if isinstance(m, nn.Conv2d):
            nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")


def load_weights(module: nn.Module, state: dict[str, Tensor], where: str, dropped: tuple[str, ...] = ()) -> None:
    """Load a state dict; what does not fit is named.

    Parameters
    ----------
    dropped : prefixes of entries that this network has no place for by design, e.g. a classifier of other classes

    Raises
    ------
    ValueError : a missing, an unknown or a misshapen entry.
    """
    state = {k: v for k, v in state.items() if not k.startswith(dropped or ("\0",))}
    own = module.state_dict()
    missing = sorted(own.keys() - state.keys())
    unknown = sorted(state.keys() - own.keys())
    other = [k for k in sorted(own.keys() & state.keys()) if own[k].shape != state[k].shape]
    parts = [
        f"{len(names)} {what} (first {names[0]}{detail(names[0])})"
        for what, names, detail in (
            ("missing", missing, lambda k: ""),
            ("unknown", unknown, lambda k: ""),
            (
                "of another shape",
                other,
                lambda k: f": {tuple(state[k].shape)} in the file, {tuple(own[k].shape)} in the network",
            ),
        )
        if names
    ]
    if parts:
        raise ValueError(
            f"{where} does not fit the network: entries {', '.join(parts)}; choose the backbone it was made with"
        )
    with torch.no_grad():
        module.load_state_dict(state)
