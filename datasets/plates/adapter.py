"""Draw plates, solve them, keep them in the cache."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from bench.schema import BenchError, Bundle, fingerprint
from datasets.plates.config import Config
from datasets.plates.elasticity import solve, top_load, von_mises
from datasets.plates.meshes import Meshes
from datasets.plates.shapes import mesh, outline
from datasets.plates.task import MeshFields

FIELDS = ("u_x", "u_y", "von_mises")
OUTPUTS = ("mean_u_y_top", "max_von_mises")


def load(config: Config, *, fold: str, source: str, root: Path, cache: Path) -> Bundle:
    """train, test: Meshes with scalars (P, mu, lambda), landmarks at the four corners, fields u_x, u_y, von Mises (float64).

    The first command that asks for a fold builds it (about 0.15 s a plate of 800 nodes) and keeps it as an npz in the cache.
    """
    number = config.fold_number(fold)
    assert config.train is not None and config.test is not None and config.h is not None
    count = config.train + config.test
    request = repr((1, config.seed, number, count, config.h, config.mesher, config.pull, config.mu, config.lam))
    path = cache / "plates" / f"{fingerprint(request)[:16]}.npz"
    found = read(path) if path.is_file() else None
    if found is None:
        found = build(config, number, count)
        write(path, found)
    order = np.arange(count)
    train, test = found[order[: config.train]], found[order[config.train :]]
    return Bundle(
        kind=config.kind,
        train=train,
        val=None,
        test=test,
        n_out=len(FIELDS),
        shape=(len(FIELDS),),
        group=fold,
        origin="simulated",
        fingerprint=fingerprint(*found.points, *found.triangles, *found.fields, found.scalars, config.train),
        task=MeshFields(),
        card={
            "licence": config.licence,
            "source": "simulated: neo-Hookean plane strain on linear elements; nothing is downloaded",
        },
    )


def build(config: Config, number: int, count: int) -> Meshes:
    """`count` plates, each from a stream of its own."""
    parts = [plate(config, number, i) for i in range(count)]
    points, triangles, scalars, fields, outputs, corners = (list(a) for a in zip(*parts, strict=True))
    return Meshes(points, triangles, np.array(scalars), fields, np.array(outputs), np.array(corners), FIELDS, OUTPUTS)


def plate(config: Config, number: int, i: int) -> tuple[np.ndarray, ...]:
    """points, triangles, scalars (3,), fields (N, 3), outputs (2,), corners (4,) of plate i of a fold."""
    assert config.h is not None
    rng = np.random.default_rng([20240119, config.seed, number, i])
    pressure, mu, lam = (rng.uniform(*bounds) for bounds in (config.pull, config.mu, config.lam))
    boundary, corners = outline(rng, config.h)
    if config.mesher == "gmsh":
        points, triangles = gmsh_mesh(boundary, config.h)
    else:
        points, triangles = mesh(boundary, config.h, rng)
    fixed = np.flatnonzero(points[:, 1] < -1 + 1e-12)
    u = solve(points, triangles, top_load(points, len(boundary), pressure), fixed, mu, lam)
    stress = von_mises(points, triangles, u, mu, lam)
    top = np.flatnonzero(points[:, 1] > 1 - 1e-12)
    outputs = np.array([u[top, 1].mean(), stress.max()])
    return points, triangles, np.array([pressure, mu, lam]), np.column_stack([u, stress]), outputs, corners


def gmsh_mesh(boundary: np.ndarray, h: float) -> tuple[np.ndarray, np.ndarray]:
    """Nodes (n, 2), the boundary's first, and triangles (t, 3) by gmsh."""
    try:
        import gmsh
    except ImportError:
        raise BenchError("data.mesher=gmsh needs gmsh; pip install gmsh, or use data.mesher=delaunay") from None
    gmsh.initialize(interruptible=False)
    try:
        gmsh.option.setNumber("General.Terminal", 0)
        geo, b = gmsh.model.geo, len(boundary)
        for k, (x, y) in enumerate(boundary):
            geo.addPoint(x, y, 0, h, k + 1)
        lines = [geo.addLine(k + 1, (k + 1) % b + 1) for k in range(b)]
        geo.addPlaneSurface([geo.addCurveLoop(lines)])
        geo.synchronize()
        for line in lines:
            gmsh.model.mesh.setTransfiniteCurve(line, 2)  # the boundary's points, no more
        gmsh.model.mesh.generate(2)
        tags, xyz, _ = gmsh.model.mesh.getNodes()
        _, nodes = gmsh.model.mesh.getElementsByType(2)
    finally:
        gmsh.finalize()
    order = np.argsort(tags)
    triangles = np.searchsorted(tags[order], nodes).reshape(-1, 3)
    return xyz.reshape(-1, 3)[order, :2].copy(), triangles.astype(np.int64)


def write(path: Path, m: Meshes) -> None:
    """One npz: arrays of all meshes end to end, and where each begins."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part.npz")
    assert m.landmarks is not None
    np.savez(
        part,
        nodes=[len(p) for p in m.points],
        elements=[len(t) for t in m.triangles],
        points=np.concatenate(m.points),
        triangles=np.concatenate(m.triangles),
        fields=np.concatenate(m.fields),
        scalars=m.scalars,
        outputs=m.outputs,
        landmarks=m.landmarks,
    )
    os.replace(part, path)


def read(path: Path) -> Meshes | None:
    """What `write` wrote; None, and a word, for a file that is damaged."""
    try:
        with np.load(path) as d:
            node, element = np.cumsum(d["nodes"])[:-1], np.cumsum(d["elements"])[:-1]
            return Meshes(
                np.split(d["points"], node),
                np.split(d["triangles"], element),
                d["scalars"],
                np.split(d["fields"], node),
                d["outputs"],
                d["landmarks"],
                FIELDS,
                OUTPUTS,
            )
    except Exception as error:  # numpy and zipfile raise many kinds
        print(f"{path} cannot be read ({type(error).__name__}); the plates are built again", flush=True)
        return None
