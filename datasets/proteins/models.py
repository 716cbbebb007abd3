"""Models of proteins as the arrays that a method reads: residue graphs, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.schema import Bundle, fingerprint
from datasets.proteins.chain import Chain
from datasets.proteins.contacts import areas, exposure, near
from datasets.proteins.options import Proteins
from datasets.proteins.scores import cad, lddt
from datasets.proteins.task import DecoyRanking

FEATURES = 3


@dataclass
class Models:
    """M models with N residues and E directed edges in all; residues and edges of one model follow each other.

    `kinds` (N,) in [0, 20); `backbone` (N, 3, 3) N, CA, C in Angstrom; `features` (N, 3), see contacts.exposure; `y` (N,) local
    scores in [0, 1]; `sizes` (M,) residues; `target` (M,) which entry of `names` each is a model of; `edges` (E, 2) residues
    (i, j) of one model, numbered within it and ordered by i, with `weight` (E,) > 0, of which each model has `degrees` (M,).
    float32 and int64.
    """

    kinds: np.ndarray
    backbone: np.ndarray
    features: np.ndarray
    y: np.ndarray
    sizes: np.ndarray
    target: np.ndarray
    edges: np.ndarray
    weight: np.ndarray
    degrees: np.ndarray
    names: list[str]

    def __len__(self) -> int:
        return len(self.sizes)

    def arrays(self) -> list[np.ndarray]:
        return [self.kinds, self.backbone, self.features, self.y, self.sizes, self.target, self.edges, self.weight]


def graphs(name: str, native: Chain, models: Sequence[Chain], config: Proteins) -> dict[str, np.ndarray]:
    """The arrays of `Models` but `target`, for the models of one target; native and models have the same residues.

    Raises
    ------
    ValueError : a single model, which nothing can be ranked against, or a native structure in which a residue has no neighbour.
    """
    if len(models) < 2:
        raise ValueError(
            f"target {name} has {len(models)} decoy{'' if len(models) == 1 else 's'}; ranking needs at least 2: add models or "
            "remove the target"
        )
    touching = [areas(m) for m in models] if config.label == "cad" or config.contacts == "voronoi" else []
    joined = touching if config.contacts == "voronoi" else [near(m, config.radius) for m in models]
    edges = [np.argwhere(a > 0) for a in joined]
    if config.label == "lddt":
        y = lddt(native.backbone[:, 1], np.stack([m.backbone[:, 1] for m in models]))
    else:
        true = areas(native)
        y = np.stack([cad(true, a) for a in touching])
    return {
        "kinds": np.concatenate([m.kinds for m in models]),
        "backbone": np.concatenate([m.backbone for m in models]).astype(np.float32),
        "features": np.concatenate([exposure(m, config.radius) for m in models]).astype(np.float32),
        "y": y.astype(np.float32).reshape(-1),
        "sizes": np.array([len(m) for m in models]),
        "edges": np.concatenate(edges),
        "weight": np.concatenate([a[a > 0] for a in joined]).astype(np.float32),
        "degrees": np.array([len(e) for e in edges]),
    }


def join(targets: Sequence[tuple[str, dict[str, np.ndarray]]]) -> Models:
    """A split from the names of targets and their arrays."""
    if not targets:
        raise ValueError("there is no target; give one or more native structures with models")
    parts = [arrays | {"target": np.full(len(arrays["sizes"]), t)} for t, (_, arrays) in enumerate(targets)]
    return Models(**{k: np.concatenate([p[k] for p in parts]) for k in parts[0]}, names=[name for name, _ in targets])


def bundle(splits: dict[str, Models], *, group: str, origin: str, card: dict[str, Any]) -> Bundle:
    """A bundle of kind protein_models; n_out 1 score for each residue."""
    seen = [set(s.names) for s in splits.values()]
    if sum(map(len, seen)) != len(set.union(*seen)):
        raise ValueError("a target occurs in two splits; decoys of one target are near duplicates and stay together")
    return Bundle(
        kind="protein_models",
        **splits,
        n_out=1,
        shape=(FEATURES,),
        group=group,
        origin=origin,
        fingerprint=fingerprint(*(a for s in splits.values() for a in s.arrays())),
        task=DecoyRanking(),
        card=card,
        meta={"targets": len(splits["test"].names), "models": len(splits["test"])},
    )
