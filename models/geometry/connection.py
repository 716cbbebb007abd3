"""Tangent frames of a point cloud, parallel transport between them, and the connection Laplacian with its lowest modes.

The cloud is a sample of an m-dimensional submanifold of R^D. Singer and Wu, Vector diffusion maps and the connection Laplacian (2012);
the choices (unweighted graph, neighbourhoods by graph distance, dimension from explained variance) are those of Peach et al. (ICLR 2024).
Everything is float64 numpy and scipy.sparse; no n m x n m array is ever dense unless (nearly) all modes are asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

SHIFT = 1e-6  # the shift-inverted matrix is L + SHIFT I: definite although L is singular


def check_cloud(points: np.ndarray, neighbours: int) -> np.ndarray:
    """points (n, D) as float64; ValueError, in one sentence that names the row, unless finite, distinct and more than `neighbours`."""
    points = np.asarray(points, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] < 2:
        raise ValueError(f"points have shape {points.shape}; give (n, D) with D >= 2")
    if not np.isfinite(points).all():
        row = int(np.flatnonzero(~np.isfinite(points).all(1))[0])
        raise ValueError(f"point {row} is not finite (NaN or Inf); drop or repair it")
    if len(points) <= neighbours:
        raise ValueError(
            f"there are {len(points)} points and {neighbours} neighbours of each are asked for; lower the neighbours"
        )
    order = np.lexsort(points.T)
    same = np.flatnonzero((points[order[1:]] == points[order[:-1]]).all(1))
    if len(same):
        a, b = sorted(order[same[0] : same[0] + 2].tolist())
        raise ValueError(f"points {a} and {b} are duplicates; keep one of them")
    return points


def check_vectors(vectors: np.ndarray, shape: tuple[int, ...], name: str = "vectors") -> np.ndarray:
    """vectors of `shape` as float64; ValueError naming the first row that is not finite."""
    vectors = np.asarray(vectors, dtype=np.float64)
    if vectors.shape != shape:
        raise ValueError(f"{name} have shape {vectors.shape}; give {shape}, one vector for each point")
    if not np.isfinite(vectors).all():
        row = int(np.flatnonzero(~np.isfinite(vectors).reshape(len(vectors), -1).all(1))[0])
        raise ValueError(f"{name}: the vector of point {row} is not finite (NaN or Inf); drop or repair it")
    return vectors


def neighbour_graph(points: np.ndarray, k: int, bridge: bool = False) -> sp.csr_array:
    """Unweighted graph (n, n), 1.0 where either point lists the other among its k nearest; no self loops.

    bridge: join components by their shortest edges. Otherwise ValueError for a graph in pieces, naming a point of the smallest.
    """
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    points = check_cloud(points, k)
    n, tree = len(points), cKDTree(points)
    near = tree.query(points, k=range(2, k + 2))[1]
    row = np.repeat(np.arange(n), k)
    graph = sp.coo_array((np.ones(n * k), (row, near.ravel())), shape=(n, n)).tocsr()
    graph = graph.maximum(graph.T).tocsr()
    count, label = connected_components(graph, directed=False)
    if count > 1 and not bridge:
        size = np.bincount(label)
        first = int(np.flatnonzero(label == size.argmin())[0])
        raise ValueError(
            f"the graph of {k} neighbours falls into {count} pieces (point {first} is in one of {size.min()}); "
            "raise the neighbours, or drop the stray points"
        )
    while count > 1:
        inside = label == 0
        distance, other = cKDTree(points[inside]).query(points[~inside])
        a = np.flatnonzero(~inside)[distance.argmin()]
        b = np.flatnonzero(inside)[other[distance.argmin()]]
        extra = sp.coo_array((np.ones(2), ([a, b], [b, a])), shape=(n, n)).tocsr()
        graph = (graph + extra).tocsr()
        count, label = connected_components(graph, directed=False)
    return graph


def hop_neighbours(points: np.ndarray, graph: sp.csr_array, count: int) -> np.ndarray:
    """Indices (n, count): the points nearest in the number of edges, the point itself first; ties by Euclidean distance.

    Breaking ties by distance, and not by place in memory, makes frames independent of numbering and of rigid motions.
    """
    n = len(points)
    if n < count:
        raise ValueError(f"there are {n} points and tangent frames take {count} of them; lower the neighbours")
    reach = sp.identity(n, format="csr")
    hops = [reach]
    while np.diff(reach.indptr).min() < count:
        wider = (reach + reach @ graph).tocsr()
        wider.data[:] = 1.0
        if wider.nnz == reach.nnz:
            raise ValueError("a piece of the graph has too few points for a tangent frame; raise the neighbours")
        hops.append(wider)
        reach = wider
    hop = (len(hops) * reach - sum(hops[:-1], start=sp.csr_array((n, n)))).tocoo()  # number of edges + 1
    distance = np.linalg.norm(points[hop.row] - points[hop.col], axis=1)
    order = np.lexsort((distance, hop.data, hop.row))
    start = np.searchsorted(hop.row[order], np.arange(n))
    return hop.col[order][start[:, None] + np.arange(count)]


def tangent_frames(points: np.ndarray, neighbours: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Left singular vectors (n, D, r) and singular values (n, r), r = min(D, count), of the centred neighbourhoods (n, count)."""
    local = points[neighbours]
    local = local - local.mean(1, keepdims=True)
    u, s, _ = np.linalg.svd(local.swapaxes(1, 2), full_matrices=False)
    return u, s


