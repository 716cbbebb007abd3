"""Scans and watertight meshes as test clouds, analytic closed shapes as training clouds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.schema import ORIGIN, BenchError, Bundle
from datasets.files import verified
from datasets.points.closed import CLOSED
from datasets.points.meshes import read_mesh, sample_mesh
from datasets.points.oriented import Clouds, analytic, oriented, pick, taken
from datasets.points.oriented_scans.config import FILES, SIGNED, Config


def load(config: Config, *, fold: str, source: str, root: Path, cache: Path) -> Bundle:
    """One fold: every shape is a test cloud and a category of its own. The stand-in tests on analytic shapes."""
    train, _ = analytic(config.train, config.points, config.noise, [32, 0])
    val, _ = analytic(config.val, config.points, config.noise, [32, 1], config.query)
    if source == "synthetic":
        test, names = analytic(len(CLOSED), config.points, [0.0], [32, 2], config.query)
        signed = np.ones(len(names), bool)
    else:
        names = list(config.shapes)
        points, normals = (np.stack(a) for a in zip(*(_cloud(n, config.points, root) for n in names), strict=True))
        query = pick(len(names), config.points, config.query, np.random.default_rng(33))
        test, signed = Clouds(points, taken(normals, query), None, query), np.isin(names, SIGNED)
    test.group = np.arange(len(names))
    val.group = np.zeros(len(val), dtype=int)
    card = {
        "licence": config.licence,
        "source": "hexygen/pcpnet and alecjacobson/common-3d-test-models on GitHub; training clouds made by formula",
        "citation": config.citation,
    }
    return oriented(
        {"train": train, "val": val, "test": test},
        group="scans",
        origin=ORIGIN[source],
        card=card,
        names=names,
        categories=[n.split(",")[0] for n in names],
        signed=signed,
    )


def _cloud(name: str, n: int, root: Path) -> tuple[np.ndarray, np.ndarray]:
    """n points of a scan without repetition, or of a mesh by area, and their normals, float32."""
    rng = np.random.default_rng([34, list(FILES).index(name)])
    path = verified(root, FILES[name])
    if path.suffix == ".npz":
        with np.load(path) as d:
            if len(d["points"]) < n:
                raise BenchError(f"{name} has {len(d['points'])} points and data.points asks for {n}; lower it")
            index = rng.choice(len(d["points"]), n, replace=False)
            points, normals = d["points"][index], d["normals"][index]
    else:
        points, normals = sample_mesh(*read_mesh(path), n, rng)
    return points.astype(np.float32), normals.astype(np.float32)
