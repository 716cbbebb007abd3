"""Choices of the split into known and novel classes, labelled and unlabelled images; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import BenchError, option
from datasets.images.config import Config as Images

KNOWN = {  # data set: its first classes are known (GCD, Vaze et al., CVPR 2022)
    "digits": 5, "mnist": 5, "cifar10": 5, "cifar10_subset": 5, "cifar100": 80, "imagenet": 500, "imagenet100": 50,
}  # fmt: skip
LISTED = {  # data set: where the file with its known classes comes from
    "cub": "the Semantic Shift Benchmark", "cars": "the Semantic Shift Benchmark", "aircraft": "the Semantic Shift Benchmark",
    "herbarium": "the code of GCD (herbarium_19_class_splits.pkl)",
}  # fmt: skip


@dataclass
class Config(Images):
    """Generalised category discovery: labelled images of known classes, and unlabelled ones of known and novel classes together.

    Each fold is a draw of the labelled images. Only training images of the publisher are used; n_test and val_share have no use.
    """

    known: int | None = option(None, "known classes: the first so many; null: the usual rule of the data set", low=1)
    known_file: str | None = option(
        None,
        "file under the data root with the known classes: a class index or name on each line, a JSON list, or the pickle of "
        "the Semantic Shift Benchmark (parsed, not executed)",
    )
    labelled: float = option(0.5, "share of the images of known classes that have labels", low=0.001, high=0.999)
    by_class: bool = option(False, "draw that share in each known class, not in all of them together")
    augment: str = option(
        "none",
        "crops: two views of each training image, resized to image_size / 0.875, cropped at random and mirrored at random; none: one "
        "plain image, of which the method makes its views",
        choices=("none", "crops"),
    )

    adapter: ClassVar[str] = "datasets.categories.adapter:load"
    kind: ClassVar[str] = "partly_labelled"

    def check(self) -> None:
        super().check()
        if self.known is not None and self.known_file:
            raise BenchError("data.known and data.known_file exclude each other; give one of them")
        if self.n_test is not None:
            raise BenchError("data.n_test has no use here: the unlabelled images are what is scored; set it to null")
        if self.known is not None and self.facts.classes and self.known >= self.facts.classes:
            raise BenchError(
                f"data.known={self.known} leaves no novel class of {self.facts.classes} to the unlabelled images; lower it"
            )
        if self.augment == "crops" and self.image_size is None:
            raise BenchError("data.augment=crops needs the size of the crops; set data.image_size, e.g. to 224")
