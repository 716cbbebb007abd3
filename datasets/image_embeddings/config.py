"""Choices of image embeddings; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import BenchError, option
from datasets.images.config import Config as Images


@dataclass
class Config(Images):
    """Vectors that a fixed network gives for the images of any data set here, computed once and kept by content."""

    backbone: str = option("torchvision/resnet18", "torchvision/<model> or timm/<model>, without its classifier")
    weights: str | None = option(
        None,
        "file with a state dict (tensors only), or download; null, and for stand-in images: random, the same every time",
    )
    embed_batch: int = option(64, "images that go through the network together", low=1)

    adapter: ClassVar[str] = "datasets.image_embeddings.adapter:load"
    kind: ClassVar[str] = "embedding"

    def check(self) -> None:
        super().check()
        if self.augment != "none":
            raise BenchError(
                f"data.augment={self.augment} has no use for embeddings, which are computed once; set it to none"
            )
        library, _, model = self.backbone.partition("/")
        if library not in ("torchvision", "timm") or not model:
            raise BenchError(f"data.backbone={self.backbone} must be torchvision/<model> or timm/<model>")
