r"""Heat kernels H_t = exp(-t L) of weighted graphs, and the dissimilarity that their logarithm gives.

L = D - W ("combinatorial") or I - D^(-1/2) W D^(-1/2) ("normalised", eigenvalues at most 2). Graphs are scipy sparse arrays, float64;
times t are in units of 1 / L, so they do not compare between the two.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components, minimum_spanning_tree
from scipy.special import ive

THRESHOLD = 1e-4
"""Weights of the alpha-decay kernel below it are dropped, as in graphtools."""
FLOOR = 1e-16  # added below logarithms of the kernel
SMALL = 1e-14  # error of a kernel whose logarithm is taken: far pairs have small entries
DENSE = 20_000  # most points for which an (n, n) matrix is made


def alpha_decay_graph(x: np.ndarray, knn: int = 10, decay: float = 40.0, bridge: bool = False) -> sp.csr_array:
    """W (n, n) of points x (n, d): the mean of K and K^T with K_ij = exp(-(|x_i - x_j| / s_i)^decay), s_i the distance of the knn-th
    neighbour, zero diagonal (the graph of PHATE; Moon et al., Nature Biotechnology 2019).

    Parameters
    ----------
    bridge : join components by the shortest edges between them, each with the weight that its length has for its points

    Raises
    ------
    ValueError : NaN, fewer than knn + 1 points, points repeated more than knn times, a graph that falls apart (the components are named).
    """
    from sklearn.neighbors import NearestNeighbors

    x = np.asarray(x, dtype=np.float64)
    if x.ndim != 2 or not np.isfinite(x).all():
        raise ValueError(f"x has shape {x.shape}; pass points (n, d) without NaN or infinity")
    n = len(x)
    if n < knn + 2:
        raise ValueError(f"{n} points have no {knn} neighbours each to choose from; lower knn or take more points")
    search = NearestNeighbors().fit(x)
    reach = np.log(1 / THRESHOLD) ** (1 / decay)
    k = min(n, 2 * knn + 2)
    while True:
        distance, index = search.kneighbors(x, k)
        scale = distance[:, knn]
        if not (scale > 0).all():
            raise ValueError(
                f"point {int(np.argmin(scale))} and {knn} others are the same point; leave repeated points out or raise knn"
            )
        if k == n or (distance[:, -1] > reach * scale).all():
            break
        k = min(n, 2 * k)
    row = np.repeat(np.arange(n), k)
    weight = np.exp(-((distance / scale[:, None]) ** decay)).ravel()
    keep = (weight >= THRESHOLD) & (row != index.ravel())
    w = sp.csr_array((weight[keep], (row[keep], index.ravel()[keep])), shape=(n, n))
    w = ((w + w.T) / 2).tocsr()
    count, label = connected_components(w, directed=False)
    if count > 1:
        if not bridge:
            sizes = ", ".join(map(str, sorted(np.bincount(label).tolist(), reverse=True)[:5]))
            raise ValueError(
                f"the neighbour graph falls into {count} components, the largest of {sizes} points; raise knn, or bridge them"
            )
        w = _bridged(w, x, label, float(w.data.min()))
    return w


def _bridged(w: sp.csr_array, x: np.ndarray, label: np.ndarray, weight: float) -> sp.csr_array:
    """The graph with one edge, of the smallest weight there is, for each edge of a minimum spanning tree of the components."""
    from sklearn.neighbors import NearestNeighbors

    count = int(label.max()) + 1
    gap, ends = np.zeros((count, count)), {}
    searches = [NearestNeighbors(n_neighbors=1).fit(x[label == c]) for c in range(count)]
    places = [np.flatnonzero(label == c) for c in range(count)]
    for a in range(count):
        for b in range(a + 1, count):
            d, i = searches[b].kneighbors(x[places[a]])
            at = int(d.argmin())
            gap[a, b], ends[a, b] = d[at, 0], (places[a][at], places[b][i[at, 0]])
    tree = sp.coo_array(minimum_spanning_tree(sp.csr_array(gap)))
    i, j = np.array([ends[min(a, b), max(a, b)] for a, b in zip(*tree.coords, strict=True)]).T
    extra = sp.coo_array((np.full(len(i), weight), (i, j)), shape=w.shape)
    return (w + extra + extra.T).tocsr()


def laplacian(w: sp.csr_array, kind: str = "normalised") -> sp.csr_array:
    """L (n, n) of symmetric weights; a point without neighbours is an error."""
    if kind not in ("normalised", "combinatorial"):
        raise ValueError(f"kind {kind!r} is unknown; there is normalised and combinatorial")
    degree = np.asarray(w.sum(1)).ravel()
    if not (degree > 0).all():
        raise ValueError(f"point {int(np.argmin(degree))} has no neighbour in the graph; raise knn")
    if kind == "combinatorial":
        return (sp.diags_array(degree) - w).tocsr()
    root = sp.diags_array(degree**-0.5)
    return (sp.eye_array(len(degree)) - root @ w @ root).tocsr()


def largest_eigenvalue(lap: sp.csr_array) -> float:
    """An upper bound of the spectrum: by Gershgorin's circles, at most 1 % above the value that Lanczos finds where that is smaller."""
    bound = float(np.asarray(abs(lap).sum(1)).max())
    if lap.shape[0] < 3:
        return bound
    from scipy.sparse.linalg import eigsh

    start = np.random.default_rng(0).standard_normal(lap.shape[0])
    found = float(eigsh(lap, k=1, which="LA", return_eigenvectors=False, v0=start, tol=1e-3)[0])
    return min(bound, 1.01 * found)


