"""Choices of the image classifier; imports nothing heavy.

Heads, normalisations and optimisers are tables: a paper's folder joins by one line that names its factory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import BenchError, DataConfig, TrainConfig, option

HEADS = {  # name: factory(features, n_out, cfg) -> module from features (N, D) to scores (N, n_out)
    "linear": "models.image_classifier.heads:linear",
    "cosine": "models.image_classifier.heads:cosine",
    "grassmann": "models.gcr.head:grassmann_head",
    "equiangular": "models.ebv.head:equiangular",
}
NORMS = {  # name: the module that holds its layers
    "bn_relu": "models.image_classifier.norms",
    "gn_relu": "models.image_classifier.norms",
    "evonorm_b0": "models.evonorm.layers",
    "evonorm_s0": "models.evonorm.layers",
}
OPTIMISERS = {  # name: factory(parameter groups, cfg) -> torch optimiser of the Euclidean parameters
    "sgd": "models.image_classifier.optimisers:sgd",
    "sgdp": "models.adamp.recipe:sgdp",
    "adam": "models.image_classifier.optimisers:adam",
    "adamw": "models.image_classifier.optimisers:adamw",
    "adamp": "models.adamp.recipe:adamp",
    "lamb": "models.image_classifier.optimisers:lamb",
}
MANIFOLDS = {  # manifold that a head's weights declare: factory(parameters, cfg) -> torch optimiser, in the folder of that head
    "grassmann": "models.gcr.optim:optimiser",
}
CONVNETS = ("small_cnn", "preact_resnet", "resnet18", "resnet50", "resnet50_d", "resnet101_d", "resnet152_d")
TRANSFORMERS = {  # backbone: its name in timm
    "vit_s16": "vit_small_patch16_224",
    "vit_b16": "vit_base_patch16_224",
    "deit_s16": "deit_small_patch16_224",
    "deit3_s16": "deit3_small_patch16_224",
    "swin_t": "swin_tiny_patch4_window7_224",
}
LIBRARY = {  # networks with a normalisation of their own, by their name in timm
    **TRANSFORMERS,
    "mobilenet_v2": "mobilenetv2_100",
    "vgg13_bn": "vgg13_bn",
    "resnext50": "resnext50_32x4d",
}


@dataclass
class Config(TrainConfig):
    """Image classifier: backbone, normalisation-activation, head and optimiser by choice."""

    backbone: str | None = option(
        None,
        "network up to the features; null: small_cnn for images, none for vectors, which are features already",
        choices=(*CONVNETS, *LIBRARY, "none"),
    )
    stem: str | None = option(
        None,
        "first layers of a ResNet; null: cifar up to 64 pixels, else imagenet (deep in the D variants)",
        choices=("cifar", "imagenet", "deep"),
    )
    width: int | None = option(
        None, "channels of the first stage; null: small_cnn 32, preact_resnet 16, ResNets 64", low=1
    )
    norm: str | None = option(
        None,
        "normalisation and activation of a convolutional network, everywhere; null: bn_relu (networks of timm keep their own)",
        choices=tuple(NORMS),
    )
    groups: int | None = option(None, "groups of gn_relu and evonorm_s0, lowered to a divisor; null: 32", low=1)
    head: str = option("linear", "from features to class scores", choices=tuple(HEADS))
    scale: float = option(25.0, "factor of the cosines of the cosine and grassmann heads", low=0.0)
    subspace_dim: int = option(8, "grassmann: dimension of the subspace of each class", low=1)
    grassmann_optimiser: str = option("sgd", "of subspaces: Riemannian SGD or Adam", choices=("sgd", "adam"))
    grassmann_lr: float | None = option(
        None, "step size of subspaces after warm-up, on the schedule of the others; null: that of the others", low=0.0
    )
    reorth_step: int = option(5, "subspaces: steps from one re-orthonormalisation of the bases to the next", low=1)
    gcr_official_momentum: bool | None = option(
        None,
        "subspaces: Euclidean momentum that is never transported, as in the authors' code; null: as official_parity",
    )
    basis: str = option(
        "equiangular", "equiangular: the fixed class vectors", choices=("equiangular", "random", "simplex")
    )
    basis_dim: int | None = option(None, "equiangular: dimension of the class vectors; null: number of classes", low=1)
    max_cos: float | None = option(
        None, "equiangular: |cosine| that no pair of class vectors exceeds; null: as low as found", low=0.0, high=1.0
    )
    basis_seed: int = option(42, "equiangular: seed of the generator, the same for every fold and seed", low=0)
    basis_steps: int = option(4000, "equiangular: steps of the generator at most", low=1)
    temperature: float = option(0.07, "equiangular: divisor of the cosines", low=1e-6)
    optimiser: str = option("sgd", "of all Euclidean parameters", choices=tuple(OPTIMISERS))
    batch: int | None = option(None, "images per optimiser step, over all devices together", low=1)  # type: ignore[assignment]
    accumulate: int = option(1, "parts in which a batch is computed, for batches that do not fit into memory", low=1)
    lr: float | None = option(None, "step size after warm-up; null: 0.1", low=0.0)
    lr_batch: int | None = option(
        None, "batch that lr is meant for: lr is scaled linearly to method.batch; null: as given", low=1
    )
    schedule: str | None = option(
        None, "of the step size, after warm-up; null: cosine", choices=("cosine", "constant", "step")
    )
    lr_end: float = option(0.0, "cosine: last step size, as a share of lr", low=0.0, high=1.0)
    step_epochs: int = option(30, "step: the step size falls to a tenth every so many epochs", low=1)
    warmup_epochs: float | None = option(None, "linear warm-up from a hundredth of lr (epochs); null: none", low=0.0)
    momentum: float = option(0.9, "of sgd and sgdp", low=0.0, high=0.999)
    nesterov: bool = option(False, "of sgd, sgdp and adamp")
    betas: list[float] = option(lambda: [0.9, 0.999], "of adam, adamw, adamp and lamb")
    weight_decay: float | None = option(None, "coupled in sgd and adam, decoupled in the others; null: 0", low=0.0)
    decay_all: bool = option(True, "decay also tensors of one dimension: biases, scales of normalisations")
    delta: float = option(0.1, "bound of the cosine test of sgdp and adamp", low=0.0)
    wd_ratio: float = option(0.1, "factor of the decay of projected tensors, sgdp and adamp", low=0.0, high=1.0)
    clip: float | None = option(None, "largest norm of the gradient; null: not clipped", low=0.0)
    label_smoothing: float | None = option(
        None, "share of the target spread over all classes; null: none", low=0.0, high=0.99
    )
    loss: str = option(
        "cross_entropy",
        "softmax cross-entropy, or the sum of binary ones over classes",
        choices=("cross_entropy", "bce"),
    )
    mixup: float | None = option(
        None,
        "Mixup of images and targets, parameter of its Beta distribution; with cutmix each batch takes one of the two",
        low=1e-6,
    )
    cutmix: float | None = option(None, "CutMix, parameter of its Beta distribution; null: none", low=1e-6)
    repeats: int = option(
        1,
        "repeated augmentation: consecutive views of each image, an epoch taking that many fewer images (Hoffer et al. 2020)",
        low=1,
    )
    drop_path: float = option(
        0.0, "stochastic depth of ResNets and networks of timm: rate of the last block", low=0.0, high=0.9
    )
    ema: float | None = option(
        None, "decay of the moving average of weights, which is then what is tested", low=0.0, high=1.0
    )
    channels_last: bool = option(False, "memory layout of images and convolutions: the usual one on GPUs")
    compiled: bool = option(
        False,
        "compile the network (torch.compile) for training and evaluation; EvoNorm gains most; needs a C++ compiler on CPUs",
    )
    weights: str | None = option(
        None, "file with a state dict of the backbone (torch.save, tensors only) to start from; null: random"
    )
    select: str = option(
        "last", "weights that are tested: last epoch's, or lowest validation loss", choices=("best", "last")
    )
    feature_metrics: bool = option(
        False,
        "measure the features: angle within classes, separation, and a linear probe where the data have other classes",
    )
    official_parity: bool = option(
        False,
        "follow the authors' code where it differs (sgdp: the momentum buffer is projected, too; grassmann: momentum, signs of the QR "
        "decomposition; equiangular: the released generator)",
    )

    plugin: ClassVar[str] = "models.image_classifier.plugin:ImageClassifier"
    accepts: ClassVar[tuple[str, ...]] = ("image", "embedding")
    margin: ClassVar[float] = 0.1

    def parts(self) -> tuple[str, ...]:
        paths = [HEADS[self.head], NORMS[self.norm or "bn_relu"], OPTIMISERS[self.optimiser]]
        folders = dict.fromkeys(path.split(".")[1] for path in paths)
        return tuple(f for f in folders if f not in ("image_classifier", "nn", "geometry"))

    def fits(self, data: DataConfig) -> str | None:
        if why := super().fits(data):
            return why
        if data.kind == "embedding" and (self.backbone or "none") != "none":
            return f"{self.name} puts {self.backbone} before its head, and {data.name} has vectors; set method.backbone=none"
        if data.kind == "embedding" and (self.mixup or self.cutmix):
            return f"method.mixup and cutmix mix images, and {data.name} has vectors; leave them null"
        if data.kind == "embedding" and self.repeats > 1:
            return f"method.repeats={self.repeats} takes other views of an image, and {data.name} has vectors; leave it at 1"
        if self.backbone not in LIBRARY:
            return None
        size = data.shape()[1] if hasattr(data, "shape") else 224
        return (
            f"{self.backbone} takes images of 32 pixels or more, and {data.name} has {size}" if 0 < size < 32 else None
        )

    def check(self) -> None:
        if self.batch is None:
            raise BenchError("method.batch is null: give it a value or an entry under `at`")
        if self.batch % self.accumulate:
            raise BenchError(f"method.accumulate={self.accumulate} must divide method.batch={self.batch}")
        if self.backbone == "none" and (self.norm or self.width or self.stem):
            raise BenchError(
                "method.norm, width and stem are for convolutional networks; method.backbone=none has no layers"
            )
        if self.backbone in LIBRARY and (self.norm or self.width or self.stem):
            raise BenchError(
                f"method.norm, width and stem are for this project's networks; {self.backbone} keeps its own, leave them null"
            )
        if self.drop_path and self.backbone in (None, "none", "small_cnn", "preact_resnet", "vgg13_bn"):
            raise BenchError(
                f"method.drop_path is for ResNets and transformers, not for {self.backbone or 'the default network'}; set it to 0"
            )
        if len(self.betas) != 2 or not all(0 <= b < 1 for b in self.betas):
            raise BenchError(f"method.betas={self.betas} must be two numbers in [0, 1)")
        if self.nesterov and self.optimiser not in ("sgd", "sgdp", "adamp"):
            raise BenchError(f"method.nesterov is for sgd, sgdp and adamp, not for {self.optimiser}; set it to false")
        if self.nesterov and self.head == "grassmann":
            raise BenchError("method.nesterov is not defined for subspaces (method.head=grassmann); set it to false")
        if self.official_parity and self.head == self.basis == "equiangular" and self.max_cos is None:
            raise BenchError(
                "method.max_cos is null: the released generator (official_parity) runs until it is reached, give it"
            )
        if self.ema is not None and self.ema >= 1:
            raise BenchError("method.ema=1 never takes a new weight; use a decay below 1, e.g. 0.999")
