"""Choices of manifold linearizing and clustering; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from bench.schema import BenchError, option
from models.clustering.config import SubspaceConfig

BACKBONES = ("mlp", "small_cnn", "resnet18")
VIEWS = ("noise", "affine", "simclr")
USUAL = {"dim": 16, "eta": 0.15, "kernel": "inner", "optimiser": "adam", "weight_decay": 0.0, "cluster_decay": 0.0,
         "tcr_lr": 1e-3, "mlc_lr": 3e-4, "tcr_steps": 200, "mlc_steps": 60}  # fmt: skip


@dataclass
class Config(SubspaceConfig):
    """Learns features in orthogonal subspaces and a doubly stochastic membership together, and clusters the membership."""

    backbone: str | None = option(None, "null: mlp for vectors, resnet18 for images", choices=BACKBONES)
    width: int | None = option(
        None, "of the mlp's two hidden layers (null: 256) or the CNN's first (null: 32; 64)", low=1
    )
    hidden: int | None = option(None, "width of Linear-BN-ReLU-Linear-ReLU before the heads; null: none", low=1)
    dim: int | None = option(None, "d, dimension of the features; null: 16", low=1)
    eps2: float = option(0.1, "e^2, squared distortion of the coding rates", low=1e-6)
    eta: float | None = option(None, "weight of the entropy of the membership; null: 0.15", low=1e-6)
    kernel: str | None = option(
        None, "of the membership: inner <c_i, c_j>, abs its absolute value; null: inner", choices=("inner", "abs")
    )
    gradient: str = option(
        "steps",
        "of the membership in training: steps, through sinkhorn_steps half-iterations; implicit, of the converged one",
        choices=("steps", "implicit"),
    )
    sinkhorn_steps: int = option(21, "half-iterations in training; odd: rows are exact", low=1)
    views: str | None = option(
        None,
        "noise: Gaussian of standard deviation noise; affine: small rotations, scalings, shifts and noise; simclr: crops, mirroring, "
        "colours; null: noise for vectors, affine for images",
        choices=VIEWS,
    )
    noise: float = option(0.05, "standard deviation of the noise of a view, in units of the network's input", low=0.0)
    augmentations: int = option(2, "A, views of each sample in the second stage", low=1)
    invariance: float = option(100.0, "lambda, weight of the mean |<z_i, z_i'>| in the first stage", low=0.0)
    optimiser: str | None = option(None, "of both stages; null: adam", choices=("adam", "sgd"))
    momentum: float = option(0.9, "of sgd", low=0.0, high=1.0)
    weight_decay: float | None = option(None, "of all weights but the cluster head's; null: 0", low=0.0)
    cluster_decay: float | None = option(None, "weight decay of the cluster head; null: 0", low=0.0)
    tcr_steps: int | None = option(None, "optimiser steps of the first stage (self-supervised); null: 200", low=0)
    tcr_batch: int | None = option(None, "samples of a step of the first stage; null: all", low=2)
    tcr_lr: float | None = option(None, "step size of the first stage; null: 1e-3", low=0.0)
    mlc_steps: int | None = option(None, "optimiser steps of the second stage; 0: the first alone; null: 60", low=0)
    mlc_batch: int | None = option(None, "samples of a step of the second stage; null: all", low=2)
    mlc_lr: float | None = option(None, "step size of the second stage; null: 3e-4", low=0.0)
    official_parity: bool = option(
        False,
        "loss of the released successor CPP: rates with factor 1/2, |<c_i, c_j>|, 5 half-iterations with constant column potentials, and "
        "0.025 |Gamma|_F^2",
    )
    most: int = option(4000, "samples of the membership that is clustered; others follow by its eigenvectors", low=10)
    labels: str = option(
        "gamma",
        "clusters from the membership, or from the features alone",
        choices=("gamma", "kmeans", "ensc", "ssc_omp"),
    )

    plugin: ClassVar[str] = "models.mlc.plugin:MLC"
    accepts: ClassVar[tuple[str, ...]] = ("clustering",)
    margin: ClassVar[float] = 0.1

    def settled(self, shape: tuple[int, ...]) -> Config:
        """These choices with every null that means a value filled in, for samples of this shape."""
        vector = len(shape) == 1
        usual = USUAL | {"backbone": "mlp" if vector else "resnet18", "views": "noise" if vector else "affine"}
        return replace(self, **{k: v for k, v in usual.items() if getattr(self, k) is None})

    def parts(self) -> tuple[str, ...]:
        """Spectral clustering lives with the baselines, the CNNs' normalisation with the image classifier."""
        return ("clustering", "image_classifier", "evonorm")

    def check(self) -> None:
        if self.gradient == "steps" and self.sinkhorn_steps % 2 == 0 and not self.official_parity:
            raise BenchError(
                f"method.sinkhorn_steps={self.sinkhorn_steps} leaves the rows inexact, and the objective takes each row as one "
                "membership of weight 1; give an odd number"
            )
        if self.official_parity and self.gradient == "implicit":
            raise BenchError("method.official_parity takes 5 half-iterations; set method.gradient=steps with it")
