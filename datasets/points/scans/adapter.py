"""Clouds of scans and meshes: each cloud is a fresh random sample of its whole shape."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.schema import ORIGIN, Bundle
from datasets.files import verified
from datasets.points.analytic.adapter import draw
from datasets.points.bundle import Split, bundle
from datasets.points.meshes import read_mesh, sample_mesh
from datasets.points.scans.config import FILES, Config
from datasets.points.shapes import FAMILIES


def load(config: Config, *, fold: str, source: str, root: Path, cache: Path) -> Bundle:
    """normals: the fold's shape tests, the others train and validate; class: every shape is a class in all splits.

    The stand-in has analytic surfaces: three families train, the other three test.
    """
    if source == "synthetic":
        names, splits = list(FAMILIES), _stand_in(config, fold)
    else:
        names = list(config.shapes)
        held = [fold] if config.target == "normals" else names
        rest = [s for s in names if s != fold]
        size = {"train": config.clouds, "val": max(1, config.clouds // 4), "test": config.clouds}
        splits = {
            part: _draw(config, held if part == "test" else rest, size[part], root, stream)
            for stream, part in enumerate(size)
        }
    card = {
        "licence": config.licence,
        "source": "hexygen/pcpnet and alecjacobson/common-3d-test-models on GitHub",
        "citation": config.citation,
    }
    seed = config.fold_number(fold)
    return bundle(config, splits, group=fold, origin=ORIGIN[source], names=names, seed=seed, card=card)


def _draw(config: Config, shapes: list[str], clouds: int, root: Path, stream: int) -> Split:
    parts = []
    for name in shapes:
        label = config.shapes.index(name)
        rng = np.random.default_rng([label, stream])
        path = verified(root, FILES[name])
        if path.suffix == ".npz":
            with np.load(path) as d:
                index = rng.integers(len(d["points"]), size=(clouds, config.points))
                points, normals = d["points"][index].astype(float), d["normals"][index].astype(float)
        else:
            flat = sample_mesh(*read_mesh(path), clouds * config.points, rng)
            points, normals = (a.reshape(clouds, config.points, 3) for a in flat)
        parts.append((points, normals, np.full(clouds, label)))
    points, normals, label = (np.concatenate(a) for a in zip(*parts, strict=True))
    return points, normals, label


def _stand_in(config: Config, fold: str) -> dict[str, Split]:
    seed, size = config.fold_number(fold), 6 * config.clouds
    sizes = {"train": size, "val": max(6, size // 4), "test": size}
    splits = {part: draw(sizes[part], config.points, [99, seed, i]) for i, part in enumerate(sizes)}
    if config.target == "class":
        return splits
    return {p: tuple(a[(s[2] < 3) != (p == "test")] for a in s) for p, s in splits.items()}  # type: ignore[misc]
