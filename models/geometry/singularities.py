"""Zeros of tangent fields on surfaces: Poincare indices of triangles of a mesh, and of rings of neighbours of a cloud."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp


def _wrap(angle: np.ndarray) -> np.ndarray:
    """To (-pi, pi]."""
    return np.pi - np.mod(np.pi - angle, 2 * np.pi)


def plane_indices(points: np.ndarray, triangles: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Poincare index (f,) of each triangle (f, 3) of a plane mesh: turns of the vectors (n, 2) around it, counter-clockwise."""
    a, b, c = points[triangles.T]
    sign = np.sign((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0])
    angle = np.arctan2(vectors[:, 1], vectors[:, 0])[triangles]
    return np.rint(sign * _wrap(np.roll(angle, -1, 1) - angle).sum(1) / (2 * np.pi)).astype(int)


def surface_indices(points: np.ndarray, triangles: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Poincare index (f,) of each triangle of a consistently oriented mesh in space, for tangent vectors (n, 3) at its vertices.

    Vectors are carried along edges by the smallest rotation of the vertex normals; the index is the turn of the vectors around the
    triangle plus its holonomy, over 2 pi. Over a closed mesh the turns cancel and the holonomies add to 2 pi chi, so the indices sum
    to the Euler characteristic whatever the vectors are (Poincare-Hopf).
    """
    a, b, c = points[triangles.T]
    face = np.cross(b - a, c - a)
    normal = np.zeros_like(points)
    for corner in triangles.T:
        np.add.at(normal, corner, face)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    helper = np.eye(3)[np.abs(normal).argmin(1)]
    e1 = np.cross(normal, helper)
    e1 /= np.linalg.norm(e1, axis=1, keepdims=True)
    e2 = np.cross(normal, e1)
    angle = np.arctan2((vectors * e2).sum(1), (vectors * e1).sum(1))
    turn, bend = np.zeros(len(triangles)), np.zeros(len(triangles))
    for i, j in zip(triangles.T, np.roll(triangles, -1, 1).T, strict=True):
        # e1 of i carried to j; its angle there. The reverse edge gives the opposite: rotations are inverse to each other
        carried = _carry(normal[i], normal[j], e1[i])
        shift = np.arctan2((carried * e2[j]).sum(1), (carried * e1[j]).sum(1))
        turn += _wrap(angle[j] - angle[i] - shift)
        bend += shift
    return np.rint((turn + _wrap(bend)) / (2 * np.pi)).astype(int)


def _carry(a: np.ndarray, b: np.ndarray, v: np.ndarray) -> np.ndarray:
    """v (e, 3) rotated by the smallest rotation that takes unit a to unit b."""
    axis, cosine = np.cross(a, b), (a * b).sum(1, keepdims=True)
    along = (axis * v).sum(1, keepdims=True)
    return cosine * v + np.cross(axis, v) + axis * along / (1 + cosine)


def ring_indices(frames: np.ndarray, points: np.ndarray, graph: sp.csr_array, vectors: np.ndarray) -> np.ndarray:
    """Winding (n,) of tangent vectors (n, 3) around the ring of graph neighbours of each point, in the point's own tangent plane.

    frames (n, 3, 2). A zero beside a point is seen by several rings; `singular_points` keeps one of each group.
    """
    near = graph.tocoo()
    i, j = near.row, near.col
    place = (frames[i].swapaxes(1, 2) @ (points[j] - points[i])[:, :, None])[:, :, 0]
    flat = (frames[i].swapaxes(1, 2) @ vectors[j][:, :, None])[:, :, 0]
    order = np.lexsort((np.arctan2(place[:, 1], place[:, 0]), i))
    angle, owner = np.arctan2(flat[:, 1], flat[:, 0])[order], i[order]
    start = np.searchsorted(owner, np.arange(len(points) + 1))
    after = np.arange(1, len(owner) + 1)
    last = start[1:] - 1
    after[last[np.diff(start) > 0]] = start[:-1][np.diff(start) > 0]
    total = np.bincount(owner, _wrap(angle[after] - angle), minlength=len(points))
    return np.rint(total / (2 * np.pi)).astype(int)


def singular_points(
    frames: np.ndarray, points: np.ndarray, graph: sp.csr_array, vectors: np.ndarray
) -> list[tuple[int, int]]:
    """(point, index) of each zero of the field: of every group of adjacent points whose rings wind alike, the most central one.

    Central: largest number of neighbours in the group, then least deviation from antisymmetry of its ring (vectors that cancel).
    """
    from scipy.sparse.csgraph import connected_components

    index = ring_indices(frames, points, graph, vectors)
    average = np.linalg.norm(graph @ vectors, axis=1) / np.asarray(graph.sum(1))  # vectors around a zero cancel
    out = []
    for value in sorted(set(index[index != 0].tolist())):
        members = np.flatnonzero(index == value)
        count, label = connected_components(graph[members][:, members], directed=False)
        for part in range(count):
            group = members[label == part]
            out.append((int(group[average[group].argmin()]), int(value)))
    return out
