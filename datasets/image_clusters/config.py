"""Choices of the images to cluster; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import BenchError
from datasets.images.config import Config as Images


@dataclass
class Config(Images):
    """Images without a split: all of them, the training part where the publisher made one, or n_train of these by fold."""

    adapter: ClassVar[str] = "datasets.image_clusters.adapter:load"
    kind: ClassVar[str] = "clustering"

    def check(self) -> None:
        super().check()
        if self.n_test is not None or self.val_share:
            raise BenchError(
                "data.n_test and data.val_share split images, and clustering takes a whole set: leave n_test null and val_share 0"
            )
        if self.augment != "none" or self.erase:
            raise BenchError(
                f"data.augment={self.augment}, data.erase={self.erase} are not offered for clustering: methods make their own views; "
                "use none and 0"
            )
        if self.lazy():
            raise BenchError(
                f"data.dataset={self.dataset} stays in files; clustering takes images in memory, e.g. digits"
            )
