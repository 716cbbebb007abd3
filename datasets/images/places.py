"""Where real image files lie under the data root: looked up by name only, contents are checked on reading."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datasets.images.config import Config

IDX = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
CIFAR = {  # (folder, training files, test file) by number of classes and layout
    10: (
        ("cifar-10-batches-py", tuple(f"data_batch_{i}" for i in range(1, 6)), "test_batch"),
        ("cifar-10-batches-bin", tuple(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"),
    ),
    100: (("cifar-100-python", ("train",), "test"), ("cifar-100-binary", ("train.bin",), "test.bin")),
}


def found(config: Config, root: Path) -> bool:
    """Whether the files of the data set are there, in any of the layouts that can be read."""
    layout, home = config.facts.layout, config.home(root)
    if layout == "digits":
        return True
    if layout == "none" or not (config.folder or config.facts.folder):
        return False
    if layout == "mnist":
        return mnist_npz(home) is not None or idx_files(home) is not None
    if layout == "cifar":
        return cifar_files(home, config.facts.classes) is not None or any(
            (root / f.path).is_file() for f in config.facts.files
        )
    if layout == "npz":
        return (home / f"{config.dataset}.npz").is_file()
    if layout == "omniglot":
        return (home / "images_background_small1.zip").is_file()
    marks = {"cub": "images.txt", "cars": "devkit", "aircraft": "data/images"}
    return (home / marks[layout]).exists() if layout in marks else home.is_dir() and any(home.iterdir())


def mnist_npz(home: Path) -> Path | None:
    return next((p for n in ("mnist.npz", "mnist-keras.npz") if (p := home / n).is_file()), None)


def idx_files(home: Path) -> list[Path] | None:
    """The four idx files of MNIST, plain or gzipped, in the folder or in torchvision's MNIST/raw below it."""
    for folder in (home, home / "raw", home / "MNIST" / "raw"):
        paths = [next((p for p in (folder / n, folder / f"{n}.gz") if p.is_file()), None) for n in IDX]
        if all(paths):
            return [p for p in paths if p]
    return None


def cifar_files(home: Path, classes: int) -> tuple[list[Path], Path] | None:
    """(training files, test file) of an unpacked CIFAR archive, python or binary version."""
    for name, train, test in CIFAR[classes]:
        for folder in (home / name, home.parent / name, home):
            paths = [folder / t for t in train]
            if all(p.is_file() for p in [*paths, folder / test]):
                return paths, folder / test
    return None
