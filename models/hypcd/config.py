"""Choices of category discovery on the sphere and on the Poincare ball; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import BenchError, TrainConfig, option

VITS = {  # backbone: its name in timm
    "vit_b16": "vit_base_patch16_224.dino",
    "vit_b14": "vit_base_patch14_dinov2.lvd142m",
    "vit_s16": "vit_small_patch16_224.dino",
}


@dataclass
class Config(TrainConfig):
    """GCD, SimGCD and their hyperbolic forms: contrastive learning on labelled and unlabelled images, then clusters or a classifier."""

    space: str = option(
        "sphere",
        "where features are compared: sphere (cosines), ball (cosines and distances)",
        choices=("sphere", "ball"),
    )
    parametric: bool = option(
        False, "SimGCD: a classifier of all classes; false, GCD: k-means on the features of the backbone"
    )
    backbone: str | None = option(
        None,
        "network up to the features; null: digits_cnn below 64 pixels, vit_b16 (DINO) from there on, none for vectors",
        choices=("digits_cnn", *VITS, "none"),
    )
    layer_norm: bool = option(False, "digits_cnn: normalise its output, as the last layer of a transformer does")
    weights: str | None = option(
        None, "of the backbone: file with a state dict (tensors only), or download; null: random"
    )
    tuned_blocks: int | None = option(
        None, "last blocks of a transformer that are trained; null: all of the network", low=1
    )
    head: list[int] | None = option(
        None, "widths of the projection head after the backbone's; null: 256, 64; empty: none (Hyp-SimGCD has none)"
    )
    prototypes: int | None = option(
        None, "GCD: outputs of a weight-normalised layer after the head; null: no such layer", low=1
    )
    head_init: str | None = option(
        None,
        "weights of the head: normal (deviation 0.02, biases 0), uniform (as nn.Linear); null: normal",
        choices=("normal", "uniform"),
    )
    c: float = option(0.05, "ball: curvature -c")
    clip: float = option(2.3, "ball: longest feature (r of the paper)", low=1e-6)
    alpha_max: float = option(
        1.0, "ball: weight of the distance loss at the end; it grows linearly with the epochs", low=0.0, high=1.0
    )
    supervised_weight: float = option(0.35, "weight of the supervised losses", low=0.0, high=1.0)
    temperature: float = option(1.0, "of the unsupervised contrastive loss", low=1e-6)
    temperature_labelled: float = option(0.07, "of the supervised contrastive loss", low=1e-6)
    angle_scale: float = option(
        1.0, "ball: factor of both temperatures in the angle losses (0.3 to 0.4 in the code of Hyp-SimGCD)", low=1e-6
    )
    student_temperature: float = option(0.1, "parametric: divisor of the logits", low=1e-6)
    teacher_start: float = option(0.07, "parametric: temperature of the teacher in the first epoch", low=1e-6)
    teacher_end: float = option(0.04, "parametric: the same after the warm-up", low=1e-6)
    teacher_epochs: int | None = option(
        None, "parametric: epochs of this linear warm-up; null: 15 of 100 epochs", low=1
    )
    entropy_weight: float = option(1.0, "parametric: weight of the entropy of the mean prediction (xi)", low=0.0)
    bias_curvature: str | None = option(
        None,
        "ball, parametric: curvature in which the bias is added; null: as official_parity",
        choices=("paper", "official"),
    )
    kmeans: str | None = option(
        None,
        "not parametric: semi (labelled images keep their class), plain (on unlabelled images alone); null: as official_parity",
        choices=("semi", "plain"),
    )
    restarts: int | None = option(None, "of k-means", low=1)
    batch: int = option(128, "images per optimiser step, two views of each", low=2)
    lr: float | None = option(None, "step size of SGD in the first epoch; cosine, by epoch", low=0.0)
    lr_end: float = option(1e-3, "last step size as a share of lr", low=0.0, high=1.0)
    lr_classifier: float = option(
        0.01, "ball, parametric: step size of Adam for the hyperbolic classifier, constant", low=0.0
    )
    momentum: float = option(0.9, "of SGD", low=0.0, high=0.999)
    weight_decay: float = option(5e-5, "of SGD; parametric: not of biases and other vectors", low=0.0)
    shift: int = option(1, "views of images that come singly: rolled by up to so many pixels in each axis", low=0)
    gain: float = option(0.2, "the same: multiplied by U(1 - gain, 1 + gain)", low=0.0, high=0.99)
    noise: float = option(
        0.1, "the same: Gaussian noise, in units of white (vectors: of the root mean square entry)", low=0.0
    )
    select: str = option(
        "last", "weights that are tested: there is no validation split, so the last", choices=("best", "last")
    )
    official_parity: bool = option(
        False,
        "follow the released code: its distance with 1e-5 in the denominator and as clamp, its clip, the bias added at curvature 1, "
        "k-means on unlabelled images alone",
    )

    plugin: ClassVar[str] = "models.hypcd.plugin:CategoryDiscoverer"
    accepts: ClassVar[tuple[str, ...]] = ("partly_labelled",)
    margin: ClassVar[float] = 0.1

    def parts(self) -> tuple[str, ...]:
        return ("image_classifier",)  # two optimisers as one

    def check(self) -> None:
        if not self.c > 0:
            raise BenchError(
                f"method.c={self.c} must be positive: the ball has curvature -c; method.space=sphere has no distances"
            )
        if self.weights and self.backbone in ("digits_cnn", "none"):
            raise BenchError(f"method.weights is for transformers; {self.backbone} starts at random")
        if self.head is not None and any(w < 1 for w in self.head):
            raise BenchError(f"method.head={self.head} must be widths of layers, e.g. [256,64]")
        if self.prototypes and (self.space == "ball" or self.parametric):
            raise BenchError("method.prototypes belongs to GCD on the sphere; leave it null")
        if self.parametric and self.space == "ball" and self.head:
            raise BenchError(
                "method.head: Hyp-SimGCD compares the features of the backbone themselves; leave it null or empty"
            )

    def bias_mode(self) -> str:
        return self.bias_curvature or ("official" if self.official_parity else "paper")

    def kmeans_mode(self) -> str:
        return self.kmeans or ("plain" if self.official_parity else "semi")
