"""Editions of CASP as splits; without files, simulated decoys stand in."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import numpy as np

from bench.schema import ORIGIN, BenchError, Bundle
from datasets.proteins.casp.config import Config
from datasets.proteins.chain import Chain
from datasets.proteins.folds import decoys, natives
from datasets.proteins.models import bundle, graphs, join
from datasets.proteins.pdb import read_pdb

TWIN_DECOYS, TWIN_LEVEL, TWIN_SHARE = 6, 40.0, 0.5
LAYOUT = 1  # of the kept arrays; raise it when what is computed from a file changes
Target = tuple[str, dict[str, np.ndarray]]


def load(config: Config, *, fold: str, source: str, root: Path, cache: Path) -> Bundle:
    """The edition `fold` is tested; the last targets of the training editions by name validate."""
    if source == "real":
        train = [t for e in config.train for t in edition(config, e, cache)]
        test = edition(config, fold, cache)
    else:
        rng = np.random.default_rng([72, config.test.index(fold)])
        chains = natives(3 * config.twin_targets, config.twin_residues, 0.0, rng)
        made = [decoys(c, TWIN_DECOYS, TWIN_LEVEL, TWIN_SHARE, rng) for c in chains]
        every = [(c.name, graphs(c.name, c, models, config)) for c, models in zip(chains, made, strict=True)]
        train, test = every[config.twin_targets :], every[: config.twin_targets]
    held = max(1, round(config.val_share * len(train)))
    if held >= len(train):
        raise BenchError(f"data.train has {len(train)} target; one more is needed to validate: add an edition")
    parts = {"train": train[:-held], "val": train[-held:], "test": test}
    card = {
        "licence": config.licence,
        "source": f"files below {config.path}" if source == "real" else "made by code: simulated decoys",
        "citation": config.citation,
    }
    return bundle({k: join(v) for k, v in parts.items()}, group=fold, origin=ORIGIN[source], card=card)


def edition(config: Config, name: str, cache: Path) -> list[Target]:
    """Targets of an edition with the graphs of their models, kept in the cache: Voronoi cells of 100,000 models take hours."""
    return [(f"{name} {t}", kept(config, f"{name} {t}", *files, cache)) for t, files in config.targets(name).items()]


def kept(config: Config, name: str, native: Path, models: list[Path], cache: Path) -> dict[str, np.ndarray]:
    """The arrays of one target, from the cache where its files and the choices are the same."""
    recipe = {
        "files": [[str(p), p.stat().st_size, p.stat().st_mtime_ns] for p in (native, *models)],
        "choices": [config.contacts, config.radius, config.label, config.incomplete, LAYOUT],
    }
    digest = hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:24]
    path = Path(cache) / "casp" / f"{digest}.npz"
    if path.is_file():
        with np.load(path, allow_pickle=False) as stored:
            return dict(stored)
    arrays = graphs(name, *matched(name, native, models, config.incomplete), config)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.npz")
    np.savez(part, **arrays)
    os.replace(part, path)
    return arrays


def matched(name: str, native: Path, models: list[Path], incomplete: str) -> tuple[Chain, list[Chain]]:
    """The native structure and the models of a target, cut to the residues that all of them have, told apart by number and insertion
    code.

    Raises
    ------
    BenchError : a model shares fewer than half of the native's residues; with incomplete=error also one that lacks any.
    """
    chains = [read_pdb(p, incomplete=incomplete) for p in (native, *models)]
    common = set.intersection(*(set(c.labels) for c in chains))
    for chain in chains[1:]:
        absent = [label for label in chains[0].labels if label not in set(chain.labels)]
        if absent and incomplete == "error":
            raise BenchError(
                f"{chain.name} of {name} has no residue {absent[0]}, which its native structure has; remove the model, or cut all "
                "to their common residues with data.incomplete=drop"
            )
    if 2 * len(common) < len(chains[0]):
        worst = min(chains[1:], key=lambda c: len(set(c.labels) & set(chains[0].labels)))
        raise BenchError(
            f"the models of {name} share {len(common)} of {len(chains[0])} residues with the native structure; remove the least "
            f"complete, e.g. {worst.name}"
        )
    cut = [c.take(np.array([i for i, label in enumerate(c.labels) if label in common])) for c in chains]
    for chain in cut[1:]:
        other = np.flatnonzero(chain.kinds != cut[0].kinds)
        if len(other):
            raise BenchError(
                f"residue {chain.labels[other[0]]} of {chain.name} is of another kind than in the native structure of {name}; "
                "the files do not belong together, or are numbered differently: mend or remove them"
            )
    return cut[0], cut[1:]
