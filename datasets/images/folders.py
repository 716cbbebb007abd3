"""Images that stay in their files: listings of class folders, split files, CUB, Cars and Aircraft; checking and decoding.

A listing is a list of (relative path, label). The fingerprint of such a data set covers paths, labels and file sizes.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from bench.schema import BenchError

if TYPE_CHECKING:
    import numpy as np

    from datasets.images.config import Config

ENDINGS = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".tif", ".tiff", ".gif")
TRAIN, TEST = ("train", "train1", "Train"), ("test", "val", "validation", "small-validation", "Test")
Listing = list[tuple[str, int]]


def listing(config: Config, home: Path) -> tuple[Listing, Listing | None, tuple[str, ...]]:
    """(training images, test images or None, class names) as the publisher splits them."""
    layout = config.facts.layout
    if config.train_list and config.test_list:
        return _listed(home, config.train_list, config.test_list)
    train, test, names = {"classes": _classes, "cub": _cub, "cars": _cars, "aircraft": _aircraft}[layout](home)
    if not train:
        raise BenchError(f"{home} holds no images in the layout of {config.name}; data.folder names another folder")
    return train, test, names


def _classes(home: Path) -> tuple[Listing, Listing | None, tuple[str, ...]]:
    """Class folders, below train/ and val/ (or test/) where these exist; labels by the sorted names of the training classes."""
    train = next((home / n for n in TRAIN if (home / n).is_dir()), None)
    test = next((home / n for n in TEST if (home / n).is_dir()), None) if train else None
    base = train or home
    names = sorted(p.name for p in base.iterdir() if p.is_dir() and not p.name.startswith("."))
    label = {n: i for i, n in enumerate(names)}
    found = _below(home, base, label)
    if test is None:
        return found, None, tuple(names)
    strange = sorted({p.name for p in test.iterdir() if p.is_dir()} - set(names))
    if strange:
        raise BenchError(f"{test} has the class {strange[0]}, which {base} has not; move it away or set data.folder")
    return found, _below(home, test, label), tuple(names)


def _below(home: Path, base: Path, label: dict[str, int]) -> Listing:
    return [
        (p.relative_to(home).as_posix(), i)
        for name, i in sorted(label.items())
        for p in sorted((base / name).rglob("*"))
        if p.suffix.lower() in ENDINGS
    ]


def _listed(home: Path, train: str, test: str) -> tuple[Listing, Listing, tuple[str, ...]]:
    """Two text files with lines `path label`; a label is a number from 0 or a name."""
    rows = [[line.rsplit(maxsplit=1) for line in _lines(home / name)] for name in (train, test)]
    short = next((r for part in rows for r in part if len(r) != 2), None)
    if short:
        raise BenchError(f"{home}: a line of {train} or {test} reads {' '.join(short)!r}; each needs `path label`")
    names = sorted(
        {r[1] for part in rows for r in part}, key=lambda n: (not n.isdigit(), int(n) if n.isdigit() else 0, n)
    )
    label = {n: i for i, n in enumerate(names)}
    first, second = ([(path, label[name]) for path, name in part] for part in rows)
    return first, second, tuple(names)


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        raise BenchError(f"{path} is missing; it lists the images of a split")
    return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def _cub(home: Path) -> tuple[Listing, Listing, tuple[str, ...]]:
    """images.txt, image_class_labels.txt, train_test_split.txt, each `id value`; classes.txt names the classes."""
    table = {}
    for name in ("images", "image_class_labels", "train_test_split"):
        table[name] = dict(line.split(maxsplit=1) for line in _lines(home / f"{name}.txt"))
    names = tuple(line.split(maxsplit=1)[1] for line in _lines(home / "classes.txt"))
    train: Listing = []
    test: Listing = []
    for key, path in table["images"].items():
        part = train if table["train_test_split"][key].strip() == "1" else test
        part.append((f"images/{path.strip()}", int(table["image_class_labels"][key]) - 1))
    return train, test, names


def _aircraft(home: Path) -> tuple[Listing, Listing, tuple[str, ...]]:
    """data/images_variant_{trainval,test}.txt with lines `image variant name`."""
    rows = [
        [line.split(maxsplit=1) for line in _lines(home / "data" / f"images_variant_{s}.txt")]
        for s in ("trainval", "test")
    ]
    names = sorted({variant for part in rows for _, variant in part})
    label = {n: i for i, n in enumerate(names)}
    train, test = ([(f"data/images/{image}.jpg", label[v]) for image, v in part] for part in rows)
    return train, test, tuple(names)


def _cars(home: Path) -> tuple[Listing, Listing, tuple[str, ...]]:
    """devkit/cars_train_annos.mat, cars_test_annos_withlabels.mat and cars_meta.mat (the second also beside devkit/)."""
    from scipy.io import loadmat

    def annotations(name: str) -> list[tuple[str, int]]:
        path = next((p for p in (home / "devkit" / name, home / name) if p.is_file()), None)
        if path is None:
            raise BenchError(f"{home}/devkit has no {name}; it lists the images of a split")
        table = loadmat(path, squeeze_me=True)["annotations"]
        return [(str(f), int(c) - 1) for f, c in zip(table["fname"], table["class"], strict=True)]

    meta = home / "devkit" / "cars_meta.mat"
    train = [(f"cars_train/{f}", y) for f, y in annotations("cars_train_annos.mat")]
    test = [(f"cars_test/{f}", y) for f, y in annotations("cars_test_annos_withlabels.mat")]
    names = tuple(map(str, loadmat(meta, squeeze_me=True)["class_names"])) if meta.is_file() else ()
    return train, test, names or tuple(str(i) for i in range(max(y for _, y in train) + 1))


def decode(path: Path, channels: int | None) -> np.ndarray:
    """One image as uint8 (channels, h, w). Raises OSError or ValueError with the reason when it cannot be read whole."""
    import numpy as np
    from PIL import Image

    with Image.open(path) as image:
        if channels is None:
            array = np.asarray(image)
        else:
            array = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    if array.dtype != np.uint8:
        raise ValueError(f"pixels are {array.dtype}; 8-bit images are needed")
    return np.ascontiguousarray(array[None] if array.ndim == 2 else array.transpose(2, 0, 1))


def checked(config: Config, home: Path, items: Listing, cache: Path) -> tuple[Listing, str]:
    """(images that can be read, digest of names, labels and sizes). Every image is decoded once; the verdict is kept in `cache`.

    Raises BenchError that names and counts the images that are missing, truncated, unreadable or of other channels than the
    rest, unless data.skip_bad=true: then they are told and left out.
    """

    sizes = {p: (home / p).stat() if (home / p).is_file() else None for p, _ in items}
    text = json.dumps([(p, y, s.st_size if s else -1) for (p, y), s in zip(items, sizes.values(), strict=True)])
    digest = hashlib.sha256(text.encode()).hexdigest()
    stamp = f"{digest} {config.channels} {config.verify} {[s.st_mtime_ns if s else 0 for s in sizes.values()]}"
    memory = Path(cache) / "images" / f"{hashlib.sha256(stamp.encode()).hexdigest()[:24]}.json"
    if memory.is_file():
        bad = json.loads(memory.read_text())
    else:
        bad = _inspect(config, home, items)
        memory.parent.mkdir(parents=True, exist_ok=True)
        memory.write_text(json.dumps(bad))
    if bad:
        some = "; ".join(f"{p}: {why}" for p, why in list(bad.items())[:5]) + ("; ..." if len(bad) > 5 else "")
        if not config.skip_bad:
            raise BenchError(
                f"{len(bad)} of {len(items)} images under {home} cannot be used ({some}); replace them, or leave them out "
                "with data.skip_bad=true"
            )
        print(f"{len(bad)} of {len(items)} images under {home} are left out: {some}", flush=True)
    return [i for i in items if i[0] not in bad], digest


def _inspect(config: Config, home: Path, items: Listing) -> dict[str, str]:
    """Path -> what is wrong with it. Threads, since decoding releases the interpreter."""
    import os
    from collections import Counter
    from concurrent.futures import ThreadPoolExecutor

    from PIL import Image

    def look(item: tuple[str, int]) -> tuple[str, int | str]:
        path = home / item[0]
        try:
            if not path.is_file():
                return item[0], "missing"
            if config.verify == "full":
                return item[0], decode(path, config.channels).shape[0]
            with Image.open(path) as image:
                return item[0], config.channels or len(image.getbands())
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            return item[0], f"{type(error).__name__}, {error}".replace(str(home), "")

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        found = dict(pool.map(look, items))
    counts = Counter(v for v in found.values() if isinstance(v, int))
    usual = counts.most_common(1)[0][0] if counts else 0
    return {
        p: v if isinstance(v, str) else f"{v} channels where most have {usual}; data.channels=3 converts"
        for p, v in found.items()
        if v != usual
    }
