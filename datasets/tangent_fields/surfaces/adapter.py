"""A surface thinned out, a tangent field on it, and what is hidden."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.schema import ORIGIN, Arrays, BenchError, Bundle, fingerprint
from datasets.files import verified
from datasets.tangent_fields.surfaces.config import BUNNY, Config
from datasets.tangent_fields.surfaces.shapes import SHAPES
from datasets.tangent_fields.task import FieldTask, triangulate
from models.geometry.connection import VectorManifold, diameter, farthest_points
from models.geometry.singularities import singular_points

FIRST = 5  # the vertex that farthest point sampling starts at
WAVES = 12  # in an ambient field


def load(config: Config, *, fold: str, source: str, root: Path, cache: Path) -> Bundle:
    """train.x, test.x (n, 3) float64 positions; y (n, 1, 3) unit tangent vectors.

    meta, for a disc: `hole` with the flattened disc, its triangles and the zero of the field in it.
    """
    draw = config.fold_number(fold)
    if source == "real":
        from datasets.points.meshes import read_mesh

        dense = np.unique(read_mesh(verified(root, BUNNY))[0], axis=0)
    else:
        dense = SHAPES["blob" if config.surface == "bunny" else config.surface]()
    assert config.spacing is not None
    points = dense[farthest_points(dense, config.spacing, FIRST)]
    size = diameter(points)
    manifold = VectorManifold.from_points(points, config.neighbours)
    field = ambient(manifold, draw + 1) if config.field == "ambient" else diffused(manifold, draw + 1, config.time)
    meta = {}
    if config.hide == "disc":
        known, hole = _disc(manifold, field, config.radius * size, draw)
    else:
        n = len(points)
        draw_from = np.random.RandomState(draw)  # the legacy stream, as in the script of the paper
        known = np.unique(draw_from.choice(n, size=int(config.share * n), replace=config.replacement))
        hole = None
    hidden = np.setdiff1d(np.arange(len(points)), known)
    if hole is not None:  # points of the hole are numbered as in train, then test
        place = np.argsort(np.concatenate([known, hidden]))
        meta["hole"] = hole | {"points": place[hole["points"]]}
    x_test = points[hidden]
    if config.position_noise:
        rng = np.random.default_rng([20240116, draw])
        x_test = x_test + config.position_noise * size * rng.standard_normal(x_test.shape)
    y = field[:, None]
    return Bundle(
        kind=config.kind,
        train=Arrays(points[known], y[known]),
        val=None,
        test=Arrays(x_test, y[hidden]),
        n_out=3,
        shape=(3,),
        group=fold,
        origin=ORIGIN[source],
        fingerprint=fingerprint(points[known], y[known], x_test, y[hidden]),
        task=FieldTask(),
        card={
            "licence": config.licence if source == "real" else "none needed: made by formula",
            "source": "vertices of a scan (agosztolai/RVGP); the field on them is drawn"
            if source == "real"
            else "by formula",
            "citation": config.citation,
        },
        meta=meta,
    )


def diffused(manifold: VectorManifold, seed: int, time: float) -> np.ndarray:
    """Unit tangent field (n, 3): uniform random vectors, tangent part, heat flow for `time`."""
    rng = np.random.RandomState(seed)
    start = manifold.project(rng.uniform(size=manifold.points.shape) - 0.5)
    start /= np.linalg.norm(start, axis=1, keepdims=True)
    field = manifold.diffuse(start, time)
    return field / np.linalg.norm(field, axis=1, keepdims=True)


def ambient(manifold: VectorManifold, seed: int) -> np.ndarray:
    """Unit tangent field (n, 3): tangent part of a sum of waves whose lengths are of the size of the surface."""
    rng = np.random.default_rng([20240117, seed])
    x = manifold.points - manifold.points.mean(0)
    x = x / np.sqrt((x**2).sum(1).mean())
    k, phase = rng.standard_normal((3, WAVES)), rng.uniform(0, 2 * np.pi, WAVES)
    field = manifold.project(np.cos(x @ k + phase) @ rng.standard_normal((WAVES, 3)))
    return field / np.linalg.norm(field, axis=1, keepdims=True)


def _disc(manifold: VectorManifold, field: np.ndarray, radius: float, draw: int) -> tuple[np.ndarray, dict]:
    """Known points and the hole: a disc around a zero of index +-1 that is its only one. The fold's draw picks among those there are."""
    points = manifold.points
    candidates = []
    for centre, index in singular_points(manifold.frames, points, manifold.graph, field):
        near = np.flatnonzero(np.linalg.norm(points - points[centre], axis=1) < 1.5 * radius)
        # the plane of the disc is that of its points; a fold of the surface would lie twice over it
        axes = np.linalg.svd((points[near] - points[near].mean(0)).T)[0][:, :2]
        tilt = np.linalg.norm(manifold.frames[near].swapaxes(1, 2) @ axes, axis=(1, 2))
        if tilt.min() < 1.1:
            continue
        disc = triangulate(points, field, axes, np.concatenate([[centre], near[near != centre]]), radius)
        zeros = np.flatnonzero(disc["indices"])
        place = disc["flat"][disc["triangles"]].mean(1)
        if len(zeros) == 1 and np.linalg.norm(place[zeros[0]]) < 0.5 * radius and abs(index) == 1:
            hole = disc | {"zero": int(zeros[0]), "index": int(disc["indices"].sum())}
            candidates.append((centre, hole))
    if not candidates:
        raise BenchError(
            "data.hide=disc finds no lone zero of this field; choose another fold or a smaller data.radius"
        )
    centre, hole = candidates[draw % len(candidates)]
    inside = np.linalg.norm(points - points[centre], axis=1) < radius
    return np.flatnonzero(~inside), hole
