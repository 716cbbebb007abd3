"""Draw a manifold and its geodesic distances."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.schema import Arrays, Bundle, fingerprint
from datasets.manifolds.config import Config
from datasets.manifolds.task import Geodesics


def load(config: Config, *, fold: str, source: str, root: Path, cache: Path) -> Bundle:
    """`test.x` (n, dim) float64 noisy points; `test.y` (n, n) true geodesic distances, for scoring only.

    `meta`: `parameter` (n,) for the figure's colours, and for shape=clusters `labels` (n,).
    """
    rng = np.random.default_rng([config.seed, config.fold_number(fold)])
    labels = None
    if config.shape == "tree":
        clean, distances, parameter = tree(config.n, config.dim, config.branches, rng)
    else:
        angle = None
        if config.shape == "clusters":
            labels = rng.integers(2, size=config.n)
            angle = np.where(labels, 12.0, 7.0) + rng.standard_normal(config.n)
        clean, distances, parameter = swiss_roll(config.n, config.dim, rng, angle)
    x = clean + config.noise * rng.standard_normal(clean.shape)
    return Bundle(
        kind=config.kind,
        train=None,
        val=None,
        test=Arrays(x, distances),
        n_out=0,
        shape=(config.dim,),
        group=fold,
        origin="simulated",
        fingerprint=fingerprint(x, distances),
        task=Geodesics(),
        card={"licence": config.licence, "source": "simulated as in the experiment; nothing is downloaded"},
        meta={"parameter": parameter} | ({} if labels is None else {"labels": labels}),
    )


def swiss_roll(
    n: int, dim: int, rng: np.random.Generator, angle: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points (t cos t, h, t sin t) turned into R^dim, t = 3 pi / 2 (1 + 2 u) unless given, h uniform on [0, 5]; distances in (arc
    length, h), arc length (t sqrt(1 + t^2) + asinh t) / 2; t."""
    t = 1.5 * np.pi * (1 + 2 * rng.random(n)) if angle is None else angle
    h = 5 * rng.random(n)
    flat = np.column_stack([(np.sqrt(t**2 + 1) * t + np.arcsinh(t)) / 2, h])
    x = np.column_stack([t * np.cos(t), h, t * np.sin(t)])
    turn, _ = np.linalg.qr(rng.standard_normal((dim, dim)))
    return x @ turn[:3], np.linalg.norm(flat[:, None] - flat, axis=-1), t


def tree(n: int, dim: int, branches: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Random walks of Gaussian steps, each starting at a random point of those before (the first at 0); distances are shortest paths in
    the graph of 10 neighbours and of the walks themselves; the number of the branch."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import shortest_path

    sizes = [len(part) for part in np.array_split(np.arange(n), branches)]
    points: list[np.ndarray] = []
    for size in sizes:
        start = np.zeros(dim) if not points else np.concatenate(points)[rng.integers(sum(map(len, points)))]
        points.append(start + np.cumsum(rng.standard_normal((size, dim)), axis=0))
    x = np.concatenate(points)
    d = np.linalg.norm(x[:, None] - x, axis=-1)
    near = np.argsort(d, axis=1)[:, 1:11]
    row, column = np.repeat(np.arange(n), near.shape[1]), near.ravel()
    # consecutive points of a walk, and each walk's start, are joined whatever else is near
    first = np.cumsum([0, *sizes[:-1]])
    walk = np.setdiff1d(np.arange(1, n), first)
    begin = first[1:]
    anchor = np.array([np.argmin(d[b, :b]) for b in begin], dtype=int)
    row = np.concatenate([row, walk, begin])
    column = np.concatenate([column, walk - 1, anchor])
    # duplicate entries of a coo array would be added
    pairs = np.unique(np.stack([row, column]), axis=1)
    graph = coo_array((d[tuple(pairs)], tuple(pairs)), shape=(n, n)).tocsr()
    return x, shortest_path(graph, directed=False), np.repeat(np.arange(branches), sizes).astype(float)
