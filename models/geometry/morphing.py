"""Triangle meshes with one boundary loop: disk maps, morphing onto a reference, and interpolation between meshes.

Tutte 1963 (barycentric maps), Floater 1997; their use for Gaussian processes: Casenave, Staber and Roynard (NeurIPS 2023). float64.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

CANDIDATES = 12  # triangles with the nearest centroids, among which a point is looked for


def check_mesh(points: np.ndarray, triangles: np.ndarray, name: str = "the mesh", boundary: str = "one loop") -> None:
    """Raise ValueError, in one sentence that names `name` and the element, unless a mesh (n, d), (t, 3) can be morphed.

    Coordinates are finite, triangles refer to nodes, nodes are distinct and all used, areas of plane meshes are not zero and of one
    sign, every edge has at most two triangles, and (boundary="one loop") the mesh is a disk: connected, one boundary loop.
    """
    points, triangles = np.asarray(points), np.asarray(triangles)
    if points.ndim != 2 or triangles.ndim != 2 or triangles.shape[1] != 3:
        raise ValueError(
            f"{name} has arrays {points.shape} and {triangles.shape}; give nodes (n, d) and triangles (t, 3)"
        )
    if not np.isfinite(points).all():
        raise ValueError(
            f"{name}: node {int(np.argmin(np.isfinite(points).all(1)))} is not finite (NaN or Inf); repair it"
        )
    if triangles.min() < 0 or triangles.max() >= len(points):
        row = int(np.argmax((triangles < 0).any(1) | (triangles >= len(points)).any(1)))
        raise ValueError(f"{name}: triangle {row} names a node that is not among the {len(points)}; repair it")
    _, first, count = np.unique(points, axis=0, return_index=True, return_counts=True)
    if (count > 1).any():
        node = int(first[count > 1].min())
        raise ValueError(f"{name}: node {node} has a duplicate at the same place; merge them")
    used = np.bincount(triangles.ravel(), minlength=len(points))
    if not used.all():
        raise ValueError(f"{name}: node {int(np.argmin(used))} belongs to no triangle; drop it")
    if points.shape[1] == 2:
        area = signed_areas(points, triangles)
        if (area == 0).any():
            raise ValueError(f"{name}: triangle {int(np.argmin(np.abs(area)))} has no area; drop or repair it")
        if (area > 0).any() and (area < 0).any():
            minority = area > 0 if (area > 0).sum() <= (area < 0).sum() else area < 0
            raise ValueError(
                f"{name}: triangle {int(np.argmax(minority))} is inverted; order its nodes like the others'"
            )
    edges, count = _edges(triangles)
    if (count > 2).any():
        a, b = edges[np.argmax(count > 2)]
        raise ValueError(f"{name}: edge {int(a)}-{int(b)} has {int(count.max())} triangles; a surface has at most two")
    if boundary == "one loop":
        loops = _loops(edges[count == 1])
        euler = len(points) - len(edges) + len(triangles)
        if loops != 1 or euler != 1:
            raise ValueError(
                f"{name} has {loops} boundary loops and Euler number {euler}; a disk map needs one loop and 1, "
                "and all meshes of a set must be alike"
            )


def _edges(triangles: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Edges (e, 2), ends ascending, and how many triangles each has."""
    ends = np.sort(np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]]), axis=1)
    return np.unique(ends, axis=0, return_counts=True)


def _loops(edges: np.ndarray) -> int:
    """Number of pieces of the boundary edges."""
    from scipy.sparse.csgraph import connected_components

    if not len(edges):
        return 0
    _, ends = np.unique(edges, return_inverse=True)
    ends = ends.reshape(edges.shape)
    graph = sp.coo_array((np.ones(len(ends)), ends.T), shape=(ends.max() + 1,) * 2)
    return int(connected_components(graph, directed=False)[0])


