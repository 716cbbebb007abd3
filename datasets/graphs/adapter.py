"""Graph sets as bundles: for separation all graphs are the training split; EXP is also split for classification."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.schema import ORIGIN, Arrays, Bundle, fingerprint
from datasets.files import verified
from datasets.graphs.config import Config
from datasets.graphs.sets import connected_seven, cycle_pairs, pack, random_eight, read_exp, read_graph6


def load(config: Config, *, fold: str, source: str, root: Path, cache: Path) -> Bundle:
    """x (N, n, n + 1 + f): adjacency, vertex mask, node features, padded with zeros.

    graph7c, graph8c: no labels and no test split, `meta["pairs"]` = "all". exp: labels y, `meta["pairs"]` = "consecutive";
    graphs 0-199 validate, 200-399 test, the rest train (the split of the published script), so pairs are never torn apart.
    """
    features, y = None, None
    paths = [verified(root, f) for f in config.files()] if source == "real" else []
    if config.graphs == "graph7c":
        graphs = connected_seven()
    elif config.graphs == "graph8c":
        graphs = read_graph6(paths[0]) if paths else random_eight(config.twin_graphs)
    else:
        graphs, features, y = read_exp(paths[0]) if paths else cycle_pairs(config.twin_graphs)
    if y is None:
        graphs = graphs[: config.limit]
    x = pack(graphs, features)
    sixth = len(x) // 12 * 2
    split = {"train": Arrays(x), "val": None, "test": None}
    if y is not None:
        split = {
            "train": _part(x, y, 2 * sixth, len(x)),
            "val": _part(x, y, 0, sixth),
            "test": _part(x, y, sixth, 2 * sixth),
        }
    return Bundle(
        kind="graphs",
        **split,
        n_out=0 if y is None else 2,
        shape=x.shape[1:],
        group=config.graphs,
        origin=ORIGIN[source],
        fingerprint=fingerprint(x, y),
        card={
            "licence": config.licence,
            "source": {"real": "balcilar/gnn-matlang on GitHub", "simulated": "enumeration (networkx graph atlas)"}.get(
                source, "made by code: pairwise different spectra, or cycle pairs"
            ),
            "citation": config.citation,
        },
        meta={"pairs": "all" if y is None else "consecutive", "vertices": int(x.shape[1])},
    )


def _part(x: np.ndarray, y: np.ndarray, start: int, stop: int) -> Arrays:
    return Arrays(x[start:stop], y[start:stop])
