"""One sign for each normal: propagation along a minimum spanning tree (Hoppe et al. 1992), or away from the mean."""

from __future__ import annotations

import numpy as np

from models.geometry.neighbourhoods import nearest


def orient_mst(points: np.ndarray, normals: np.ndarray, k: int) -> np.ndarray:
    """Normals (n, 3) with signs that agree along the minimum spanning tree of the graph of k nearest points, weights 1 - |n_i . n_j|.

    The topmost point of each connected piece, where the outward normal of a closed surface points up, decides its sign. Raises
    ValueError as `nearest` does.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import breadth_first_order, connected_components, minimum_spanning_tree

    n = len(points)
    near = nearest(points, k + 1)[:, 1:]
    i, j = np.repeat(np.arange(n), k), near.ravel()
    # an entry of 0 is no edge to scipy, hence the offset, which is the same for all edges and changes no tree
    weight = 1 - np.abs((normals[i] * normals[j]).sum(1)).clip(max=1) + 1e-6
    tree = minimum_spanning_tree(coo_array((weight, (i, j)), shape=(n, n)).tocsr()).tocoo()
    piece = connected_components(tree, directed=False)[1]
    by_height = np.lexsort((-points[:, 2], piece))
    roots = by_height[np.unique(piece[by_height], return_index=True)[1]]
    # a vertex above all roots makes one tree of the pieces
    a, b = np.r_[tree.row, np.full(len(roots), n)], np.r_[tree.col, roots]
    whole = coo_array((np.ones(len(a)), (a, b)), shape=(n + 1, n + 1)).tocsr()
    parent = breadth_first_order(whole, n, directed=False)[1]
    parent[n] = n
    up = np.vstack([normals, [0.0, 0.0, 1.0]])
    sign = np.where((up * up[parent]).sum(1) < 0, -1.0, 1.0)
    while (parent != n).any():  # pointer jumping: products of signs along the path to the root, in log2(depth) rounds
        sign, parent = sign * sign[parent], parent[parent]
    return normals * sign[:n, None]


def orient_radial(points: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Normals (n, 3) turned away from the mean of the points: right on convex and many star-shaped surfaces."""
    away = ((points - points.mean(0)) * normals).sum(1)
    return normals * np.where(away < 0, -1.0, 1.0)[:, None]