def signed_areas(points: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Areas (t,) of plane triangles, positive where their nodes turn counter-clockwise."""
    a, b, c = points[triangles.T]
    return ((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]) / 2


def boundary_edges(triangles: np.ndarray) -> np.ndarray:
    """Edges (b, 2) that belong to one triangle, in no order; of all boundary loops."""
    edges, count = _edges(triangles)
    return edges[count == 1]


def boundary_loop(triangles: np.ndarray, start: int | None = None) -> np.ndarray:
    """Boundary nodes (b,) in the order of the triangles' orientation, from `start` (default: the smallest number) on."""
    directed = np.concatenate([triangles[:, [0, 1]], triangles[:, [1, 2]], triangles[:, [2, 0]]])
    n = int(triangles.max()) + 1
    code = directed[:, 0].astype(np.int64) * n + directed[:, 1]
    alone = ~np.isin(code, directed[:, 1].astype(np.int64) * n + directed[:, 0])
    after = dict(directed[alone].tolist())
    start = min(after) if start is None else start
    if start not in after:
        raise ValueError(f"node {start} is not on the boundary; start the loop at one that is")
    loop = [start]
    while (node := after[loop[-1]]) != start:
        loop.append(node)
    return np.array(loop)


def start_node(points: np.ndarray, loop: np.ndarray) -> int:
    """The boundary node of smallest x, ties by smallest y."""
    return int(loop[np.lexsort((points[loop, 1], points[loop, 0]))[0]])


def boundary_parameter(points: np.ndarray, loop: np.ndarray, landmarks: np.ndarray | None = None) -> np.ndarray:
    """Parameter (b,) in [0, 1) of the loop's nodes: arc length from its first node, as the official code scales it.

    Without landmarks node k is at (1 - 1/b) s_k / s_last. With landmarks (nodes of the loop, in its order, the first of them first)
    each of the arcs between consecutive ones gets an equal share, proportionally to length inside. ValueError for landmarks off the loop.
    """
    step = np.linalg.norm(np.diff(points[loop], axis=0, append=points[loop[:1]]), axis=1)
    s = np.concatenate([[0.0], np.cumsum(step)])
    if landmarks is None:
        return (1 - 1 / len(loop)) * s[:-1] / s[-2]
    place = {int(v): i for i, v in enumerate(loop)}
    if any(int(v) not in place for v in landmarks):
        off = next(int(v) for v in landmarks if int(v) not in place)
        raise ValueError(f"landmark {off} is not on the boundary; choose boundary nodes")
    stops = [place[int(v)] for v in landmarks]
    if stops[0] != 0 or stops != sorted(stops):
        raise ValueError("the landmarks are not in the order of the boundary loop, which starts at the first of them")
    return np.interp(s[:-1], s[[*stops, len(loop)]], np.arange(len(stops) + 1) / len(stops))


def tutte(points: np.ndarray, triangles: np.ndarray, landmarks: np.ndarray | None = None) -> np.ndarray:
    """Map (n, 2) of a mesh with one boundary loop onto the unit disk: boundary by `boundary_parameter`, interior nodes at the mean of
    their neighbours (uniform weights, as Tutte; the official code calls it Floater's). Injective for 3-connected meshes.

    The boundary starts at the first landmark, or at the node of smallest x. One sparse solve.
    """
    loop = boundary_loop(triangles)
    start = start_node(points, loop) if landmarks is None else int(landmarks[0])
    loop = np.roll(loop, -int(np.flatnonzero(loop == start)[0])) if start in loop else boundary_loop(triangles, start)
    angle = 2 * np.pi * boundary_parameter(points, loop, landmarks)
    n = len(points)
    edges, _ = _edges(triangles)
    graph = sp.coo_array((np.ones(2 * len(edges)), (edges.ravel("F"), edges[:, ::-1].ravel("F"))), shape=(n, n)).tocsr()
    laplacian = (sp.diags_array(graph.sum(1)) - graph).tocsr()
    inside = np.setdiff1d(np.arange(n), loop)
    flat = np.zeros((n, 2))
    flat[loop] = np.column_stack([np.cos(angle), np.sin(angle)])
    if len(inside):
        right = -laplacian[inside][:, loop] @ flat[loop]
        flat[inside] = sp.linalg.splu(laplacian[inside][:, inside].tocsc()).solve(right)
    return flat


def rbf_morph(
    points: np.ndarray, triangles: np.ndarray, landmarks: np.ndarray, target: np.ndarray, target_parameter: np.ndarray
) -> np.ndarray:
    """Nodes (n, 2) moved so that the boundary lies on that of a reference: thin-plate splines of the boundary's displacement.

    target (b, 2): the reference's boundary nodes; target_parameter (b,), ascending from 0: their `boundary_parameter`.
    """
    from scipy.interpolate import RBFInterpolator

    loop = boundary_loop(triangles, int(landmarks[0]))
    parameter = boundary_parameter(points, loop, landmarks)
    closed = np.concatenate([target, target[:1]])
    knots = np.append(target_parameter, 1.0)
    goal = np.stack([np.interp(parameter, knots, closed[:, i]) for i in range(2)], 1)
    return points + RBFInterpolator(points[loop], goal - points[loop])(points)


def interpolation(points: np.ndarray, triangles: np.ndarray, query: np.ndarray) -> sp.csr_array:
    """Matrix (q, n) of linear finite-element interpolation at `query` (q, 2); outside the mesh, at the nearest place of the triangle tried.

    Each query tries the triangles of the nearest centroids and takes the one in which its barycentric coordinates are least
    negative; these are then clamped. The mesh need not be Delaunay, so the true connectivity is used.
    """
    from scipy.spatial import cKDTree

    corner = points[triangles]
    near = cKDTree(corner.mean(1)).query(query, k=min(CANDIDATES, len(triangles)))[1].reshape(len(query), -1)
    weights = _barycentric(corner[near], query[:, None])
    best = weights.min(-1).argmax(1)
    missed = np.flatnonzero(weights.min(-1).max(1) < -1e-9)
    triangle = near[np.arange(len(query)), best]
    w = weights[np.arange(len(query)), best]
    if len(missed):  # long triangles have far centroids: try all of them, for these few
        every = _barycentric(corner[None], query[missed, None])
        hit = every.min(-1).argmax(1)
        inside = every[np.arange(len(missed)), hit]
        found = inside.min(-1) >= -1e-9
        triangle[missed[found]], w[missed[found]] = hit[found], inside[found]
        out = missed[~found]
        if len(out):
            triangle[out], w[out] = _nearest(corner, near[out], query[out])
    w = np.clip(w, 0.0, None)
    w /= w.sum(1, keepdims=True)
    row = np.repeat(np.arange(len(query)), 3)
    return sp.coo_array((w.ravel(), (row, triangles[triangle].ravel())), shape=(len(query), len(points))).tocsr()


def _barycentric(corner: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Coordinates (..., 3) of x (..., 2) in triangles corner (..., 3, 2)."""
    a, b, c = corner[..., 0, :], corner[..., 1, :], corner[..., 2, :]
    u, v, w = b - a, c - a, x - a
    det = u[..., 0] * v[..., 1] - u[..., 1] * v[..., 0]
    s = (w[..., 0] * v[..., 1] - w[..., 1] * v[..., 0]) / det
    t = (u[..., 0] * w[..., 1] - u[..., 1] * w[..., 0]) / det
    return np.stack([1 - s - t, s, t], -1)


def _nearest(corner: np.ndarray, near: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of candidate triangles near (q, c), the one with the nearest point of an edge to x (q, 2), and that point's coordinates."""
    tri = corner[near]  # (q, c, 3, 2)
    a, b = tri, np.roll(tri, -1, axis=2)
    along = b - a
    s = np.clip(((x[:, None, None] - a) * along).sum(-1) / (along**2).sum(-1), 0, 1)
    gap = np.linalg.norm(a + s[..., None] * along - x[:, None, None], axis=-1)  # (q, c, 3)
    flat = gap.reshape(len(x), -1).argmin(1)
    which, edge = flat // 3, flat % 3
    rows = np.arange(len(x))
    w = np.zeros((len(x), 3))
    w[rows, edge] = 1 - s[rows, which, edge]
    w[rows, (edge + 1) % 3] = s[rows, which, edge]
    return near[rows, which], w


def mass_matrix(points: np.ndarray, triangles: np.ndarray) -> sp.csr_array:
    """Consistent mass matrix (n, n) of linear elements on a plane mesh: inner products of functions in L2."""
    local = np.abs(signed_areas(points, triangles))[:, None, None] * (np.ones((3, 3)) + np.eye(3)) / 12
    row, col = np.repeat(triangles, 3, axis=1).ravel(), np.tile(triangles, 3).ravel()
    return sp.coo_array((local.ravel(), (row, col)), shape=(len(points),) * 2).tocsr()
