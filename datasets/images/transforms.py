"""Training augmentation and resizing by torchvision's transforms v2, and the map-style data sets that apply them.

The random numbers of a sample depend on (seed of the run and epoch, index) alone: a resumed epoch, another order or another number
of processes sees the same pictures. The training loop calls `begin_epoch(seed)`; without it augmentation is seeded by 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from bench.schema import BenchError
from datasets.images.folders import decode
from models.nn.torchvision_ops import cure

cure()

from torchvision.transforms import v2  # noqa: E402


def augmentation(
    name: str, size: int, magnitude: float = 7.0, erase: float = 0.0, grey: Sequence[float] = (0.0,)
) -> Any:
    """The transform of a choice of data.augment for uint8 images (c, h, w) -> (c, size, size); None for nothing.

    magnitude : of RandAugment, out of 10
    erase, grey : share of images of which a rectangle takes the value `grey` (by channel), pixels
    """
    parts = [
        p
        for p in (_augmentation(name, size, magnitude), v2.RandomErasing(erase, value=list(grey)) if erase else None)
        if p
    ]
    return v2.Compose(parts) if len(parts) > 1 else parts[0] if parts else None


def _augmentation(name: str, size: int, magnitude: float) -> Any:
    pad = max(1, size // 8)
    crop = v2.RandomCrop(size, padding=pad)
    resized = v2.RandomResizedCrop(size, antialias=True)
    steps = 31  # of torchvision's RandAugment, the first of which does nothing
    blurred = v2.RandomChoice(
        [v2.RandomGrayscale(1.0), v2.RandomSolarize(128, 1.0), v2.GaussianBlur(_odd(size / 10), (0.1, 2.0))]
    )
    return {
        "none": None,
        "shift": crop,
        "crop_flip": v2.Compose([crop, v2.RandomHorizontalFlip()]),
        "rrc_flip": v2.Compose([resized, v2.RandomHorizontalFlip()]),
        "trivial": v2.Compose([resized, v2.RandomHorizontalFlip(), v2.TrivialAugmentWide()]),
        "rand": v2.Compose(
            [resized, v2.RandomHorizontalFlip(), v2.RandAugment(2, round(magnitude / 10 * (steps - 1)), steps)]
        ),
        "three": v2.Compose([resized, v2.RandomHorizontalFlip(), blurred, v2.ColorJitter(0.3, 0.3, 0.3)]),
    }[name]


def _odd(x: float) -> int:
    """The odd number next to x, at least 3: sides of kernels are odd."""
    return max(3, 2 * round((x - 1) / 2) + 1)


def fixed(size: int, lazy: bool, crop: float = 0.875) -> Any:
    """Evaluation: resize (for photographs of mixed size the shorter side to size / crop, then the central square)."""
    if not lazy:
        return v2.Resize((size, size), antialias=True)
    return v2.Compose([v2.Resize(round(size / crop), antialias=True), v2.CenterCrop(size)])


class Pictures(Dataset[tuple[Tensor, int]]):
    """Images with labels as a map-style data set: (uint8 (c, h, w), label).

    Parameters
    ----------
    items : array (n, c, h, w) uint8, or paths of files that are decoded when asked for
    y : (n,) labels
    transform : what is applied to each image; None for nothing
    random : whether the transform draws random numbers
    channels : 1 or 3, for files: converted

    Index i + k n is the k-th view of image i of n: the same image with other random numbers.
    """

    def __init__(
        self,
        items: np.ndarray | Sequence[Path],
        y: np.ndarray,
        transform: Any,
        random: bool,
        channels: int | None = None,
    ) -> None:
        self.items, self.y, self.transform, self.random, self.channels = items, y, transform, random, channels
        self.seed = 0

    def __len__(self) -> int:
        return len(self.y)

    def begin_epoch(self, seed: int) -> None:
        """Seed the random numbers of the coming epoch."""
        self.seed = seed

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        return self._sample(i, self._image(i))

    def __getitems__(self, indices: list[int]) -> list[tuple[Tensor, int]]:
        """A batch: files are decoded by as many threads as torch uses, since decoding releases the interpreter; transforms, which
        draw from the global generator, come one after the other."""
        threads = torch.get_num_threads()
        if isinstance(self.items, np.ndarray) or threads == 1:
            return [self[i] for i in indices]
        with ThreadPoolExecutor(threads) as pool:
            parts = [
                indices[a : a + 8 * threads] for a in range(0, len(indices), 8 * threads)
            ]  # few whole photographs at a time
            return [
                self._sample(i, x) for part in parts for i, x in zip(part, pool.map(self._image, part), strict=True)
            ]

    def _sample(self, i: int, pixels: np.ndarray) -> tuple[Tensor, int]:
        image, label = torch.from_numpy(pixels), int(self.y[i % len(self.y)])
        if self.transform is None:
            return image, label
        if not self.random:
            return self.transform(image), label
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed((self.seed * 0x9E3779B97F4A7C15 + i) % 2**63)
            return self.transform(image), label

    def _image(self, i: int) -> np.ndarray:
        item = self.items[i % len(self.y)]
        if isinstance(item, np.ndarray):
            return item
        try:
            return decode(item, self.channels)
        except (OSError, ValueError, SyntaxError) as error:
            raise BenchError(
                f"{item} cannot be decoded ({error}); data.verify=full finds all such files, data.skip_bad=true then leaves "
                "them out"
            ) from None
