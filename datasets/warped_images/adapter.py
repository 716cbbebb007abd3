"""From images in memory to a Bundle whose validation and test images are moved by random maps of the plane."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from bench.schema import ORIGIN, Arrays, BenchError, Bundle, MissingData, fingerprint
from datasets import files
from datasets.images.adapter import Pool, gather, split, stratified
from datasets.images.config import Config as Images
from datasets.warped_images.config import Config
from datasets.warped_images.task import WarpedClassification

CHUNK = 2048  # images resampled at once
LICENCE = "offered for any use, without restriction or warranty, by its author"
CITATION = "tieleman2013affnist: Tieleman, The affNIST dataset for machine learning, University of Toronto 2013"
DRAWS_OF_VAL, DRAWS_OF_TEST = 1, 2  # random streams


def load(config: Config, *, fold: str, source: str, root: Path, cache: Path) -> Bundle:
    """`x` (n, c, canvas, canvas) uint8, 255 white, `y` int64. Train upright; val moved; test upright (group 0), then moved (group 1).

    `meta`: `strength` (n_test,), the size of each test image's map, 0 upright (see `strength`); `law`, the ranges of the maps;
    `mean`, `std`, `white` and `class_names` as in `datasets.images`.
    """
    number = config.fold_number(fold)
    made = _original if config.original and source == "real" else _built
    train, val, upright, moved, size, names, sources = made(config, number, source, Path(root), Path(cache))
    x, y = (np.concatenate([a, b]) for a, b in zip(upright, moved, strict=True))
    group = np.repeat([0, 1], [len(upright[1]), len(moved[1])])
    c = train[0].shape[1]
    half = 0.5 if config.normalise == "half" else 0.0
    return Bundle(
        kind=config.kind,
        train=Arrays(*train),
        val=Arrays(*val) if val is not None and len(val[1]) else None,
        test=Arrays(x, y, group),
        n_out=len(names),
        shape=train[0].shape[1:],
        group=fold,
        origin=ORIGIN[source],
        fingerprint=fingerprint(*train, *(val or ()), x, y, config.normalise),
        task=WarpedClassification(),
        card={"licence": config.licence, "citation": config.citation, **sources},
        meta={
            "mean": [half] * c, "std": [half or 1.0] * c, "white": 255.0, "class_names": list(names),
            "strength": np.concatenate([np.zeros(len(upright[1])), size]), "law": law(config),
        },
    )  # fmt: skip


def law(config: Config) -> dict[str, Any]:
    """The ranges of the affine maps, for methods that augment; None under homographies and for maps that only files know."""
    if config.family != "affine":
        return {}
    return {"rotation": config.rotation, "shear": config.shear, "scale": (config.scale_low, config.scale_high)}


def _built(config: Config, number: int, source: str, root: Path, cache: Path) -> Any:
    plain = Images(
        **{f.name: getattr(config, f.name) for f in dataclasses.fields(Images)}
    )  # whose images are not yet on a canvas
    pool: Pool = gather(plain, source, root, cache)
    if not isinstance(pool.x, np.ndarray):
        raise BenchError(
            f"data.dataset={config.dataset} stays in files; warped images need them in memory, e.g. digits"
        )
    if pool.x.shape[2] != pool.x.shape[3]:
        raise BenchError(f"images of {pool.x.shape[2:]} pixels are not square; choose others")
    rows = split(pool, config, number)
    place, move = (lambda r: _warp(config, pool, r, None)[0]), (lambda r, s: _warp(config, pool, r, (number, s)))
    test = np.tile(rows[2], config.draws)
    moved, size = move(test, DRAWS_OF_TEST)
    val = (move(rows[1], DRAWS_OF_VAL)[0], pool.y[rows[1]]) if len(rows[1]) else None
    return (
        (place(rows[0]), pool.y[rows[0]]), val, (place(rows[2]), pool.y[rows[2]]), (moved, pool.y[test]), size, pool.names,
        pool.sources,
    )  # fmt: skip


def _warp(
    config: Config, pool: Pool, rows: np.ndarray, stream: tuple[int, int] | None
) -> tuple[np.ndarray, np.ndarray]:
    """The pool's images on the canvas, uint8 (n, c, canvas, canvas), and the size (n,) of their maps; no stream: only placed."""
    import torch

    from models.geometry import warps

    generator = torch.Generator()
    if stream is not None:
        generator.manual_seed(1 + stream[0] * 8 + stream[1])
    enlarge = (config.size or pool.x.shape[-1]) / pool.x.shape[-1]
    out, sizes = [], []
    for part in np.array_split(rows, max(1, -(-len(rows) // CHUNK))):
        x = torch.from_numpy(pool.x[part]).double() * (255 / pool.white)
        n = len(x)
        h = torch.eye(3, dtype=torch.float64).repeat(n, 1, 1)
        if stream is not None and config.family == "homography":
            h = warps.random_homography(n, config.corners, config.canvas, generator)
        elif stream is not None:
            scale = (config.scale_low, config.scale_high)
            a = warps.random_affine(n, config.rotation, config.shear, scale, generator)
            t = None
            if config.shift == "inside":
                least, most = warps.room(x, enlarge * a, config.canvas)
                t = least + (most - least) * torch.rand(n, 2, generator=generator, dtype=torch.float64)
            h = warps.homogeneous(a, t)
        larger = torch.diag(torch.tensor([enlarge, enlarge, 1.0], dtype=torch.float64))
        y = warps.resample(x, h @ larger, config.canvas)
        out.append(y.round().clamp(0, 255).to(torch.uint8).numpy())
        sizes.append(strength(h[:, :2, :2].numpy()) if stream is not None else np.zeros(n))
    return np.concatenate(out), np.concatenate(sizes)


def strength(a: np.ndarray) -> np.ndarray:
    """sqrt(|log P|^2 + 2 theta^2) (n,) of linear maps A = P R(theta) (n, 2, 2): Frobenius norm of the polar coordinates."""
    u, s, w = np.linalg.svd(a)
    r = u @ w
    theta = np.arctan2(r[:, 1, 0], r[:, 0, 0])
    return np.sqrt(np.square(np.log(s)).sum(-1) + 2 * theta**2)


def _original(config: Config, number: int, source: str, root: Path, cache: Path) -> Any:
    from datasets.warped_images.affnist import read_part

    home = root / (config.folder or "affNIST")
    parts = {p: read_part(home, p, optional=p == "val") for p in ("train", "val", "upright", "test")}
    rng = np.random.default_rng([number, 22])

    def some(part: str, k: int | None) -> tuple[np.ndarray, np.ndarray] | None:
        if parts[part] is None:
            return None
        x, y, _ = parts[part]
        if k is not None and k > len(y):
            raise BenchError(
                f"affNIST's {part} part has {len(y)} images and {k} are asked for; lower data.n_train or n_test"
            )
        rows = np.arange(len(y)) if k is None else stratified(y, np.arange(len(y)), k, rng)
        return x[rows], y[rows]

    train = some("train", config.n_train)
    val = some("val", None) if config.val_share else None
    upright, moved = some("upright", config.n_test), some("test", config.n_test)
    assert train and upright and moved
    names = tuple(map(str, range(10)))
    read = [f for p in parts.values() if p is not None for f in p[2]]
    sources = {
        "source": "affNIST",
        "licence": LICENCE,
        "citation": CITATION,
        "files": {str(f.relative_to(home)): files.sha256(f) for f in read},
    }
    return train, val, upright, moved, np.full(len(moved[1]), np.nan), names, sources


def fetch(config: Config, root: Path, cache: Path) -> None:
    """Download MNIST where that is what is warped; affNIST's own archives are unpacked by hand."""
    if config.original:
        raise MissingData(
            f"affNIST is not fetched here; unpack just_centered and transformed of its 32x set into {config.where(root, cache)}"
        )
    files.fetch(config.files(), Path(root), licence=config.licence)