def intrinsic_dimension(singular: np.ndarray, explained: float = 0.8) -> int:
    """Smallest m for which mean - std over points of the share of variance in m axes is at least `explained`; singular (n, r)."""
    share = np.cumsum(singular**2, axis=1) / np.sum(singular**2, axis=1, keepdims=True)
    enough = share.mean(0) - share.std(0) >= explained
    return int(np.argmax(enough)) + 1 if enough.any() else singular.shape[1]


def transports(frames: np.ndarray, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """R (e, m, m), orthogonal: the one closest to T_i^T T_j (in O(m): a reflection where frames disagree in orientation).

    R_ij carries coordinates in frame j to coordinates in frame i; R_ji = R_ij^T. frames (n, D, m); i, j (e,).
    """
    u, _, vt = np.linalg.svd(frames[i].swapaxes(1, 2) @ frames[j])
    return u @ vt


def graph_laplacian(graph: sp.csr_array) -> sp.csr_array:
    """Combinatorial Laplacian degree - adjacency, (n, n)."""
    return (sp.diags_array(graph.sum(1)) - graph).tocsr()


def connection_laplacian(graph: sp.csr_array, frames: np.ndarray) -> sp.csr_array:
    """(n m, n m) with block (i, j) = L_ij R_ij: symmetric, positive semi-definite. Frames (n, D, m)."""
    n, _, m = frames.shape
    upper = sp.triu(graph, k=1).tocoo()
    i, j = upper.row, upper.col
    r = transports(frames, i, j) * -upper.data[:, None, None]
    diagonal = np.asarray(graph.sum(1))[:, None, None] * np.eye(m)
    row = np.concatenate([i, j, np.arange(n)])
    col = np.concatenate([j, i, np.arange(n)])
    block = np.concatenate([r, r.swapaxes(1, 2), diagonal])
    order = np.lexsort((col, row))
    start = np.searchsorted(row[order], np.arange(n + 1))
    return sp.bsr_array((block[order], col[order], start), shape=(n * m, n * m)).tocsr()


def lowest_modes(laplacian: sp.csr_array, k: int, degree: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """k smallest eigenvalues, ascending, and orthonormal eigenvectors (rows, k), of a symmetric positive semi-definite matrix.

    Lanczos on the shift-inverted matrix, whose sparse factors cost far less than a dense decomposition; dense where more than a third
    of all modes is asked for. degree (rows,): modes of the random-walk matrix diag(1/degree) L instead, with v^T diag(degree) v = 1.
    Raises ValueError for k outside 1..rows.
    """
    from scipy.sparse.linalg import eigsh

    rows = laplacian.shape[0]
    if not 1 <= k <= rows:
        raise ValueError(f"{k} modes of a matrix with {rows} rows are asked for; choose 1 to {rows}")
    scale = None if degree is None else 1 / np.sqrt(degree)
    if scale is not None:
        laplacian = (sp.diags_array(scale) @ laplacian @ sp.diags_array(scale)).tocsr()
    if 3 * k > rows:
        values, vectors = np.linalg.eigh(laplacian.toarray())
        values, vectors = values[:k], vectors[:, :k]
    else:
        start = np.random.default_rng(0).standard_normal(rows)  # a fixed start: the same modes on every run
        values, vectors = eigsh(laplacian.tocsc(), k, sigma=-SHIFT, which="LM", v0=start)
        order = np.argsort(values)
        values, vectors = values[order], vectors[:, order]
    values = np.maximum(values, 0.0)
    return values, vectors if scale is None else scale[:, None] * vectors


@dataclass
class VectorManifold:
    """A cloud with everything the kernels need.

    points (n, D); graph (n, n); frames (n, D, m), orthonormal columns; laplacian (n m, n m), the connection Laplacian.
    """

    points: np.ndarray
    graph: sp.csr_array
    frames: np.ndarray
    laplacian: sp.csr_array

    @classmethod
    def from_points(
        cls, points: np.ndarray, k: int = 10, explained: float = 0.8, dim: int | None = None, bridge: bool = False
    ) -> VectorManifold:
        """Graph of k neighbours, frames from int(1.5 k) further points, dimension estimated unless given."""
        points = np.asarray(points, dtype=np.float64)
        graph = neighbour_graph(points, k, bridge)
        axes, singular = tangent_frames(points, hop_neighbours(points, graph, int(1.5 * k) + 1))
        m = intrinsic_dimension(singular, explained) if dim is None else dim
        if m > axes.shape[2]:
            raise ValueError(f"dim is {m} and the neighbourhoods span {axes.shape[2]} directions; lower it")
        frames = np.ascontiguousarray(axes[:, :, :m])
        return cls(points, graph, frames, connection_laplacian(graph, frames))

    def vector_modes(self, k: int, normalised: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Eigenvalues (k,) and ambient vectors of the modes Phi (n, D, k) = T_i U_i; every mode has squared norm n m.

        On an orientable surface a quarter turn commutes with the transport, so every eigenvalue is double: an odd k cuts a pair, and
        what is kept of it depends on the gauge.
        normalised: of the random-walk connection Laplacian, whose modes are orthogonal under the degrees and have squared norm n m there
        on average.
        """
        n, _, m = self.frames.shape
        degree = np.repeat(np.asarray(self.graph.sum(1)), m) if normalised else None
        values, u = lowest_modes(self.laplacian, k, degree)
        norm = np.sqrt(n * m) if degree is None else np.sqrt(degree.sum())
        return values, self.frames @ (norm * u).reshape(n, m, k)

    def scalar_modes(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Eigenvalues (k,) and modes (n, k) of the graph Laplacian, each of squared norm n."""
        values, u = lowest_modes(graph_laplacian(self.graph), k)
        return values, np.sqrt(len(u)) * u

    def diffuse(self, vectors: np.ndarray, t: float) -> np.ndarray:
        """Heat flow of a tangent field (n, D) for a time t by the vector heat method (Sharp, Soliman and Crane 2019).

        Direction from exp(-t Lc) of the field, magnitude exp(-t L) |field| / exp(-t L) 1.
        """
        from scipy.sparse.linalg import expm_multiply

        vectors = check_vectors(vectors, self.points.shape)
        n, _, m = self.frames.shape
        local = (self.frames.swapaxes(1, 2) @ vectors[:, :, None]).ravel()
        flow = expm_multiply(-t * self.laplacian, local).reshape(n, m)
        scalar = graph_laplacian(self.graph)
        size = expm_multiply(-t * scalar, np.stack([np.linalg.norm(local.reshape(n, m), axis=1), np.ones(n)], 1))
        length = np.linalg.norm(flow, axis=1, keepdims=True)
        if not (length > 0).all():
            raise ValueError(f"the diffused field vanishes at point {int(length.argmin())}; lower the time t")
        return (self.frames @ (flow / length * size[:, :1] / size[:, 1:])[:, :, None])[:, :, 0]

    def project(self, vectors: np.ndarray) -> np.ndarray:
        """Tangent part T_i T_i^T v_i of ambient vectors (n, D)."""
        return (self.frames @ (self.frames.swapaxes(1, 2) @ vectors[:, :, None]))[:, :, 0]


def diameter(points: np.ndarray, sweeps: int = 10) -> float:
    """Largest distance met on a walk from a point to the farthest from it, and so on: a lower bound that is sharp as a rule, in O(n)."""
    at, best = points[0], 0.0
    for _ in range(sweeps):
        distance = np.linalg.norm(points - at, axis=1)
        at, best = points[distance.argmax()], max(best, float(distance.max()))
    return best


def farthest_points(points: np.ndarray, spacing: float, first: int = 0) -> np.ndarray:
    """Indices of a subset with gaps below `spacing` times the diameter; each is the farthest from those before; starts at `first`."""
    points = np.asarray(points, dtype=np.float64)
    gap = spacing * diameter(points)
    chosen = [first]
    distance = np.linalg.norm(points - points[first], axis=1)
    while distance.max() >= gap:
        chosen.append(int(distance.argmax()))
        np.minimum(distance, np.linalg.norm(points - points[chosen[-1]], axis=1), out=distance)
    return np.array(chosen)
