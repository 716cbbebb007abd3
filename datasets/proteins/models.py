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


def pack(targets: Sequence[tuple[str, Chain, Sequence[Chain]]], config: Proteins) -> Models:
    """Graphs, features and labels of (name, native, models); native and models of one target have the same residues.

    Raises
    ------
    ValueError : no target, or a target with a single model, which nothing can be ranked against.
    """
    if not targets:
        raise ValueError("there is no target; give one or more native structures with models")
    parts: list[dict[str, np.ndarray]] = []
    for t, (name, native, models) in enumerate(targets):
        if len(models) < 2:
            raise ValueError(
                f"target {name} has {len(models)} decoy{'' if len(models) == 1 else 's'}; ranking needs at least 2: add models or "
                "remove the target"
            )
        for model, y in zip(models, labels(native, models, config.label), strict=True):
            joined = near(model, config.radius) if config.contacts == "distance" else areas(model)
            i, j = joined.nonzero()
            parts.append(
                {
                    "kinds": model.kinds,
                    "backbone": model.backbone.astype(np.float32),
                    "features": exposure(model, config.radius).astype(np.float32),
                    "y": y.astype(np.float32),
                    "sizes": np.array([len(model)]),
                    "target": np.array([t]),
                    "edges": np.stack([i, j], 1),
                    "weight": joined[i, j].astype(np.float32),
                    "degrees": np.array([len(i)]),
                }
            )
    joint = {k: np.concatenate([p[k] for p in parts]) for k in parts[0]}
    return Models(**joint, names=[name for name, _, _ in targets])


def labels(native: Chain, models: Sequence[Chain], label: str) -> np.ndarray:
    """(M, n) local scores of the models of one target."""
    if label == "lddt":
        return lddt(native.backbone[:, 1], np.stack([m.backbone[:, 1] for m in models]))
    true = areas(native)
    return np.stack([cad(true, areas(m)) for m in models])


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
