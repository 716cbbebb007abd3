"""The stand-in for images: objects composed of parts, with known truth.

The image is a 2 x 2 grid of cells. For each cell there are `parts` smooth random patterns; a class is a code (a, b, c, d), one part
for each cell, and codes are shared pairwise as little as chance allows: a class is known by its combination, hardly by one part. A
sample shifts every part by up to `jitter` of a cell, varies its contrast, and adds noise to every pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from datasets.images.config import TwinConfig


@dataclass
class Twin:
    """Images (n, c, h, w) uint8, labels (n,), and the truth: codes (classes, 4), parts (4, parts, c, ch, cw) of unit deviation."""

    x: np.ndarray
    y: np.ndarray
    codes: np.ndarray
    parts: np.ndarray


def simulate(shape: tuple[int, int, int], classes: int, n: int, twin: TwinConfig) -> Twin:
    """n images of the given shape (c, h, w), classes in turn; the same seed gives the same images, whatever n."""
    c, h, w = shape
    rng = np.random.default_rng([twin.seed, c, h, w])
    ch, cw = h // 2, w // 2
    parts = _smooth(rng.normal(size=(4, twin.parts, c, ch, cw)))
    parts -= parts.mean((-2, -1), keepdims=True)
    parts /= parts.std((-3, -2, -1), keepdims=True)
    every = np.stack(np.unravel_index(rng.permutation(twin.parts**4), (twin.parts,) * 4), axis=1)
    codes = every[_spread(every, classes)]
    y = np.arange(n) % classes
    draw = np.random.default_rng([twin.seed, n, 1])
    far = (max(0, round(twin.jitter * ch)), max(0, round(twin.jitter * cw)))
    shift = np.stack([draw.integers(-f, f + 1, size=(n, 4)) for f in far], axis=-1)
    contrast = draw.uniform(0.7, 1.3, size=(n, 4))
    x = np.empty((n, c, h, w), dtype=np.float32)
    rows, cols = np.arange(ch), np.arange(cw)
    for cell in range(4):
        chosen = parts[cell][codes[y, cell]]  # (n, c, ch, cw)
        i = (rows + shift[:, cell, :1]) % ch
        j = (cols + shift[:, cell, 1:]) % cw
        moved = chosen[np.arange(n)[:, None, None], :, i[:, :, None], j[:, None, :]].transpose(0, 3, 1, 2)
        top, left = (cell // 2) * ch, (cell % 2) * cw
        x[:, :, top : top + ch, left : left + cw] = moved * contrast[:, cell, None, None, None]
    x[:, :, 2 * ch :], x[:, :, :, 2 * cw :] = 0, 0  # a last odd row or column
    x += twin.noise * draw.standard_normal(x.shape, dtype=np.float32)
    return Twin(np.clip(128 + 40 * x, 0, 255).astype(np.uint8), y.astype(np.int64), codes, parts)


def _smooth(x: np.ndarray) -> np.ndarray:
    """Low-pass filter over the last two axes, periodic: patterns of a few bumps."""
    fy, fx = np.fft.fftfreq(x.shape[-2])[:, None] * x.shape[-2], np.fft.fftfreq(x.shape[-1]) * x.shape[-1]
    return np.fft.ifft2(np.fft.fft2(x) * np.exp(-(fx**2 + fy**2) / 8)).real


def _spread(codes: np.ndarray, k: int) -> list[int]:
    """Greedy: each next code shares as few cells as can be with those chosen before (worst case first)."""
    chosen = [0]
    shared = (codes == codes[0]).sum(1)
    worst = shared.copy()
    for _ in range(k - 1):
        worst[chosen] = 99
        chosen.append(int(np.argmin(worst * 1000 + shared)))
        same = (codes == codes[chosen[-1]]).sum(1)
        worst, shared = np.maximum(worst, same), shared + same
    return chosen
