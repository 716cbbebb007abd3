"""Own surface solutions as a bundle, split by wing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bench.schema import ORIGIN, Arrays, BenchError, Bundle, fingerprint
from datasets.wings.adapter import samples
from datasets.wings.files.config import CONDITIONS, Config
from datasets.wings.generate import Recipe, make_many
from datasets.wings.readers import read_surface
from datasets.wings.task import SurfaceTask

TWIN = 15  # generated wings that stand in


def load(config: Config, *, fold: str, source: str, root: Path, cache: Path) -> Bundle:
    """x (n, P, 10) float64: x, y, z, nx, ny, nz, piece, alpha, mach, reynolds; y (n, P) float32: the pressure coefficient."""
    number = config.fold_number(fold)
    grid = None
    if source == "synthetic":
        recipe = Recipe(chordwise=24, spanwise=6, layout="points", points=config.points, seed=config.seed)
        wings = make_many(recipe, [(0, 3, i) for i in range(TWIN)])
        x = np.concatenate([samples(wings), np.zeros((TWIN, config.points, 1))], -1)
        y, groups, name = wings["cp"][:, 0], [str(i) for i in range(TWIN)], "generated wings stand in"
    else:
        cases = config.cases()
        drawn = [_case(config, c, i) for i, c in enumerate(cases)]
        grids = {d["grid"] for d in drawn}
        if len(grids) > 1:
            raise BenchError(
                f"data.layout=grid: {config.folder()} has grids of different shapes; take data.layout=points"
            )
        grid = grids.pop()
        x, y = np.stack([d["x"] for d in drawn]), np.stack([d["y"] for d in drawn])
        groups, name = [c["group"] for c in cases], str(config.folder())
    labels = sorted(set(groups))
    part = (np.array([labels.index(g) for g in groups]) - number) % config.parts
    split = {p: part == k if k < 2 else part >= 2 for p, k in (("test", 0), ("val", 1), ("train", 2))}
    owner = np.array([labels.index(g) for g in groups])
    return Bundle(
        kind="surface_cp",
        **{p: Arrays(x[m], y[m].astype(np.float32), owner[m]) for p, m in split.items()},
        n_out=1,
        shape=x.shape[1:],
        group=f"split{fold}",
        origin=ORIGIN[source],
        fingerprint=fingerprint(x, y, owner, number, config.parts),
        task=SurfaceTask(),
        card={"licence": config.licence, "source": name, "citation": ""},
        meta={
            "columns": ["x", "y", "z", "nx", "ny", "nz", "piece", *CONDITIONS],
            "grid": grid,
            "reliable": np.ones(x.shape[1], bool),
        },
    )


def _case(config: Config, case: dict[str, str], index: int) -> dict[str, Any]:
    folder = config.folder()
    surface = read_surface(folder / case["file"], folder / case["values"] if case["values"] else None)
    surface.check(closed=config.closed)
    conditions = [float(case.get(c) or 0) for c in CONDITIONS]
    if config.layout == "grid":
        points, value, shape = _whole(surface, config.field)
    else:
        found, shape = surface.samples(config.field, config.crease), None
        size = np.linalg.norm(surface.areas, axis=1) if len(surface.faces) else np.ones(len(found["value"]))
        if len(size) < config.points:
            raise BenchError(
                f"{surface.name} has {len(size)} places with values and data.points={config.points}; lower it"
            )
        rng = np.random.default_rng([config.seed, index])
        pick = rng.choice(len(size), config.points, replace=False, p=size / size.sum())
        points = np.concatenate([found["x"], found["normal"], found["piece"][:, None]], 1)[pick]
        value = found["value"][pick]
    return {"x": np.concatenate([points, np.tile(conditions, (len(points), 1))], 1), "y": value, "grid": shape}


def _whole(surface: Any, field: str) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    """Points (P, 7), values (P,) and the shape of a single ordered zone."""
    from models.geometry.forms import grid_forms

    value, at_faces = surface.field(field)
    if len(surface.grids) != 1 or at_faces:
        raise BenchError(
            f"data.layout=grid: {surface.name} is not one ordered zone with values at its nodes; take data.layout=points"
        )
    _, rows, columns = surface.grids[0]
    try:
        normal = grid_forms(surface.nodes.reshape(rows, columns, 3)).normal.reshape(-1, 3)
    except ValueError as error:
        raise BenchError(f"{surface.name}: {error}") from None
    return np.concatenate([surface.nodes, normal, np.zeros((rows * columns, 1))], 1), value, (rows, columns)
