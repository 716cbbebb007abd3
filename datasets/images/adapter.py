"""From image files, or from the simulator, to a Bundle of kind "image"."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.schema import ORIGIN, Arrays, BenchError, Bundle, fingerprint
from datasets import files
from datasets.images.config import Config

MOST_CLASSES = 20  # of a stand-in that is not told otherwise


@dataclass
class Pool:
    """All images before they are split: `x` (n, c, h, w) uint8 or the paths of n files, `y` (n,), and which rows are test images
    (`test` None: no official test set). `digest` identifies the content; `truth` is the simulator's."""

    x: np.ndarray | list[Path]
    y: np.ndarray
    test: np.ndarray | None
    names: tuple[str, ...]
    white: float
    digest: str
    sources: dict[str, Any]
    truth: dict[str, Any] | None = None

    def card(self, config: Config) -> dict[str, Any]:
        """`Bundle.card` of these images."""
        return {"licence": config.licence, "citation": config.citation, **self.sources}

    def in_memory(self, config: Config, what: str) -> np.ndarray:
        """`x` as an array; BenchError where the images stay in files and `what` (a noun) needs them all at once."""
        if isinstance(self.x, np.ndarray):
            return self.x
        raise BenchError(f"data.dataset={config.dataset} stays in files; {what} takes images in memory, e.g. digits")


def load(config: Config, *, fold: str, source: str, root: Path, cache: Path) -> Bundle:
    """Images `x` (n, c, h, w) uint8 and labels `y` int64 as train, val and test.

    Splits are Arrays where the images are in memory and nothing random is done to them, else `transforms.Pictures`, map-style
    data sets with a `y`. `meta`: `mean` and `std` (per channel, after division by `white`, the value of a white pixel) that a
    network normalises by, `class_names`, and the simulator's `truth`.
    """
    number = config.fold_number(fold)
    pool = gather(config, source, Path(root), Path(cache))
    parts = split(pool, config, number)
    shape = _shape(pool, config)
    meta = normalisation(pool, config, parts[0], shape)
    return Bundle(
        kind=config.kind,
        train=_images(pool, parts[0], config, shape, meta, train=True),
        val=_images(pool, parts[1], config, shape, meta, train=False) if len(parts[1]) else None,
        test=_images(pool, parts[2], config, shape, meta, train=False),
        n_out=len(pool.names),
        shape=shape,
        group=fold,
        origin=ORIGIN[source],
        fingerprint=fingerprint(pool.digest, *parts, config.augment, config.normalise, str(shape), *_recipe(config)),
        card=pool.card(config),
        meta=meta | ({"truth": pool.truth} if pool.truth else {}),
    )


def gather(config: Config, source: str, root: Path, cache: Path) -> Pool:
    """All images of a data set, for whoever splits them in another way (category discovery)."""
    if source == "synthetic":
        return _noise(config) if config.dataset == "random" else _twin(config)
    if config.lazy():
        return _folder(config, root, cache)
    from datasets.images.readers import read

    found = read(config, root)
    x, y = found.train
    test = None
    if found.test is not None:
        test = np.arange(len(y), len(y) + len(found.test[1]))
        x, y = np.concatenate([x, found.test[0]]), np.concatenate([y, found.test[1]])
    x = _converted(x, config)
    place = (
        "shipped with scikit-learn"
        if config.facts.layout == "digits"
        else "; ".join(f.url for f in config.files() if f.url)
    )
    sources = {"source": place or config.facts.folder, "files": found.files}
    return Pool(x, y, test, found.names, found.white, fingerprint(x, y), sources)


