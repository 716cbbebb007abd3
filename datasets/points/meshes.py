"""Points and normals on triangle meshes, uniform by area. trimesh reads the formats."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import numpy as np

from bench.schema import BenchError


def read_mesh(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) float64 and triangles (F, 3) of an .off, .obj, .ply or .stl file, also compressed as .gz."""
    import trimesh

    kind = path.suffixes[-2] if path.suffix == ".gz" else path.suffix
    text = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    try:
        mesh = trimesh.load(io.BytesIO(text), file_type=kind[1:].lower(), force="mesh", process=False)
        vertices, faces = np.asarray(mesh.vertices, dtype=np.float64), np.asarray(mesh.faces)
    except Exception as error:  # trimesh raises many kinds
        raise BenchError(f"{path} is not a readable {kind} mesh ({error}); replace or remove it") from None
    if not len(faces) or not np.isfinite(vertices).all():
        raise BenchError(f"{path} has no triangles or a coordinate that is not finite; replace or remove it")
    return vertices, faces


def sample_mesh(
    vertices: np.ndarray, faces: np.ndarray, n: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """n points, uniform by area, and the unit normals of their triangles, both (n, 3) float64.

    A triangle is drawn with probability proportional to its area; inside, (1 - sqrt(u)) a + sqrt(u) (1 - v) b + sqrt(u) v c.
    Raises BenchError for a mesh without area.
    """
    a, b, c = vertices[faces.T]
    normal = np.cross(b - a, c - a)
    size = np.linalg.norm(normal, axis=1)
    if not size.sum() > 0:
        raise BenchError("the mesh has no area, so that no point can be drawn on it; replace or remove it")
    pick = np.searchsorted(np.cumsum(size), size.sum() * rng.random(n), side="right").clip(max=len(size) - 1)
    root, v = np.sqrt(rng.random((n, 1))), rng.random((n, 1))
    points = (1 - root) * a[pick] + root * (1 - v) * b[pick] + root * v * c[pick]
    return points, normal[pick] / size[pick, None]
