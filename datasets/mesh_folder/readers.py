"""One sample of a published set: nodes, triangles, fields, scalars. h5py reads CGNS, meshio reads VTU; both are loaded when needed."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np

from bench.schema import BenchError

QUAD = np.array([[0, 1, 2], [0, 2, 3]])  # triangles of a quadrilateral


def splits(folder: Path, layout: str) -> dict[str, list[str]]:
    """Names of the samples by name of the split: manifest.json (AirfRANS), problem_definition/split.json or split.csv (PLAID)."""
    if layout == "airfrans":
        return json.loads((folder / "manifest.json").read_text())
    path = folder / "problem_definition" / "split.json"
    if path.is_file():
        found = json.loads(path.read_text())
    else:
        with open(folder / "problem_definition" / "split.csv", newline="") as f:
            found = {row[0]: row[1:] for row in csv.reader(f) if row}
    return {name: [f"sample_{int(i):09d}" for i in numbers] for name, numbers in found.items()}


def plaid(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray], dict[str, float]]:
    """points (N, 2 or 3), triangles (T, 3), nodal fields and scalars of dataset/samples/<name>.

    The first zone of the first base with coordinates; elements TRI_3 and QUAD_4 (cut in two); third coordinates that are all the same
    are dropped.
    """
    import h5py

    home = folder / "dataset" / "samples" / name
    path = home / "meshes" / "mesh_000000000.cgns"
    if not path.is_file():
        raise BenchError(f"{path} is missing; complete the data set")
    with h5py.File(path) as f:
        zones = [
            z
            for base in f.values()
            if isinstance(base, h5py.Group)
            for z in base.values()
            if isinstance(z, h5py.Group) and "GridCoordinates" in z
        ]
        if not zones:
            raise BenchError(f"{path} has no zone with GridCoordinates; it is not a mesh of this layout")
        zone = zones[0]
        grid = zone["GridCoordinates"]
        points = np.stack([_values(grid[f"Coordinate{a}"]) for a in "XYZ" if f"Coordinate{a}" in grid], 1).astype(
            np.float64
        )
        cells = []
        for label, corners in (("TRI_3", 3), ("QUAD_4", 4)):
            for part in (zone[k] for k in zone if label in k and "ElementConnectivity" in zone[k]):
                nodes = _values(part["ElementConnectivity"]).reshape(-1, corners).astype(np.int64) - 1
                cells.append(nodes if corners == 3 else nodes[:, QUAD].reshape(-1, 3))
        fields = {}
        for group in (zone[k] for k in ("VertexFields", "PointData", "FlowSolution") if k in zone):
            for key in group:
                if isinstance(group[key], h5py.Group) and " data" in group[key]:
                    value = _values(group[key])
                    if value.shape == (len(points),):
                        fields[key] = value.astype(np.float64)
    if not cells:
        raise BenchError(f"{path} has neither triangles nor quadrilaterals; it is not a mesh of this layout")
    if points.shape[1] == 3 and np.ptp(points[:, 2]) == 0:
        points = points[:, :2]
    scalars: dict[str, float] = {}
    if (home / "scalars.csv").is_file():
        with open(home / "scalars.csv", newline="") as g:
            names, values = list(csv.reader(g))[:2]
        scalars = {n.strip().lstrip("# "): float(v) for n, v in zip(names, values, strict=True)}
    return points, np.concatenate(cells), fields, scalars


def _values(node: Any) -> np.ndarray:
    """The array of a CGNS node in an HDF5 file."""
    return np.asarray(node[" data"]).ravel()


def airfrans(folder: Path, name: str) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray], dict[str, float]]:
    """The same for <name>/<name>_internal.vtu; the third and fourth part of a name are inlet velocity (m/s) and incidence (degrees)."""
    import meshio

    path = folder / name / f"{name}_internal.vtu"
    if not path.is_file():
        raise BenchError(f"{path} is missing; complete the data set")
    try:
        mesh = meshio.read(path)
    except Exception as error:  # meshio raises many kinds
        raise BenchError(f"{path} is not a readable VTU file ({error}); replace it") from None
    cells = [
        b.data if b.type == "triangle" else b.data[:, QUAD].reshape(-1, 3)
        for b in mesh.cells
        if b.type in ("triangle", "quad")
    ]
    if not cells:
        raise BenchError(f"{path} has neither triangles nor quadrilaterals")
    data = mesh.point_data
    fields = {"U_x": data["U"][:, 0], "U_y": data["U"][:, 1], "p": data["p"].ravel(), "nut": data["nut"].ravel()}
    velocity, angle = (float(v) for v in name.split("_")[2:4])
    scalars = {"inlet_velocity": velocity, "angle_of_attack": angle}
    return (
        mesh.points[:, :2].astype(np.float64),
        np.concatenate(cells),
        {k: np.asarray(v, np.float64) for k, v in fields.items()},
        scalars,
    )
