"""A fold of random wings as a bundle, kept in the cache under the digest of what it is made from."""

from __future__ import annotations

import os
import zipfile
from dataclasses import astuple
from pathlib import Path

import numpy as np

from bench.schema import Arrays, Bundle, fingerprint
from datasets.files import verified
from datasets.wings.config import PARTS, UIUC, Config
from datasets.wings.generate import Recipe, make_many, read_table
from datasets.wings.task import SurfaceTask

VERSION = 1  # raise it when the numbers of a recipe change: old cached arrays then stay apart
COLUMNS = ["x", "y", "z", "nx", "ny", "nz", "piece", "alpha", "mach"]


def load(config: Config, *, fold: str, source: str, root: Path, cache: Path) -> Bundle:
    """x (n, P, 9) float64: COLUMNS at each point; y (n, P) float32: Cp. A sample is a wing at one incidence."""
    number = config.fold_number(fold)
    recipe = Recipe(
        config.section,
        config.chordwise,
        config.spanwise,
        config.incidences,
        tuple(config.alpha),
        tuple(config.mach),
        config.grid,
        config.layout,
        (config.points or 0) if config.layout == "points" else 0,
        config.seed,
    )
    sizes = [getattr(config, p) for p in PARTS]
    table = verified(root, UIUC) if config.section == "uiuc" else None
    wings = stored(recipe, number, sizes, table, Path(cache))
    k = recipe.incidences
    x, y = samples(wings), wings["cp"].reshape(-1, wings["cp"].shape[-1]).astype(np.float32)
    owner = np.repeat(np.arange(sum(sizes)), k)
    cuts = np.cumsum([0, *sizes]) * k
    split = {p: Arrays(x[a:b], y[a:b], owner[a:b]) for p, a, b in zip(PARTS, cuts[:-1], cuts[1:], strict=True)}
    structured = config.layout == "grid"
    meta = {
        "columns": COLUMNS,
        "grid": (recipe.chordwise, recipe.spanwise) if structured else None,
        "reliable": reliable(recipe.chordwise, recipe.spanwise) if structured else np.ones(x.shape[1], bool),
    }
    if structured:
        meta["weight"] = wings["weight"].reshape(len(x), -1)[cuts[2] :]
    return Bundle(
        kind="surface_cp",
        **split,
        n_out=1,
        shape=x.shape[1:],
        group=f"split{fold}",
        origin="simulated",
        fingerprint=fingerprint(x, y, *sizes),
        task=SurfaceTask(),
        card={
            "licence": config.licence,
            "source": "random wings solved by a panel method; nothing is downloaded"
            + ("" if table is None else "; sections from the UIUC data base"),
            "citation": config.citation,
        },
        meta=meta,
    )


def samples(wings: dict[str, np.ndarray]) -> np.ndarray:
    """COLUMNS (n k, P, 9) of n wings at k incidences each."""
    n, k = wings["alpha"].shape
    points = np.concatenate([wings["x"], wings["normal"], wings["piece"][..., None]], -1)
    conditions = np.stack([wings["alpha"], wings["mach"]], -1).reshape(n * k, 1, 2)
    return np.concatenate([np.repeat(points, k, axis=0), np.broadcast_to(conditions, (n * k, points.shape[1], 2))], -1)


def reliable(chordwise: int, spanwise: int) -> np.ndarray:
    """(P,): false beside the trailing edge and at the tip, where flat panels resolve neither the edge nor the tip vortex."""
    good = np.ones((chordwise, spanwise), bool)
    good[[0, -1]], good[:, -1] = False, False
    return good.ravel()


def stored(recipe: Recipe, fold: int, sizes: list[int], table: Path | None, cache: Path) -> dict[str, np.ndarray]:
    """The fold's wings from the cache, where their own digest is checked; solved anew when absent or damaged."""
    path = cache / "wings" / f"{fingerprint('wings', VERSION, repr(astuple(recipe)), fold, *sizes)[:16]}.npz"
    try:
        with np.load(path) as kept:
            wings, digest = {k: kept[k] for k in kept.files if k != "digest"}, str(kept["digest"])
        if fingerprint(*(wings[k] for k in sorted(wings))) == digest:
            return wings
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
        pass
    # parts are streams of their own: more training wings leave the test wings as they are
    places = [(fold, part, i) for part, size in enumerate(sizes) for i in range(size)]
    wings = make_many(recipe, places, None if table is None else read_table(table))
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.npz")
    np.savez(part, **wings, digest=fingerprint(*(wings[k] for k in sorted(wings))))
    os.replace(part, path)
    return wings
