"""Class folders of .off meshes as clouds."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np

from bench.schema import ORIGIN, BenchError, Bundle, MissingData
from datasets.points.analytic.adapter import draw
from datasets.points.bundle import Split, bundle
from datasets.points.meshes import read_mesh, sample_mesh
from datasets.points.modelnet.config import Config
from datasets.points.shapes import FAMILIES


def load(config: Config, *, fold: str, source: str, root: Path, cache: Path) -> Bundle:
    """The published test folder tests; the last `val_share` of each class's training files, by name, validates.

    The stand-in has the six analytic families as classes, 20 training clouds of each.
    """
    if source == "synthetic":
        names = list(FAMILIES)
        splits = {part: draw(6 * n, config.points, [98, n]) for part, n in (("train", 20), ("val", 5), ("test", 10))}
    else:
        names, splits = _read(config, Path(root) / config.folder)
    card = {
        "licence": config.licence,
        "source": f"{config.folder}, class folders of .off meshes",
        "citation": config.citation,
    }
    return bundle(config, splits, group=config.folder, origin=ORIGIN[source], names=names, seed=0, card=card)


def _read(config: Config, folder: Path) -> tuple[list[str], dict[str, Split]]:
    names = sorted(p.name for p in folder.iterdir() if (p / "train").is_dir()) if folder.is_dir() else []
    if not names:
        raise MissingData(f"{folder} has no <class>/train folders; put ModelNet there or set data.folder")
    chosen: dict[str, list[tuple[Path, int]]] = {"train": [], "val": [], "test": []}
    for label, name in enumerate(names):
        files, test = (sorted((folder / name / part).glob("*.off"))[: config.limit] for part in ("train", "test"))
        if len(files) < 2 or not test:
            raise BenchError(
                f"{folder / name} needs two .off files in train and one in test; complete or remove the class"
            )
        cut = len(files) - max(1, round(config.val_share * len(files)))
        for part, some in (("train", files[:cut]), ("val", files[cut:]), ("test", test)):
            chosen[part] += [(f, label) for f in some]
    return names, {part: _sample(config.points, some, folder) for part, some in chosen.items()}


def _sample(n: int, files: list[tuple[Path, int]], folder: Path) -> Split:
    parts = []
    for f, _ in files:  # one file at a time: meshes differ in size
        seed = zlib.crc32(f.relative_to(folder).as_posix().encode())
        parts.append(sample_mesh(*read_mesh(f), n, np.random.default_rng(seed)))
    points, normals = (np.stack(a) for a in zip(*parts, strict=True))
    return points, normals, np.array([label for _, label in files])
