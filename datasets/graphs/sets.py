"""The graph sets as lists of adjacency matrices and node features; networkx enumerates and reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def connected_seven() -> list[np.ndarray]:
    """Adjacency matrices of all 853 connected graphs on seven vertices, in the order of networkx' atlas."""
    import networkx as nx

    found = [g for g in nx.graph_atlas_g() if g.number_of_nodes() == 7 and nx.is_connected(g)]
    return [nx.to_numpy_array(g, nodelist=range(7)) for g in found]


def read_graph6(path: Path) -> list[np.ndarray]:
    """Adjacency matrices of a file of graph6 lines."""
    import networkx as nx

    graphs = [nx.from_graph6_bytes(line.strip()) for line in path.read_bytes().splitlines() if line.strip()]
    return [nx.to_numpy_array(g, nodelist=range(g.number_of_nodes())) for g in graphs]


def read_exp(path: Path) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray]:
    """Adjacency matrices, node features (n, 1) in {0, 1} and labels of EXP; graphs 2k and 2k + 1 are a pair."""
    with np.load(path) as d:
        sizes, edges, ends, x, y = (
            d["num_nodes"],
            d["num_edges"],
            d["edge_index"],
            d["x"].reshape(-1),
            d["y"].reshape(-1),
        )
    node, edge = np.cumsum([0, *sizes]), np.cumsum([0, *edges])
    graphs, features = [], []
    for k, n in enumerate(sizes):
        a = np.zeros((n, n))
        i, j = ends[:, edge[k] : edge[k + 1]]
        a[i, j] = a[j, i] = 1.0
        graphs.append(a)
        features.append(x[node[k] : node[k + 1], None].astype(float))
    return graphs, features, y.astype(np.int64)


def random_eight(count: int, seed: int = 0) -> list[np.ndarray]:
    """Connected graphs on eight vertices with pairwise different spectra, so pairwise not isomorphic."""
    rng, out, seen = np.random.default_rng(seed), [], set()
    while len(out) < count:
        a = np.triu((rng.random((4 * count, 8, 8)) < rng.uniform(0.2, 0.7, (4 * count, 1, 1))).astype(float), 1)
        a = a + a.transpose(0, 2, 1)
        lap = np.eye(8) * a.sum(2)[:, None] - a
        spectra = np.round(np.concatenate([np.linalg.eigvalsh(lap), np.linalg.eigvalsh(a)], 1), 5) + 0.0
        for g, s in zip(a, spectra, strict=True):
            if s[1] > 1e-4 and s.tobytes() not in seen and len(out) < count:
                seen.add(s.tobytes())
                out.append(g)
    return out


def cycle_pairs(count: int, seed: int = 0) -> tuple[list[np.ndarray], list[np.ndarray], np.ndarray]:
    """A stand-in for EXP with a known truth: pairs that 1-WL cannot tell apart and that differ in one cycle.

    Label 1: one cycle of 2k vertices; label 0: two cycles of k. A hub (feature 1) touches every vertex of the cycles and
    carries a random tree, the same in both graphs of a pair; labels alternate 1, 0; 32 to 64 vertices, randomly numbered.
    """
    rng = np.random.default_rng(seed)
    graphs, features, labels = [], [], []
    for _ in range(count // 2):
        k, n = int(rng.integers(5, 12)), int(rng.integers(32, 65))
        parent = rng.integers(2 * k, np.arange(2 * k + 1, n))
        x = np.zeros((n, 1))
        x[2 * k :, 0] = rng.random(n - 2 * k) < 0.5
        x[2 * k] = 1.0
        for label in (1, 0):
            a = np.zeros((n, n))
            i = np.arange(2 * k)
            a[i, (i + 1) % (2 * k) if label else i // k * k + (i + 1) % k] = 1.0
            a[2 * k, i] = 1.0
            a[np.arange(2 * k + 1, n), parent] = 1.0
            order = rng.permutation(n)
            graphs.append((a + a.T)[np.ix_(order, order)])
            features.append(x[order])
            labels.append(label)
    return graphs, features, np.array(labels)


def pack(graphs: list[np.ndarray], features: list[np.ndarray] | None = None) -> np.ndarray:
    """(N, n, n + 1 + f) float32: adjacency, a column of ones where there is a vertex, node features; zeros beyond a graph's size."""
    n = max(len(g) for g in graphs)
    width = 0 if features is None else features[0].shape[1]
    x = np.zeros((len(graphs), n, n + 1 + width), dtype=np.float32)
    for k, g in enumerate(graphs):
        x[k, : len(g), : len(g)] = g
        x[k, : len(g), n] = 1.0
        if features is not None:
            x[k, : len(g), n + 1 :] = features[k]
    return x
