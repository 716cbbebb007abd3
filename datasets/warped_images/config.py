"""Choices of the warped images; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from bench.schema import BenchError, File, option
from datasets.images.config import Config as Images


@dataclass
class Config(Images):
    """Images on a larger canvas: training images as they are, validation and test images moved by random maps of the plane.

    The test split holds every image upright once, then `draws` times moved. Nothing is resampled twice.
    """

    dataset: str = option("digits", "which images are warped", choices=("digits", "mnist", "twin"))
    normalise: str = option("half", "half: values in [-1, 1]; or none", choices=("half", "none"))
    canvas: int | None = option(None, "height and width of the result", low=8)
    size: int | None = option(None, "height and width of the untransformed image on the canvas; null: as stored", low=4)
    family: str = option("affine", "maps of the plane", choices=("affine", "homography"))
    rotation: float | None = option(None, "affine: largest angle either way (degrees)", low=0.0, high=180.0)
    shear: float | None = option(None, "affine: largest shear either way", low=0.0, high=1.0)
    scale_low: float | None = option(None, "affine: least factor along each axis, drawn for each by itself", low=0.1)
    scale_high: float | None = option(None, "affine: largest factor", low=0.1)
    corners: float = option(
        0.15, "homography: displacement of each corner of the canvas, as a share of it", low=0.0, high=0.24
    )
    shift: str = option(
        "none", "translation: none, or anywhere on the canvas that keeps all ink (affNIST)", choices=("none", "inside")
    )
    draws: int | None = option(None, "maps for each test image", low=1)
    original: bool = option(
        False,
        "read affNIST's own .mat files under `folder`: just_centered/ for training, transformed/ for validation and test",
    )

    adapter: ClassVar[str] = "datasets.warped_images.adapter:load"

    def shape(self) -> tuple[int, int, int]:
        return self.channels or self.facts.shape[0], self.canvas or 0, self.canvas or 0

    def files(self) -> tuple[File, ...]:
        return () if self.original else super().files()

    def present(self, root: Path, cache: Path) -> bool:
        if not self.original:
            return super().present(root, cache)
        home = root / (self.folder or "affNIST")
        return (home / "just_centered").is_dir() and (home / "transformed").is_dir()

    def where(self, root: Path, cache: Path) -> str:
        return str(root / (self.folder or "affNIST")) if self.original else super().where(root, cache)

    def check(self) -> None:
        super().check()
        empty = [
            f for f in ("canvas", "rotation", "shear", "scale_low", "scale_high", "draws") if getattr(self, f) is None
        ]
        if empty:
            raise BenchError(f"data.{empty[0]} is null: give it a value or an entry under `at`")
        assert self.canvas is not None and self.scale_low is not None and self.scale_high is not None
        if self.augment != "none" or self.erase or self.image_size:
            raise BenchError(
                "data.augment, data.erase and data.image_size are not offered with warped images; use data.size, data.canvas"
            )
        if self.scale_low > self.scale_high:
            raise BenchError(f"data.scale_low={self.scale_low} exceeds data.scale_high={self.scale_high}; swap them")
        stored = self.size or self.facts.shape[1]
        if stored > self.canvas:
            raise BenchError(
                f"data.canvas={self.canvas} is smaller than an image of {stored}; enlarge it or lower data.size"
            )
        if self.original and (self.canvas, self.family, self.dataset) != (40, "affine", "mnist"):
            raise BenchError(
                "data.original=true has images of 40 x 40: data.canvas=40 data.family=affine data.dataset=mnist"
            )
        if self.shift == "inside" and self.family == "homography":
            raise BenchError("data.shift=inside is for affine maps; set data.shift=none with data.family=homography")
