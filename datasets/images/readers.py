"""Read image files in their original layouts into uint8 arrays (n, channels, height, width) and labels int64 (n,).

Nothing that a file holds is executed: numpy archives are read without objects, and the python version of CIFAR, a pickle, is
taken apart by `pickletools`, which parses the opcodes of a pickle and runs none of them.
"""

from __future__ import annotations

import gzip
import io
import pickletools
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.schema import BenchError
from datasets import files
from datasets.images.places import cifar_files, idx_files, mnist_npz

if TYPE_CHECKING:
    from datasets.images.config import Config

CIFAR10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


@dataclass
class Images:
    """Images of one data set in memory; `test` None where the publisher fixed none. `white` is the value of a white pixel."""

    train: tuple[np.ndarray, np.ndarray]
    test: tuple[np.ndarray, np.ndarray] | None
    names: tuple[str, ...]
    white: float = 255.0
    files: dict[str, str] = field(default_factory=dict)


def read(config: Config, root: Path) -> Images:
    """The images of a data set that fits into memory. BenchError names a file that is truncated, altered or of another kind."""
    layout = config.facts.layout
    return {"digits": _digits, "mnist": _mnist, "cifar": _cifar, "npz": _npz, "omniglot": _omniglot}[layout](
        config, root
    )


def _digits(config: Config, root: Path) -> Images:
    from sklearn.datasets import load_digits

    data = load_digits()
    images = data.images.astype(np.uint8)[:, None]  # the values are the integers 0 to 16
    return Images((images, data.target.astype(np.int64)), None, tuple(map(str, range(10))), white=16.0)


def _mnist(config: Config, root: Path) -> Images:
    home, names = config.home(root), tuple(map(str, range(10)))
    path = mnist_npz(home)
    if path is not None:
        if path.name == "mnist-keras.npz":
            path = files.verified(root, config.facts.files[0])
        return _archive(path, config, names)
    paths = idx_files(home)
    assert paths is not None
    x, y, x_test, y_test = (idx(p) for p in paths)
    if x.ndim != 3 or y.shape != x.shape[:1] or x_test.ndim != 3 or y_test.shape != x_test.shape[:1]:
        raise BenchError(f"{home}: images and labels of the idx files do not belong together; fetch all four again")
    return Images(
        (x[:, None], y.astype(np.int64)), (x_test[:, None], y_test.astype(np.int64)), names, files=_digests(paths)
    )


def idx(path: Path) -> np.ndarray:
    """An idx file of bytes, plain or gzipped: two zero bytes, type 8, number of dimensions, big-endian sizes, values."""
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError) as error:
        raise BenchError(f"{path} cannot be unpacked ({error}); it is truncated, fetch it again") from None
    if len(raw) < 8 or raw[:3] != b"\x00\x00\x08":
        raise BenchError(f"{path} is no idx file of bytes; fetch it again")
    shape = tuple(int.from_bytes(raw[4 + 4 * i : 8 + 4 * i]) for i in range(raw[3]))
    values = np.frombuffer(raw, dtype=np.uint8, offset=4 + 4 * raw[3])
    if values.size != int(np.prod(shape)):
        raise BenchError(f"{path} announces {shape} values and holds {values.size}; it is truncated, fetch it again")
    return values.reshape(shape)


def _npz(config: Config, root: Path) -> Images:
    path = config.home(root) / f"{config.dataset}.npz"
    if not config.folder:
        path = files.verified(root, config.facts.files[0])
    return _archive(path, config, CIFAR10)


def _archive(path: Path, config: Config, names: tuple[str, ...]) -> Images:
    """x_train, y_train, x_test, y_test of an npz file, images (n, h, w) or (n, h, w, 3) uint8."""
    try:
        with np.load(path, allow_pickle=False) as data:
            parts = [data[k] for k in ("x_train", "y_train", "x_test", "y_test")]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise BenchError(
            f"{path} cannot be read as x_train, y_train, x_test, y_test ({error}); fetch it again"
        ) from None
    x, y, x_test, y_test = parts
    c, h, w = config.facts.shape
    for name, images, labels in (("train", x, y), ("test", x_test, y_test)):
        if images.dtype != np.uint8 or images.shape[1:3] != (h, w) or len(images) != labels.size:
            raise BenchError(
                f"{path}: x_{name} is {images.dtype} {images.shape} with {labels.size} labels; uint8 (n, {h}, {w}) needed"
            )
    x, x_test = (a[:, None] if c == 1 else np.ascontiguousarray(a.transpose(0, 3, 1, 2)) for a in (x, x_test))
    label = [v.reshape(-1).astype(np.int64) for v in (y, y_test)]
    return Images((x, label[0]), (x_test, label[1]), names, files=_digests([path]))