def chebyshev_order(z: float, tol: float = 1e-7) -> int:
    """Least K with 2 sum_{k > K} exp(-z) I_k(z) < tol, the error of the expansion of exp(-t L) for z = t lambda_max / 2."""
    if not z >= 0:
        raise ValueError(f"z={z}; pass t lambda_max / 2 >= 0")
    most = int(z + 12 * np.sqrt(z + 1) + 60)  # I_k(z) exp(-z) falls as exp(-k^2 / 2z) and faster
    tail = 2 * np.cumsum(ive(np.arange(most + 1), z)[::-1])[::-1]
    return int(np.argmax(tail[1:] < tol))


def chebyshev(
    lap: sp.csr_array, times: list[float], right: np.ndarray, tol: float = 1e-7, order: int | None = None
) -> list[np.ndarray]:
    """exp(-t L) B (n, k) for each of the times from one recurrence; `right` B (n, k). Error below `tol` unless the order is given.

    exp(-t L) = exp(-z) sum_k c_k I_k(z) (-1)^k T_k(2 L / lambda_max - 1), c_0 = 1, c_k = 2, z = t lambda_max / 2.
    """
    top = largest_eigenvalue(lap)
    z = [t * top / 2 for t in times]
    k = order or max(chebyshev_order(v, tol) for v in z)
    shifted = (2 / top) * lap - sp.eye_array(lap.shape[0])
    coefficients = np.array([ive(np.arange(k + 1), v) * np.where(np.arange(k + 1) % 2, -1.0, 1.0) for v in z])
    coefficients[:, 1:] *= 2
    before, now = right, shifted @ right
    out = [c[0] * before + (c[1] * now if k else 0) for c in coefficients]
    for i in range(2, k + 1):
        before, now = now, 2 * (shifted @ now) - before
        for total, c in zip(out, coefficients, strict=True):
            if c[i]:
                total += c[i] * now
    return out


def heat_kernel(
    lap: sp.csr_array, times: list[float], route: str = "chebyshev", order: int | None = None, rank: int = 100
) -> list[np.ndarray]:
    """H_t (n, n), dense, for each of the times.

    Parameters
    ----------
    route : exact (eigendecomposition); chebyshev (to 1e-14, or of a given order); euler, (I + (t / K) L)^(-K) with K = `order` or 30
        implicit steps; lowrank, the `rank` smallest eigenvalues.
    """
    n = lap.shape[0]
    if n > DENSE:
        raise ValueError(f"{n} points make a dense kernel of {8 * n * n / 2**30:.0f} GiB; use landmarks")
    if not times or min(times) <= 0:
        raise ValueError(f"times {times} must be positive")
    if route == "chebyshev":
        return [(h + h.T) / 2 for h in chebyshev(lap, times, np.eye(n), SMALL, order)]
    if route in ("exact", "lowrank"):
        if route == "exact" or rank >= n - 1:
            values, vectors = np.linalg.eigh(lap.toarray())
        else:
            from scipy.sparse.linalg import eigsh

            start = np.random.default_rng(0).standard_normal(n)
            values, vectors = eigsh(lap, k=rank, sigma=-1e-3, which="LM", v0=start)
        return [(vectors * np.exp(-t * values)) @ vectors.T for t in times]
    if route == "euler":
        from scipy.sparse.linalg import splu

        steps, out = order or 30, []
        for t in times:
            solve = splu((sp.eye_array(n) + (t / steps) * lap).tocsc()).solve
            h = np.eye(n)
            for _ in range(steps):
                h = solve(h)
            out.append((h + h.T) / 2)
        return out
    raise ValueError(f"route {route!r} is unknown; there is exact, chebyshev, euler, lowrank")


def varadhan(h: np.ndarray, t: float, rho: float = 1.0) -> tuple[np.ndarray, float]:
    """d (n, n) with d_ij^2 = max(0, -4 t log h_ij + rho 4 t log((h_ii + h_jj) / 2)), and the share of pairs at the floor 1e-16 of h.

    Huguet et al., NeurIPS 2023: Varadhan's formula with a volume term of strength `rho` (1: d_ii = 0).
    """
    h = np.maximum(h, 0.0)
    diagonal = h.diagonal()
    volume = np.log((diagonal[:, None] + diagonal[None]) / 2 + FLOOR)
    squared = 4 * t * (rho * volume - np.log(h + FLOOR))
    return np.sqrt(np.maximum(squared, 0.0)), float((h < FLOOR).mean())


def entropy(h: np.ndarray) -> float:
    """-sum_ij h log h of a kernel, negative entries taken for 0."""
    h = np.maximum(h, 0.0)
    return float(-(h * np.log(h + 1e-10)).sum())


def knee(x: np.ndarray, y: np.ndarray) -> int:
    """Index of the knee of an increasing concave curve: the largest distance above the chord, both axes scaled to [0, 1]
    (Satopaa et al., 2011)."""
    x, y = ((v - v[0]) / (v[-1] - v[0]) if v[-1] != v[0] else np.zeros(len(v)) for v in (np.asarray(x), np.asarray(y)))
    return int(np.argmax(y - x))
