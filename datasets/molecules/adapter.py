"""A set of molecules as a bundle: one training file split at random, test sets side by side."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.schema import ORIGIN, Arrays, BenchError, Bundle, MissingData, fingerprint
from datasets.files import verified
from datasets.molecules.config import FILES, Config
from datasets.molecules.task import EnergyForces
from datasets.molecules.xyz import Geometries, free_atoms, read

SPREAD = (0.05, 0.08, 0.05, 0.1, 0.1, 0.1)  # angstrom, of the stand-in's test sets
TWIN = {"train": 64, "test": 32}


def load(config: Config, *, fold: str, source: str, root: Path, cache: Path) -> Bundle:
    """x (n, A, 4) float32: atomic number and position (angstrom); y (n, 1 + 3 A) float32: energy and forces; group: test set."""
    pool, tests = _real(config, Path(root)) if source == "real" else _twin(config, int(fold))
    order = np.random.default_rng([int(fold), 20240506]).permutation(len(pool))
    holdout = (config.holdout or max(1, len(pool) // 10)) if config.layout().holdout else 0
    val = config.val or max(1, len(pool) // 10)
    left = len(pool) - holdout - val
    train = config.train or left
    if left < 1 or train > left:
        raise BenchError(
            f"the training file has {len(pool)} geometries: data.train={config.train} with {val} for validation and {holdout} held out "
            f"are too many; lower one of them"
        )
    cut = np.cumsum([holdout, val, train])
    if holdout:
        tests = {config.layout().holdout: pool.take(order[: cut[0]]), **tests}
    tests = {name: t.take(_spaced(len(t), config.test)) for name, t in tests.items()}
    known = set(np.unique(pool.z).tolist())
    for name, t in tests.items():
        new = sorted(set(np.unique(t.z).tolist()) - known - {0})
        if new:
            raise BenchError(
                f"test set {name} has atomic number {new[0]}, which no training geometry has; leave those geometries out"
            )
    atoms = max(g.z.shape[1] for g in (pool, *tests.values()))
    pool, tests = pool.padded(atoms), {n: t.padded(atoms) for n, t in tests.items()}
    split = {"val": pool.take(order[cut[0] : cut[1]]), "train": pool.take(order[cut[1] : cut[2]])}
    if any(np.isnan(s.forces).any() for s in split.values()):
        raise BenchError("the training file has geometries without forces; data.forces_key names their column")
    arrays = {name: Arrays(*_xy(g)) for name, g in split.items()}
    x, y = (np.concatenate(parts) for parts in zip(*map(_xy, tests.values()), strict=True))
    group = np.concatenate([np.full(len(t), name) for name, t in tests.items()])
    whole = [a for s in (arrays["train"], arrays["val"]) for a in (s.x, s.y)]
    return Bundle(
        kind="molecules",
        train=arrays["train"],
        val=arrays["val"],
        test=Arrays(x, y, group),
        n_out=1,
        shape=x.shape[1:],
        group=f"{config.dataset} {fold}",
        origin=ORIGIN[source],
        fingerprint=fingerprint(*whole, x, y, *group.tolist()),
        task=EnergyForces(next(iter(tests))),
        card={
            "licence": config.licence,
            "source": ", ".join(config.paths()) if source == "real" else "simulated: ethanol with Morse potentials",
            "citation": config.citation,
        },
        meta={"species": sorted(known - {0}), "tests": list(tests)},
    )


def _xy(g: Geometries) -> tuple[np.ndarray, np.ndarray]:
    x = np.concatenate([g.z[..., None], g.r], -1).astype(np.float32)
    return x, np.concatenate([g.energy[:, None], g.forces.reshape(len(g), -1)], 1).astype(np.float32)


def _spaced(n: int, limit: int | None) -> np.ndarray:
    return np.arange(n) if limit is None or limit >= n else np.linspace(0, n - 1, limit).round().astype(int)


def _real(config: Config, root: Path) -> tuple[Geometries, dict[str, Geometries]]:
    layout, keys = config.layout(), (config.energy_key, config.forces_key)

    def at(path: str) -> Path:
        if path in FILES:
            return verified(root, FILES[path])
        if not (root / path).is_file():
            raise MissingData(f"{root / path} is not there; put the file there or name its folder by BENCH_DATA")
        return root / path

    pool = read(at(layout.train), *keys)
    tests = {name: read(at(path), *keys) for name, path in layout.tests.items()}
    if layout.free:
        free = free_atoms(at(layout.free), config.energy_key)
        pool, tests = pool.bound(free), {name: t.bound(free) for name, t in tests.items()}
    return pool, tests


def _twin(config: Config, fold: int) -> tuple[Geometries, dict[str, Geometries]]:
    from datasets.molecules.twin import geometries

    wanted = (config.train or TWIN["train"]) + (config.val or 8) + (config.holdout or 8)
    pool = geometries(wanted, SPREAD[0], 1000 * fold)
    names = list(config.layout().tests)
    count = config.test or TWIN["test"]
    return pool, {
        n: geometries(count, s, 1000 * fold + k + 1) for k, (n, s) in enumerate(zip(names, SPREAD, strict=False))
    }
