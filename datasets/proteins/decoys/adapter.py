"""Natives and their decoys of one fold."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.schema import BenchError, Bundle
from datasets.proteins.chain import Chain, from_backbone
from datasets.proteins.decoys.config import Config
from datasets.proteins.folds import decoys, natives
from datasets.proteins.models import bundle, graphs, join
from datasets.proteins.pdb import read_pdb

BOND = 2.5  # Angstrom: a longer C-N distance is a gap in the chain


def load(config: Config, *, fold: str, source: str, root: Path, cache: Path) -> Bundle:
    """Training, validation and test models; origin simulated also where the natives are real, since the models are not."""
    rng = np.random.default_rng([71, int(fold)])
    counts = {part: getattr(config, part) for part in ("train", "val", "test")}
    many = sum(counts.values())
    if config.natives:
        chains = given(config.folder(), many, rng)
    else:
        chains = natives(many, config.residues, config.spread, rng)
    made = [decoys(c, config.decoys, config.level, config.share, rng) for c in chains]
    targets = [(c.name, graphs(c.name, c, models, config)) for c, models in zip(chains, made, strict=True)]
    splits, start = {}, 0
    for part, n in counts.items():
        splits[part] = join(targets[start : start + n])
        start += n
    origin = f"native structures of {config.natives}" if config.natives else "native backbones made by formula"
    card = {"licence": config.licence, "source": f"{origin}, decoys by noise on torsion angles"}
    return bundle(splits, group=f"draw{fold}", origin="simulated", card=card)


def given(folder: Path, many: int, rng: np.random.Generator) -> list[Chain]:
    """`many` chains of the *.pdb files of a folder in random order: N, CA, C of the longest piece without a gap of each."""
    files = sorted(folder.glob("*.pdb")) if folder.is_dir() else []
    if len(files) < many:
        raise BenchError(
            f"data.natives: {folder} has {len(files)} *.pdb files and {many} natives are asked for; add files, or lower data.train, "
            "data.val and data.test"
        )
    return [unbroken(read_pdb(files[k], incomplete="drop")) for k in rng.permutation(len(files))[:many]]


def unbroken(chain: Chain) -> Chain:
    """The longest piece whose neighbours in the sequence are bonded."""
    gap = np.linalg.norm(chain.backbone[1:, 0] - chain.backbone[:-1, 2], axis=1) > BOND
    pieces = np.split(np.arange(len(chain)), np.flatnonzero(gap) + 1)
    keep = max(pieces, key=len)
    return from_backbone(chain.kinds[keep], chain.backbone[keep], chain.name)
