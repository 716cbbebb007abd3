"""One tree as a Bundle."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.schema import Arrays, Bundle, fingerprint
from datasets.trees.config import Config, parse


def load(config: Config, *, fold: str, source: str, root: Path, cache: Path) -> Bundle:
    """`train.x` (n, n) float64: row i has the path lengths from node i to all nodes, 1 for each edge; no test split.

    `meta["parent"]` (n,) int64 has the parent of each node, -1 for the root, which is node 0; nodes are numbered level by level.
    """
    config.fold_number(fold)
    b, depth = parse(fold)
    parent = parents(b, depth)
    distances = path_lengths(parent)
    return Bundle(
        kind=config.kind,
        train=Arrays(distances),
        val=None,
        test=None,
        n_out=0,
        shape=(len(parent),),
        group=fold,
        origin="simulated",
        fingerprint=fingerprint(distances),
        card={"licence": config.licence, "source": f"complete tree, branching {b}, depth {depth}"},
        meta={"parent": parent},
    )


def parents(branching: int, depth: int) -> np.ndarray:
    """Parent of each node of a complete tree, numbered level by level."""
    n = sum(branching**k for k in range(depth + 1))
    return (np.arange(n) - 1) // branching


def path_lengths(parent: np.ndarray) -> np.ndarray:
    """(n, n) float64: edges on the path between two nodes."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import shortest_path

    child = np.arange(1, len(parent))
    edges = coo_matrix((np.ones(len(child)), (child, parent[1:])), shape=(len(parent),) * 2)
    return shortest_path(edges, directed=False, unweighted=True)
