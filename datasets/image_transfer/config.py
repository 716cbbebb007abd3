"""Choices of the split into classes to learn and classes to transfer to; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import BenchError, option
from datasets.images.config import Config as Images


@dataclass
class Config(Images):
    """An image data set whose first classes are learned; the images of the others are kept for a linear probe of the features."""

    learned: int = option(5, "classes that are learned, the first ones", low=2)

    adapter: ClassVar[str] = "datasets.image_transfer.adapter:load"

    def check(self) -> None:
        super().check()
        if self.augment != "none" or self.erase:
            raise BenchError(
                f"data.augment={self.augment}, data.erase={self.erase} are not offered with a transfer split; use none and 0"
            )
        if self.facts.classes and self.learned > self.facts.classes - 2:
            raise BenchError(
                f"data.learned={self.learned} leaves fewer than two of {self.facts.classes} classes to transfer to; lower it"
            )
