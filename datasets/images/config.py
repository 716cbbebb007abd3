"""Choices of the image data sets; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from bench.schema import BenchError, DataConfig, File, option
from datasets.images.catalog import CATALOG, LAZY, Facts

AUGMENT = ("none", "shift", "crop_flip", "rrc_flip", "trivial", "rand", "three")


@dataclass
class TwinConfig:
    """The compositional stand-in: a class is a choice of one part in each cell of a 2 x 2 grid."""

    seed: int = option(0, "seed of parts, codes and samples", low=0)
    n_train: int | None = option(None, "training images; null: 600", low=2)
    n_test: int | None = option(None, "test images; null: 300", low=1)
    classes: int | None = option(None, "classes; null: as many as the real data have, at most 20", low=2)
    parts: int = option(4, "different parts for each cell; parts ** 4 must reach the number of classes", low=2)
    noise: float = option(0.25, "standard deviation of pixel noise, in units of a part's contrast", low=0)
    jitter: float = option(0.1, "largest displacement of a part, as a share of a cell", low=0, high=0.5)

    def sizes(self) -> tuple[int, int]:
        """(training images, test images)."""
        return self.n_train or 600, self.n_test or 300


class _OfDataSet:
    """A fact of the chosen data set; of the class as a whole, nothing can be said."""

    def __init__(self, fact: str) -> None:
        self.fact = fact

    def __get__(self, config: Config | None, owner: type) -> str:
        return "" if config is None else getattr(config.facts, self.fact)


@dataclass
class Config(DataConfig):
    """Images (channels, height, width), uint8, with class labels. Each fold is another draw of the split or subset."""

    dataset: str = option("digits", "which images; folder: your own, in class folders", choices=tuple(CATALOG))
    folder: str | None = option(None, "folder under the data root; null: the usual one")
    train_list: str | None = option(
        None, "for folders: file under the folder with lines `path label`; null: class folders"
    )
    test_list: str | None = option(None, "for folders: the same for the test images")
    image_size: int | None = option(None, "height and width after resizing; null: as stored", low=4)
    channels: int | None = option(None, "1 grey, 3 colour: converted; null: as stored", low=1, high=3)
    n_train: int | None = option(
        None, "training images that are kept, class shares as they are; null: all of them", low=2
    )
    n_test: int | None = option(
        None,
        "test images: drawn where there is no official test set (null: half), else the first ones (null: all)",
        low=1,
    )
    val_share: float = option(
        0.1, "share of each class of the training images held out for validation", low=0, high=0.5
    )
    splits: int = option(1, "number of folds: seeds of the draws of test, subset and validation", low=1)
    augment: str = option(
        "none",
        "training images: shift (by up to 1/8), crop_flip (pad 1/8, crop, mirror), rrc_flip (random resized crop, mirror), "
        "and after these trivial (TrivialAugmentWide), rand (RandAugment, two operations), three (3-Augment of DeiT III)",
        choices=AUGMENT,
    )
    magnitude: float = option(7.0, "of rand, out of 10", low=0.0, high=10.0)
    erase: float = option(
        0.0,
        "share of training images of which a rectangle is erased, to the mean that networks subtract",
        low=0.0,
        high=1.0,
    )
    train_size: int | None = option(
        None, "side of training images after rrc_flip, trivial, rand or three, where it differs from image_size", low=4
    )
    test_crop: float = option(
        0.875,
        "for photographs: side of the central square that is tested, as a share of the shorter side",
        low=0.1,
        high=1.0,
    )
    normalise: str = option(
        "statistics",
        "mean and deviation of each channel that a network subtracts and divides by: of the training images, of ImageNet, "
        "1/2 and 1/2, or none",
        choices=("statistics", "imagenet", "half", "none"),
    )
    verify: str = option(
        "full",
        "for folders: decode every image once before the first use, or read headers only",
        choices=("full", "header"),
    )
    skip_bad: bool = option(False, "go on without images that cannot be read; false: they are named and the run ends")
    twin: TwinConfig = option(TwinConfig, "the simulator that stands in")

    stand_in: ClassVar[tuple[str, ...]] = ("twin",)
    adapter: ClassVar[str] = "datasets.images.adapter:load"
    kind: ClassVar[str] = "image"
    licence: ClassVar[str] = _OfDataSet("licence")  # type: ignore[assignment]
    citation: ClassVar[str] = _OfDataSet("citation")  # type: ignore[assignment]

    @property
    def facts(self) -> Facts:
        return CATALOG[self.dataset]

    def folds(self) -> list[str]:
        return [f"split{i}" for i in range(self.splits)]

    def lazy(self) -> bool:
        """Whether images stay in their files until a batch needs them."""
        return self.facts.layout in LAZY

    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) that the images have after the choices; 0 where only the files know."""
        c, h, w = self.facts.shape
        return self.channels or c, self.image_size or h, self.image_size or w

    def home(self, root: Path) -> Path:
        return root / (self.folder or self.facts.folder)

    def available(self) -> tuple[str, ...]:
        return ("synthetic",) if self.facts.layout == "none" else ("real", "synthetic")

    def files(self) -> tuple[File, ...]:
        """What can be fetched; local copies in the publisher's other layouts are found, too (see readers.py)."""
        return () if self.folder else self.facts.files

    def present(self, root: Path, cache: Path) -> bool:
        from datasets.images.places import found

        return found(self, root)

    def where(self, root: Path, cache: Path) -> str:
        return "scikit-learn" if self.facts.layout == "digits" else str(self.home(root))

    def check(self) -> None:
        if self.dataset == "folder" and not self.folder and self.source != "synthetic":
            raise BenchError("data.folder is null: name the folder under the data root that holds the class folders")
        if self.train_size and self.augment in ("none", "shift", "crop_flip"):
            raise BenchError(
                f"data.train_size is for random resized crops, and data.augment={self.augment} has none; use e.g. rrc_flip"
            )
        if self.test_crop != 0.875 and not self.lazy():
            raise BenchError(
                f"data.test_crop is for photographs; the images of {self.name} are resized whole, leave it out"
            )
        if self.magnitude != 7.0 and self.augment != "rand":
            raise BenchError(f"data.magnitude is of rand, and data.augment={self.augment}; leave it out")
        if self.channels == 2:
            raise BenchError("data.channels=2 is no kind of image; use 1 (grey), 3 (colour) or null (as stored)")
        if self.lazy() and self.image_size is None:
            raise BenchError(
                f"data.image_size is null and the images of {self.name} differ in size; set it, e.g. to 224"
            )
        if bool(self.train_list) != bool(self.test_list):
            raise BenchError("data.train_list and data.test_list go together: give both or none")
        if (self.train_list or self.test_list) and self.facts.layout != "classes":
            raise BenchError(f"data.train_list is for class folders; {self.name} has split files of its own")
        classes = self.twin.classes or 2
        if self.twin.parts**4 < classes:
            raise BenchError(
                f"data.twin.parts={self.twin.parts} gives {self.twin.parts**4} codes and data.twin.classes={classes} "
                "need one each; raise parts"
            )
