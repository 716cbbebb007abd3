"""The common domain of a set of meshes: where fields of different shapes are compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from models.geometry import morphing


@dataclass
class Morphed:
    """One mesh in the common domain: `project` (r, N) takes nodal fields to the common mesh, `back` (N, r) takes them home; `shape`
    (s,) is the field that describes the geometry on the common mesh, its components one after another."""

    project: sp.csr_array
    back: sp.csr_array
    shape: np.ndarray


class CommonDomain:
    """Built from the training meshes: the morphed mesh of the sample in the middle by number, or a regular grid without morphing.

    morphing: tutte | rbf | none. Every mesh is checked on the way in; ValueError names the sample and the element.
    """

    def __init__(
        self, samples: Any, morph: str = "tutte", landmarks: bool = True, grid: int = 33, extend: bool = True
    ) -> None:
        self.kind, self.landmarks, self.extend = morph, landmarks, extend
        if landmarks and samples.landmarks is None and morph != "none":
            raise ValueError("the data have no landmarks to hold the boundary; set method.landmarks=false")
        middle, self.dim = len(samples) // 2, samples.points[0].shape[1]
        if morph == "rbf" and not landmarks:
            raise ValueError("method.morphing=rbf matches boundaries by landmarks, and there are none; use tutte")
        if self.dim != 2 and morph != "tutte":
            raise ValueError(
                f"the meshes have {self.dim} coordinates; method.morphing={morph} is for the plane, use tutte"
            )
        name = f"training sample {middle}"
        if morph == "none":
            low = np.min([p.min(0) for p in samples.points], axis=0)
            high = np.max([p.max(0) for p in samples.points], axis=0)
            self.points, self.triangles = _grid(low, high, grid)
        else:
            x, t = samples.points[middle], samples.triangles[middle]
            morphing.check_mesh(x, t, name)
            self.marks = samples.landmarks[middle] if landmarks else None
            if morph == "rbf":
                loop = morphing.boundary_loop(t, int(self.marks[0]))
                self.target, self.parameter = x[loop], morphing.boundary_parameter(x, loop, self.marks)
                self.points = x
            else:
                self.points = morphing.tutte(x, t, self.marks)
            self.triangles = t
        self.mass = morphing.mass_matrix(self.points, self.triangles)

    def morph(self, samples: Any, i: int, name: str = "sample") -> Morphed:
        """Sample i of a set, in the common domain."""
        x, t = samples.points[i], samples.triangles[i]
        morphing.check_mesh(x, t, f"{name} {i}", "any" if self.kind == "none" else "one loop")
        marks = samples.landmarks[i] if self.landmarks and samples.landmarks is not None else None
        if self.kind == "none":
            flat = x
        elif self.kind == "rbf":
            flat = morphing.rbf_morph(x, t, marks, self.target, self.parameter)
        else:
            flat = morphing.tutte(x, t, marks)
        project = morphing.interpolation(flat, t, self.points)
        back = morphing.interpolation(self.points, self.triangles, flat)
        if self.kind == "none":
            distance = _signed_distance(x, t, self.points, project)
            if not self.extend:
                project = (sp.diags_array((distance >= 0).astype(float)) @ project).tocsr()
            return Morphed(project, back, distance)
        return Morphed(project, back, (project @ x).T.ravel())

    @property
    def shape_mass(self) -> sp.csr_array:
        """Mass matrix of the shape's field: one block for each component."""
        return self.mass if self.kind == "none" else sp.block_diag([self.mass] * self.dim, format="csr")


def _grid(low: np.ndarray, high: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    x, y = (
        a.ravel()
        for a in np.meshgrid(*(np.linspace(a, b, count) for a, b in zip(low, high, strict=True)), indexing="ij")
    )
    corner = (count * np.arange(count - 1)[:, None] + np.arange(count - 1)).ravel()
    square = corner[:, None] + np.array([0, count, count + 1, 1])
    return np.column_stack([x, y]), np.concatenate([square[:, [0, 1, 2]], square[:, [0, 2, 3]]])


def _signed_distance(points: np.ndarray, triangles: np.ndarray, query: np.ndarray, project: sp.csr_array) -> np.ndarray:
    """Distance (q,) to the boundary, negative outside the mesh."""
    a, b = points[morphing.boundary_edges(triangles)].swapaxes(0, 1)
    along = b - a
    s = np.clip(((query[:, None] - a) * along).sum(-1) / (along**2).sum(-1), 0, 1)
    distance = np.linalg.norm(a + s[..., None] * along - query[:, None], axis=-1).min(1)
    outside = np.linalg.norm(project @ points - query, axis=1) > 1e-9  # interpolation was clamped there
    return np.where(outside, -distance, distance)
