"""A surface solution as read from a file: nodes, faces, values; its checks, its normals and its smooth pieces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from bench.schema import BenchError
from datasets.wings.panels import weld


@dataclass
class Surface:
    """nodes (v, 3) float64; faces (f, 4) node numbers, a triangle repeating its last corner (f may be 0: points alone).

    `at_nodes`, `at_faces`: values by name, (v,) and (f,). `grids`: structured zones as (first node, rows, columns), nodes of a zone
    row by row. `name`: the file, for messages.
    """

    nodes: np.ndarray
    faces: np.ndarray
    at_nodes: dict[str, np.ndarray] = field(default_factory=dict)
    at_faces: dict[str, np.ndarray] = field(default_factory=dict)
    grids: list[tuple[int, int, int]] = field(default_factory=list)
    name: str = "the surface"

    @property
    def areas(self) -> np.ndarray:
        """(f, 3) area vectors, by the order of the corners."""
        p = self.nodes[self.faces]
        return 0.5 * np.cross(p[:, 2] - p[:, 0], p[:, 3] - p[:, 1])

    def field(self, name: str) -> tuple[np.ndarray, bool]:
        """Values by name and whether they are at faces; BenchError where there are none, or one is not finite."""
        for values, kind in ((self.at_faces, "face"), (self.at_nodes, "node")):
            if name in values:
                bad = ~np.isfinite(values[name])
                if bad.any():
                    raise BenchError(
                        f"{self.name}: {name} of {kind} {int(bad.argmax())} is not finite (NaN or Inf); repair or drop it"
                    )
                return values[name], kind == "face"
        have = ", ".join([*self.at_faces, *self.at_nodes]) or "none"
        raise BenchError(f"{self.name} has no values named {name}; it has {have}")

    def check(self, closed: bool = False) -> None:
        """Raise BenchError naming file and element: a node that is not finite, a face without area or against its neighbour.

        closed : the surface must also enclose a volume with normals outwards.
        """
        bad = ~np.isfinite(self.nodes).all(1)
        if bad.any():
            raise BenchError(f"{self.name}: node {int(bad.argmax())} is not finite (NaN or Inf); repair it")
        if not len(self.faces):
            if closed:
                raise BenchError(f"{self.name} has points and no faces, so it cannot be closed; give a surface mesh")
            return
        if self.faces.min() < 0 or self.faces.max() >= len(self.nodes):
            bad = ((self.faces < 0) | (self.faces >= len(self.nodes))).any(1)
            raise BenchError(f"{self.name}: face {int(bad.argmax())} names a node that is not there; repair the file")
        size = np.ptp(self.nodes, axis=0).max()
        flat = np.linalg.norm(self.areas, axis=1) < 1e-14 * size**2
        if flat.any():
            raise BenchError(f"{self.name}: face {int(flat.argmax())} has no area; remove it or weld its corners")
        start, end, face = self._edges()
        key, back = start * len(self.nodes) + end, end * len(self.nodes) + start
        values, counts = np.unique(key, return_counts=True)
        if (counts > 1).any():
            k = int(np.flatnonzero(np.isin(key, values[counts > 1]))[-1])
            raise BenchError(
                f"{self.name}: face {face[k]} is turned against its neighbour (or there twice); reverse its corners"
            )
        if closed:
            free = ~np.isin(back, key)
            if free.any():
                raise BenchError(
                    f"{self.name} is open: an edge of face {face[int(free.argmax())]} has no face beside it; close the surface"
                )
            p = self.nodes[self.faces]
            if (self.areas * p.mean(1)).sum() <= 0:
                raise BenchError(f"{self.name} is inverted: the normal of face 0 points inwards; reverse all corners")

    def _edges(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Directed edges: start, end, face; nodes at one place count as one."""
        same = weld(self.nodes)[self.faces]
        start, end = same.ravel(), np.roll(same, -1, axis=1).ravel()
        real = start != end
        return start[real], end[real], np.repeat(np.arange(len(same)), 4)[real]

    def pieces(self, angle: float = 40.0) -> np.ndarray:
        """(f,) number of the smooth piece of each face: neighbours belong together unless they meet at more than `angle` degrees."""
        from scipy.sparse import coo_matrix
        from scipy.sparse.csgraph import connected_components

        start, end, face = self._edges()
        n = len(self.nodes)
        unit = self.areas / np.linalg.norm(self.areas, axis=1, keepdims=True)
        order = np.argsort(np.minimum(start, end) * n + np.maximum(start, end), kind="stable")
        key = (np.minimum(start, end) * n + np.maximum(start, end))[order]
        i = np.flatnonzero(key[1:] == key[:-1])
        a, b = face[order][i], face[order][i + 1]
        smooth = (unit[a] * unit[b]).sum(1) > np.cos(np.radians(angle))
        graph = coo_matrix((np.ones(smooth.sum()), (a[smooth], b[smooth])), shape=(len(unit), len(unit)))
        return connected_components(graph, directed=False)[1]

    def samples(self, name: str, angle: float = 40.0) -> dict[str, np.ndarray]:
        """Where the values lie: x (p, 3), normal (p, 3) outward, piece (p,), value (p,), at face centres or nodes.

        Values at nodes are means over the corners at face centres, so that normals and pieces are those of the faces; points without
        faces have zero normals and one piece.
        """
        values, at_faces = self.field(name)
        if not len(self.faces):
            return {
                "x": self.nodes,
                "normal": np.zeros_like(self.nodes),
                "piece": np.zeros(len(self.nodes)),
                "value": values,
            }
        triangle = self.faces[:, 2] == self.faces[:, 3]
        weight = np.where(triangle[:, None], [1 / 3, 1 / 3, 1 / 6, 1 / 6], 0.25)
        return {
            "x": (self.nodes[self.faces] * weight[..., None]).sum(1),
            "normal": self.areas / np.linalg.norm(self.areas, axis=1, keepdims=True),
            "piece": self.pieces(angle).astype(np.float64),
            "value": values if at_faces else (values[self.faces] * weight).sum(1),
        }


def quads(blocks: Mapping[int, np.ndarray]) -> np.ndarray:
    """Faces (f, 4) from arrays of triangles and quads by their number of corners."""
    parts = []
    for corners, block in blocks.items():
        block = np.asarray(block, dtype=np.int64).reshape(-1, corners)
        parts.append(np.concatenate([block, block[:, -1:]], 1) if corners == 3 else block)
    return np.concatenate(parts) if parts else np.empty((0, 4), np.int64)