def _cifar(config: Config, root: Path) -> Images:
    home, k = config.home(root), config.facts.classes
    place = cifar_files(home, k)
    if place is None:
        files.safe_extract(files.verified(root, config.facts.files[0]), home)
        place = cifar_files(home, k)
        assert place is not None
    paths, test = place
    parts = [cifar_batch(p, k) for p in paths]
    names = CIFAR10 if k == 10 else tuple(map(str, range(k)))
    train = np.concatenate([x for x, _ in parts]), np.concatenate([y for _, y in parts])
    return Images(train, cifar_batch(test, k), names, files=_digests([*paths, test]))


def cifar_batch(path: Path, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """One file of CIFAR: images (n, 3, 32, 32) uint8 and (fine) labels (n,); binary (.bin) or python version."""
    if path.suffix == ".bin":
        row = 3072 + (1 if classes == 10 else 2)
        raw = np.frombuffer(path.read_bytes(), dtype=np.uint8)
        if raw.size == 0 or raw.size % row:
            raise BenchError(f"{path} has {raw.size} bytes, not a multiple of {row}; it is truncated, fetch it again")
        table = raw.reshape(-1, row)
        x, y = table[:, -3072:], table[:, row - 3073].astype(np.int64)
    else:
        x, y = pickled_batch(path, "labels" if classes == 10 else "fine_labels")
    if not (y.min() >= 0 and y.max() < classes):
        raise BenchError(f"{path} has labels from {y.min()} to {y.max()}; 0 to {classes - 1} are expected")
    return x.reshape(-1, 3, 32, 32).copy(), y


def pickled_batch(path: Path, key: str) -> tuple[np.ndarray, np.ndarray]:
    """Rows (n, 3072) uint8 and the list under `key` of a CIFAR batch, found among the opcodes; no opcode is executed.

    The pixels are the one byte string whose length is 3072 for each label; the labels are the integers that follow the key.
    """
    labels: list[int] = []
    longest: bytes | str = b""
    inside = ended = False
    try:
        for opcode, value, _ in pickletools.genops(path.read_bytes()):
            if ended and opcode.name != "MARK":  # a list is written in pieces, each from MARK to APPENDS
                inside = False
            ended = inside and opcode.name == "APPENDS"
            if isinstance(value, (bytes, bytearray, str)):
                if value == key or value == key.encode():
                    inside, labels = True, []
                elif len(value) > len(longest):
                    longest = bytes(value) if isinstance(value, bytearray) else value
            elif inside and opcode.name in ("BININT", "BININT1", "BININT2", "INT"):
                labels.append(int(value))  # type: ignore[arg-type]
    except (ValueError, OSError, IndexError) as error:
        raise BenchError(f"{path} is no whole pickle ({error}); it is truncated, fetch it again") from None
    raw = longest.encode("latin-1", "replace") if isinstance(longest, str) else longest
    if not labels or len(raw) != 3072 * len(labels):
        raise BenchError(
            f"{path} has {len(labels)} {key} and {len(raw)} bytes of pixels, where 3072 for each label are needed; "
            "it is no batch of CIFAR, fetch it again"
        )
    return np.frombuffer(raw, dtype=np.uint8).reshape(-1, 3072), np.asarray(labels, dtype=np.int64)


def _omniglot(config: Config, root: Path) -> Images:
    """A class is a character of an alphabet, 20 drawings each; strokes are white on black, as in MNIST."""
    from PIL import Image, UnidentifiedImageError

    path = files.verified(root, config.facts.files[0]) if not config.folder else next(config.home(root).glob("*.zip"))
    images, classes, bad = [], [], []
    with zipfile.ZipFile(path) as z:
        for name in sorted(n for n in z.namelist() if n.endswith(".png")):
            try:
                with Image.open(io.BytesIO(z.read(name))) as image:
                    images.append(255 - np.asarray(image.convert("L")))
                classes.append("/".join(name.split("/")[-3:-1]))
            except (UnidentifiedImageError, OSError, zipfile.BadZipFile) as error:
                bad.append(f"{name} ({error})")
    if bad and not config.skip_bad:
        raise BenchError(
            f"{path} has {len(bad)} unreadable images, first {bad[0]}; fetch it again or set data.skip_bad=true"
        )
    sizes = {i.shape for i in images}
    if len(sizes) != 1:
        raise BenchError(f"{path} has images of {len(sizes)} sizes ({sorted(sizes)[:3]}); one size is needed")
    names = sorted(set(classes))
    y = np.searchsorted(names, classes).astype(np.int64)
    return Images((np.stack(images)[:, None], y), None, tuple(names), files=_digests([path]))


def _digests(paths: list[Path]) -> dict[str, str]:
    return {p.name: files.sha256(p) for p in paths}
