"""Choices of SHS-Net; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import BenchError, MethodConfig, option


@dataclass
class Config(MethodConfig):
    """A patch encoder and a shape encoder whose codes together give a normal and the side it points to."""

    patch: int | None = option(None, "nearest points of the query that the patch encoder sees", low=16)
    sample: int | None = option(None, "points of the whole cloud that the shape encoder sees", low=8)
    neighbours: int | None = option(None, "nearest neighbours of the graph convolutions in the patch", low=2)
    width: int | None = option(
        None,
        "channels behind the first layers, all others in proportion; the paper has 128",
        choices=(None, 32, 64, 128),
    )
    global_code: bool = option(True, "false: the code of the whole cloud is zero, and only the patch decides")
    signs: str = option(
        "arbitrary",
        "signs of the principal axes; arbitrary: as the eigenvectors come; moment: third moments about the query positive",
        choices=("arbitrary", "moment"),
    )
    epochs: int | None = option(None, "passes; one pass is `patches` random points of each training cloud", low=1)
    patches: int | None = option(None, "patches of each training cloud and epoch, on average", low=1)
    batch: int | None = option(None, "patches per optimiser step", low=2)
    steps: int | None = option(None, "stop after this many optimiser steps; null: after all epochs", low=1)
    lr: float | None = option(None, "step size of Adam", low=0.0)
    drops: list[float] = option(
        lambda: [0.5, 0.75], "shares of the epochs after which the step size is multiplied by 0.2, never below 1e-6"
    )
    meter: int = option(8, "test patches on which the equivariance errors are measured, in float64", low=1)
    official_parity: bool = option(
        False,
        "as released: axes by a float32 singular value decomposition; the first of k + 1 neighbours is dropped, whichever it is",
    )

    plugin: ClassVar[str] = "models.shs_net.plugin:SHS"
    accepts: ClassVar[tuple[str, ...]] = ("oriented_clouds",)
    margin: ClassVar[float] = 20.0  # degrees

    def check(self) -> None:
        if self.patch and self.neighbours and self.neighbours >= self.patch:
            raise BenchError(
                f"method.neighbours={self.neighbours} must be below method.patch={self.patch}; lower one or raise the other"
            )
        if self.signs == "moment" and self.official_parity:
            raise BenchError("method.signs=moment is this project's; method.official_parity=true needs signs=arbitrary")