def split(pool: Pool, config: Config, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows (train, val, test): the draw number `seed`. Subset and validation are drawn class by class, so shares stay as they are."""
    rng = np.random.default_rng([seed, 20])
    n = len(pool.y)
    if pool.test is None:
        order = rng.permutation(n)
        k = config.n_test or n // 2
        if k >= n:
            raise BenchError(f"data.n_test={k} leaves no training image of {n}; lower it")
        test, rest = np.sort(order[:k]), np.sort(order[k:])
    else:
        test = pool.test[: config.n_test]
        rest = np.setdiff1d(np.arange(n), pool.test)
    if config.n_train is not None:
        if config.n_train > len(rest):
            raise BenchError(
                f"data.n_train={config.n_train} is more than the {len(rest)} training images there are; lower it"
            )
        rest = stratified(pool.y, rest, config.n_train, rng)
    held = stratified(pool.y, rest, round(config.val_share * len(rest)), rng)
    train = np.setdiff1d(rest, held)
    if not len(train):
        raise BenchError("no training image is left; raise data.n_train or lower data.val_share")
    return train, held, test


def stratified(y: np.ndarray, rows: np.ndarray, k: int, rng: np.random.Generator) -> np.ndarray:
    """k of the given rows, drawn so that every class keeps its share up to rounding; sorted."""
    order = rng.permutation(rows)
    position = np.empty(len(order))
    for c in np.unique(y[order]):
        mine = np.flatnonzero(y[order] == c)
        position[mine] = (np.arange(len(mine)) + rng.random()) / len(
            mine
        )  # quantiles of a class interleave with the others'
    return np.sort(order[np.argsort(position, kind="stable")[:k]])


def normalisation(pool: Pool, config: Config, rows: np.ndarray, shape: tuple[int, ...]) -> dict[str, Any]:
    """What a network needs to read the images, as `Bundle.meta` has it: `mean` and `std` by channel in units of `white`, chosen by
    data.normalise and measured on `rows`; `class_names`."""
    mean, std = _moments(pool, config, rows, shape[0])
    return {"mean": mean, "std": std, "white": pool.white, "class_names": list(pool.names)}


def _moments(pool: Pool, config: Config, rows: np.ndarray, c: int) -> tuple[list[float], list[float]]:
    if config.normalise == "none":
        return [0.0] * c, [1.0] * c
    if config.normalise == "half":
        return [0.5] * c, [0.5] * c
    if config.normalise == "imagenet" or not isinstance(pool.x, np.ndarray):
        mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
        return (mean, std) if c == 3 else ([sum(mean) / 3], [sum(std) / 3])
    sums, squares, n = np.zeros(c), np.zeros(c), 0
    for i in range(0, len(rows), 4096):
        x = pool.x[rows[i : i + 4096]].astype(np.float64) / pool.white
        sums, squares, n = sums + x.sum((0, 2, 3)), squares + np.square(x).sum((0, 2, 3)), n + x[:, 0].size
    mean_ = sums / n
    return mean_.tolist(), np.sqrt(np.maximum(squares / n - mean_**2, 1e-6)).tolist()


def _shape(pool: Pool, config: Config) -> tuple[int, int, int]:
    if isinstance(pool.x, np.ndarray):
        c, h, w = pool.x.shape[1:]
        return c, h, w
    c, h, w = config.shape()
    return c, h, w


def _recipe(config: Config) -> list[str]:
    """What else changes the images that are seen, where it is not as it usually is."""
    usual = {"magnitude": 7.0, "erase": 0.0, "train_size": None, "test_crop": 0.875}
    return [f"{k} {getattr(config, k)}" for k, v in usual.items() if getattr(config, k) != v]


def _images(
    pool: Pool, rows: np.ndarray, config: Config, shape: tuple[int, int, int], meta: dict[str, Any], train: bool
) -> Any:
    y, memory = pool.y[rows], isinstance(pool.x, np.ndarray)
    if memory and (not train or (config.augment == "none" and not config.erase)):
        return Arrays(pool.x[rows], y)  # type: ignore[call-overload,index]
    from datasets.images.transforms import Pictures, augmentation, fixed, v2

    items = pool.x[rows] if isinstance(pool.x, np.ndarray) else [pool.x[i] for i in rows]
    grey = [pool.white * m for m in meta["mean"]]
    size = config.train_size or shape[1]
    random = augmentation(config.augment, size, config.magnitude, config.erase, grey) if train else None
    plain = fixed(shape[1], lazy=not memory, crop=config.test_crop)
    if random and config.augment == "none":  # erasing alone keeps the size of the file
        random = v2.Compose([plain, random])
    return Pictures(items, y, random or plain, random is not None, channels=shape[0])


def _converted(x: np.ndarray, config: Config) -> np.ndarray:
    """Channels and size as chosen."""
    c, size = config.channels, config.image_size
    if c == 3 and x.shape[1] == 1:
        x = np.repeat(x, 3, axis=1)
    elif c == 1 and x.shape[1] == 3:
        x = np.round(x.astype(np.float32).transpose(0, 2, 3, 1) @ np.float32([0.299, 0.587, 0.114])).astype(np.uint8)[
            :, None
        ]
    if size and x.shape[2:] != (size, size):
        import torch

        from datasets.images.transforms import fixed

        resize = fixed(size, lazy=False)
        x = np.concatenate([resize(torch.from_numpy(x[i : i + 4096])).numpy() for i in range(0, len(x), 4096)])
    return x


def _folder(config: Config, root: Path, cache: Path) -> Pool:
    from datasets.images.folders import checked, listing

    home = config.home(root)
    train, test, names = listing(config, home)
    items, digest = checked(config, home, [*train, *(test or [])], cache)
    kept = {p for p, _ in items}
    n_train = sum(p in kept for p, _ in train)
    y = np.array([label for _, label in items], dtype=np.int64)
    sources = {"source": f"files under {config.folder or config.facts.folder}", "files": {}, "listing": digest}
    rows = None if test is None else np.arange(n_train, len(items))
    return Pool([home / p for p, _ in items], y, rows, names, 255.0, digest, sources)


def _twin(config: Config) -> Pool:
    from datasets.images.twin import simulate

    c, h, w = config.shape()
    classes = config.twin.classes or min(config.facts.classes or MOST_CLASSES, MOST_CLASSES)
    n_train, n_test = config.twin.sizes()
    n = n_train + n_test
    made = simulate((c, h or 32, w or 32), classes, n, config.twin)
    x = made.x
    white = 255.0
    if config.facts.layout == "digits":
        x, white = (x // 16).astype(np.uint8), 16.0
    test = np.arange(n_train, n) if config.facts.official_test else None
    like = "no data set" if config.dataset == "twin" else config.dataset
    sources = {
        "source": f"simulated by datasets/images/twin.py with the shapes of {like}; never evidence about it",
        "files": {},
    }
    truth = {"codes": made.codes, "parts": made.parts}
    return Pool(x, made.y, test, tuple(map(str, range(classes))), white, fingerprint(x, made.y), sources, truth)


def _noise(config: Config) -> Pool:
    """Uniform noise of the right shape: for starting a large network, learning nothing."""
    n_train, n_test = config.twin.sizes()
    n, classes = n_train + n_test, config.twin.classes or config.facts.classes
    rng = np.random.default_rng(config.twin.seed)
    x = rng.integers(0, 256, size=(n, *config.shape()), dtype=np.uint8)
    y = rng.integers(0, classes, size=n)
    sources = {"source": "uniform noise", "files": {}}
    return Pool(x, y, np.arange(n_train, n), tuple(map(str, range(classes))), 255.0, fingerprint(x, y), sources)


def fetch(config: Config, root: Path, cache: Path) -> None:
    """Download what is absent, checked; MissingData when offline or not offered."""
    files.fetch(config.files(), Path(root), licence=config.licence)
