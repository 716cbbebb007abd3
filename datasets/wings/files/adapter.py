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
            "starts": list(config.starts) if grid else [],
            "reliable": np.ones(x.shape[1], bool),
        },
    )


def _case(config: Config, case: dict[str, str], index: int) -> dict[str, Any]:
    folder = config.folder()
    surface = read_surface(folder / case["file"], folder / case["values"] if case["values"] else None)
    surface.check(closed=config.closed)
    conditions = [float(case.get(c) or 0) for c in CONDITIONS]
    if config.layout == "grid":
        points, value, shape = _whole(surface, config.field, list(config.starts))
    else:
        found, shape = surface.samples(config.field, config.crease), None
        size = np.linalg.norm(surface.areas, axis=1) if len(surface.faces) else np.ones(len(found["value"]))
        rng = np.random.default_rng([config.seed, index])
        pick = draw(size, found["piece"], config.points, config.least, rng, surface.name)
        points = np.concatenate([found["x"], found["normal"], found["piece"][:, None]], 1)[pick]
        value = found["value"][pick]
    return {"x": np.concatenate([points, np.tile(conditions, (len(points), 1))], 1), "y": value, "grid": shape}


def draw(
    size: np.ndarray, piece: np.ndarray, count: int, least: int, rng: np.random.Generator, name: str = "the surface"
) -> np.ndarray:
    """`count` different places, each smooth piece getting its share of the area; pieces with a share below `least` are left out.

    Raises BenchError where there are too few places, or no piece is large enough.
    """
    inverse = np.unique(piece, return_inverse=True)[1]
    area, places = np.bincount(inverse, weights=size), np.bincount(inverse)
    kept = np.minimum(count * area / area.sum(), places) >= min(least, count)
    if not kept.all():
        print(
            f"{name}: {int((~kept).sum())} small pieces are left out, {area[~kept].sum() / area.sum():.1%} of the area"
        )
    if places[kept].sum() < count:
        raise BenchError(
            f"{name} has {int(places[kept].sum())} places with values in {int(kept.sum())} pieces of data.least={least} points or more, "
            f"and data.points={count}; lower it"
        )
    share = np.where(kept, count * area / area[kept].sum(), 0.0)
    many = np.minimum(np.floor(share).astype(int), places)
    for k in np.argsort(many - share, kind="stable").tolist() * (1 + count):  # what is left over goes round the pieces
        if many.sum() == count:
            break
        many[k] += kept[k] and many[k] < places[k]
    parts = []
    for k, n in enumerate(many):
        own = np.flatnonzero(inverse == k)
        if n:
            parts.append(rng.choice(own, n, replace=False, p=size[own] / size[own].sum()))
    return np.concatenate(parts)


def _whole(surface: Any, field: str, starts: list[int]) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    """Points (P, 7), values (P,) and the shape of a single ordered zone; a new piece starts at the rows `starts`."""
    from models.geometry.forms import grid_forms

    value, at_faces = surface.field(field)
    if len(surface.grids) != 1 or at_faces:
        raise BenchError(
            f"data.layout=grid: {surface.name} is not one ordered zone with values at its nodes; take data.layout=points"
        )
    _, rows, columns = surface.grids[0]
    try:
        normal = grid_forms(surface.nodes.reshape(rows, columns, 3), pieces=(starts, ())).normal.reshape(-1, 3)
    except ValueError as error:
        raise BenchError(f"{surface.name}: {error}") from None
    piece = np.repeat(np.searchsorted(starts, np.arange(rows), side="right"), columns).astype(np.float64)
    return np.concatenate([surface.nodes, normal, piece[:, None]], 1), value, (rows, columns)
