"""Read a PCPNet-style folder."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np

from bench.schema import ORIGIN, BenchError, Bundle, MissingData
from datasets.points.oriented import Clouds, analytic, oriented
from datasets.points.pcpnet.config import Config


def load(config: Config, *, fold: str, source: str, root: Path, cache: Path) -> Bundle:
    """The published lists train, validate and test; a category is one test list. The stand-in has analytic closed shapes."""
    categories = [n.removeprefix("testset_") for n in config.test_lists]
    if source == "synthetic":
        levels = {"no_noise": 0.0, "med_noise": 0.006}
        parts = {
            part: analytic(12, config.twin, [*levels.values()], [35, i], None if part == "train" else config.query)
            for i, part in enumerate(("train", "val", "test"))
        }
        splits, names, categories = {k: v[0] for k, v in parts.items()}, parts["test"][1], list(levels)
    else:
        folder = Path(root) / config.folder
        lists = [_names(folder, n) for n in config.test_lists]
        names = [n for part in lists for n in part]
        splits = {
            "train": _read(folder, _names(folder, config.train_list), None, None),
            "val": _read(folder, _names(folder, config.val_list), config.query, None),
            "test": _read(folder, names, config.query, np.repeat(np.arange(len(lists)), [len(p) for p in lists])),
        }
    card = {
        "licence": config.licence,
        "source": f"{config.folder}: list/*.txt, .xyz, .normals, .pidx",
        "citation": config.citation,
    }
    return oriented(splits, group=config.folder, origin=ORIGIN[source], card=card, names=names, categories=categories)


def _names(folder: Path, name: str) -> list[str]:
    path = folder / "list" / f"{name}.txt"
    if not path.is_file():
        raise MissingData(f"{path} is missing; put the published lists there or set data.folder and the list names")
    names = path.read_text().split()
    if not names:
        raise BenchError(f"{path} names no shape; complete it")
    return names


def _read(folder: Path, names: list[str], query: int | None, category: np.ndarray | None) -> Clouds:
    """Clouds of the named shapes; with `query`, the points of the .pidx file, or that many drawn ones, are scored."""
    points, normals, chosen = [], [], []
    for name in names:
        p, n = (_table(folder / f"{name}{ext}") for ext in (".xyz", ".normals"))
        if len(p) != len(n):
            raise BenchError(
                f"{folder / name} has {len(p)} points and {len(n)} normals; its files do not belong together"
            )
        size = np.linalg.norm(n, axis=1, keepdims=True)
        if not (size > 0).all():
            raise BenchError(f"{folder / name}.normals has a normal of length 0; repair or remove the shape")
        points.append(p)
        normals.append(n / size)
        chosen.append(_chosen(folder / f"{name}.pidx", len(p), query))
    category = np.zeros(len(names), dtype=int) if category is None else category
    if query is None:
        return Clouds(points, normals, category)
    q = min(len(c) for c in chosen)  # published files score 5,000 points of every shape
    index = np.stack([c[:q] for c in chosen])
    return Clouds(points, np.stack([n[i] for n, i in zip(normals, index, strict=True)]), category, index)


def _chosen(path: Path, n: int, query: int | None) -> np.ndarray:
    if path.is_file():
        index = np.loadtxt(path, dtype=np.int64, ndmin=1)
        if index.min() < 0 or index.max() >= n:
            raise BenchError(
                f"{path} names point {index.max()} and the shape has {n}; its files do not belong together"
            )
        return index
    rng = np.random.default_rng(zlib.crc32(path.stem.encode()))
    return rng.choice(n, min(query or n, n), replace=False)


def _table(path: Path) -> np.ndarray:
    """(n, 3) float32 of a text file with three or more columns."""
    if not path.is_file():
        raise MissingData(f"{path} is missing; put the shape there or take it off its list")
    try:
        table = np.loadtxt(path, dtype=np.float32, ndmin=2)[:, :3]
    except (ValueError, IndexError) as error:
        raise BenchError(f"{path} is not a table of numbers ({error}); repair or replace it") from None
    if table.shape[1] != 3 or not np.isfinite(table).all():
        raise BenchError(f"{path} needs three finite numbers in every line; repair or replace it")
    return table
