"""The published files of affNIST: Matlab structures `affNISTdata` with `image` (1600, n) and `label_int`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.schema import BenchError, MissingData

SIDE = 40
PLACES = {  # part: where its files may lie, by preference; a folder holds 1.mat, 2.mat, ...
    "train": ("just_centered/training.mat", "just_centered/training_and_validation.mat"),
    "val": (
        "transformed/validation.mat",
        "transformed/validation_batches",
        "transformed/training_and_validation_batches",
    ),
    "upright": ("just_centered/test.mat",),
    "test": ("transformed/test.mat", "transformed/test_batches"),
}


def read_part(home: Path, part: str, *, optional: bool = False) -> tuple[np.ndarray, np.ndarray, list[Path]] | None:
    """Images (n, 1, 40, 40) uint8, labels (n,) int64 and the files they come from; None for an absent optional part.

    Where training and validation share a file, the first 50,000 of every 60,000 are the training images.
    """
    for place in PLACES[part]:
        path = home / place
        files = (
            sorted(path.glob("*.mat"), key=lambda p: (len(p.name), p.name))
            if path.is_dir()
            else [path] * path.is_file()
        )
        if not files:
            continue
        pieces = [_shared(read_mat(f), part) if "training_and" in place else read_mat(f) for f in files]
        return np.concatenate([x for x, _ in pieces]), np.concatenate([y for _, y in pieces]), files
    if optional:
        return None
    raise MissingData(
        f"{home} has none of {', '.join(PLACES[part])}; unpack affNIST's archives there or set data.original=false"
    )


def _shared(content: tuple[np.ndarray, np.ndarray], part: str) -> tuple[np.ndarray, np.ndarray]:
    cut = len(content[1]) * 5 // 6
    rows = slice(None, cut) if part == "train" else slice(cut, None)
    return content[0][rows], content[1][rows]


def read_mat(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """One file: images (n, 1, 40, 40) uint8 and labels (n,). BenchError where it is truncated or of another kind."""
    from scipy.io import loadmat

    try:
        record = loadmat(path, variable_names=["affNISTdata"])["affNISTdata"][0, 0]
        images, labels = np.asarray(record["image"]), np.asarray(record["label_int"]).reshape(-1)
    except Exception as error:  # scipy raises many kinds
        raise BenchError(f"{path} cannot be read as an affNIST file ({error}); unpack it again") from None
    if images.dtype != np.uint8 or images.ndim != 2 or images.shape != (SIDE**2, len(labels)):
        raise BenchError(
            f"{path}: image is {images.dtype} {images.shape} with {len(labels)} labels; uint8 ({SIDE**2}, n) is needed"
        )
    if len(labels) and not (labels.min() >= 0 and labels.max() <= 9):
        raise BenchError(f"{path} has labels from {labels.min()} to {labels.max()}; digits 0 to 9 are expected")
    return np.ascontiguousarray(images.T).reshape(-1, 1, SIDE, SIDE), labels.astype(np.int64)
