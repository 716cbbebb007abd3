"""Choices of the Lie-group networks and their plain baselines; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import BenchError, DataConfig, TrainConfig, option


@dataclass
class Config(TrainConfig):
    """Image classifier of Monte-Carlo convolutions on R^2 x| SL(2), GL+(2) or SO(2), or the plain network of the same build."""

    network: str = option(
        "lie",
        "lie: group convolutions; cnn: ordinary ones, with as many parameters as the group network of the same choices",
        choices=("lie", "cnn"),
    )
    group: str = option(
        "sl2", "what the convolutions, and the equivariance error, are taken under", choices=("sl2", "gl2", "so2")
    )
    samples: int | None = option(None, "samples of the group, drawn anew at every step", low=1)
    channels: int | None = option(None, "channels of the group network, everywhere", low=1)
    blocks: int = option(1, "residual blocks of two convolutions", low=0)
    kernel: int = option(5, "height and width of the kernels, odd", low=1)
    width: int | None = option(None, "hidden width of the kernel networks", low=1)
    sine_layers: int = option(3, "sine layers of the kernel networks", low=1)
    omega: float = option(10.0, "frequency of the sine layers", low=0.0)
    head: int | None = option(None, "hidden width of the classifier", low=1)
    dropout: float | None = option(None, "in the classifier", low=0.0, high=0.99)
    variance: float | None = option(None, "of the symmetric coordinates of the samples", low=0.0)
    sampler: str = option(
        "equidistant",
        "rotations of the samples: equidistant, these turned by one random angle, independent angles, or QR of normal matrices",
        choices=("equidistant", "shifted", "uniform", "haar"),
    )
    angle: str | None = option(
        None,
        "what kernels are told of rotations; chart (null): the angle in [0, 2 pi) of the global chart, where they jump at the "
        "identity; circle: its cosine and sine, where they do not",
        choices=(None, "chart", "circle"),
    )
    importance: bool = option(
        False, "input samples count by the inverse of their density: estimates of the Haar integral"
    )
    eval_draws: int = option(1, "draws of samples whose probabilities are averaged in evaluation", low=1)
    augment: bool = option(False, "training images are moved by maps of the law of the test images")
    batch: int | None = option(None, "images per optimiser step, over all devices together", low=1)  # type: ignore[assignment]
    lr: float | None = option(None, "step size of Adam at the start, cosine down to lr_end", low=0.0)
    lr_end: float = option(1e-7, "step size at the end", low=0.0)
    weight_decay: float | None = option(None, "coupled (L2), on all parameters", low=0.0)
    select: str = option(
        "last", "weights that are tested: last epoch's, or lowest validation loss", choices=("best", "last")
    )
    official_parity: bool = option(
        False,
        "follow the released code where it differs: equidistant rotations with both ends, -pi and pi, which are one rotation twice; "
        "determinants of gl2 indexed along the output samples",
    )
    meter: int | None = option(None, "test images on which the equivariance error is measured; 0: not measured", low=0)
    meter_factor: int | None = option(
        None, "the error is measured again with so many times the samples of the group", low=1
    )

    plugin: ClassVar[str] = "models.lie_decomposition.plugin:LieDecomposition"
    accepts: ClassVar[tuple[str, ...]] = ("image",)
    margin: ClassVar[float] = 0.1

    def fits(self, data: DataConfig) -> str | None:
        if why := super().fits(data):
            return why
        h, w = data.shape()[1:] if hasattr(data, "shape") else (0, 0)
        if h != w:
            return f"{self.name} takes square images, and {data.name} has {h} x {w}"
        least = 3 * self.kernel - 1
        if 0 < h < least:
            return f"{self.name} with method.kernel={self.kernel} takes images of {least} pixels or more, and {data.name} has {h}"
        if self.augment and not hasattr(data, "rotation"):
            return (
                f"{self.name} augments by the law of warped images, and {data.name} has none; set method.augment=false"
            )
        if self.augment and getattr(data, "family", "") != "affine":
            return (
                f"{self.name} augments by affine maps, and {data.name} is tested under others; set method.augment=false"
            )
        return None

    def check(self) -> None:
        if self.kernel % 2 == 0:
            raise BenchError(f"method.kernel={self.kernel} has no centre; take an odd number")
        if self.official_parity and (self.importance, self.angle or "chart", self.sampler) != (
            False,
            "chart",
            "equidistant",
        ):
            raise BenchError(
                "method.official_parity=true goes with method.importance=false, method.angle=chart, method.sampler=equidistant"
            )
