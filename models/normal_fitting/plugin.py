"""Local fits as a method of the harness: neighbourhood and degree from the validation clouds, then the test clouds."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from bench.schema import BenchError, Bundle, Metric, Result, SolverMethod
from models.geometry.equivariance import EuclideanAction, equivariance_errors
from models.geometry.neighbourhoods import jet_normals, nearest, pca_normals
from models.normal_fitting.config import Config
from models.normal_fitting.orient import orient_mst, orient_radial

CHUNK = 1_000_000  # neighbours gathered at once
METER = 64  # points of a cloud whose fits are moved


class NormalFitting(SolverMethod):
    cfg: Config

    def fit(self, bundle: Bundle, ctx: Any) -> None:
        """The neighbourhood and degree with the least unoriented error on the validation clouds."""
        cfg = self.cfg
        if cfg.neighbours is None:
            raise BenchError("method.neighbours is null at this scale; give sizes, e.g. [16,32,64]")
        fewest = min(len(x) for x in bundle.val.x)
        orders = cfg.orders if cfg.fit == "jet" else [1]
        pairs = [
            (k, d)
            for k, d in itertools.product(cfg.neighbours, orders)
            if k <= fewest and (cfg.fit == "pca" or k >= (d + 1) * (d + 2) // 2)
        ]
        if not pairs:
            raise ValueError(
                f"no size of method.neighbours={cfg.neighbours} fits clouds of {fewest} points and the degree; change them"
            )
        score = replace(bundle, test=bundle.val)
        self.errors: dict[tuple[int, int], float] = {}
        for pair in pairs:
            guess = np.stack([self._fitted(x, *pair, q) for x, q in zip(bundle.val.x, bundle.val.query, strict=True)])
            rows = bundle.task.score(score, {"y": guess})
            self.errors[pair] = next(m.value for m in rows if m.name == "rmse_unoriented")
        self.best = min(self.errors, key=lambda p: self.errors[p])

    def _fitted(self, points: np.ndarray, k: int, order: int, query: np.ndarray | None = None) -> np.ndarray:
        points = np.asarray(points, dtype=np.float64)
        near = nearest(points, k, query)
        cloud, parts = torch.as_tensor(points), []
        for rows in np.array_split(near, max(1, -(-near.size // CHUNK))):
            parts.append(self._normals(cloud[torch.as_tensor(rows)], order))
        return torch.cat(parts).numpy()

    def _normals(self, patches: torch.Tensor, order: int) -> torch.Tensor:
        """Unoriented normals (B, 3) at the first points of patches (B, k, 3)."""
        return pca_normals(patches) if self.cfg.fit == "pca" else jet_normals(patches, order)

    def _symmetry(self, points: np.ndarray, k: int, order: int, seed: int) -> list[Metric]:
        """How exactly fits turn with their patches, up to sign, under rotations, reflections and translations; the orientation, which
        starts at the topmost point and so depends on the axes, is left out."""
        points = np.asarray(points, dtype=np.float64)
        some = np.linspace(0, len(points) - 1, min(METER, len(points))).astype(int)
        patches = torch.as_tensor(points)[torch.as_tensor(nearest(points, k, some))]
        found = equivariance_errors(
            lambda x: self._normals(x, order),
            EuclideanAction("E(3)", "line"),
            patches,
            draws=4,
            steps=3,
            generator=torch.Generator().manual_seed(seed),
        )
        return found.metrics()

    def evaluate(self, bundle: Bundle, ctx: Any) -> Result:
        cfg, (k, order), out = self.cfg, self.best, []
        queries = getattr(bundle.test, "query", None)
        for i, x in enumerate(bundle.test.x):
            points = np.asarray(x, dtype=np.float64)
            normals = self._fitted(points, k, order)
            if cfg.orient == "mst":
                normals = orient_mst(points, normals, cfg.tree_neighbours)
            elif cfg.orient == "radial":
                normals = orient_radial(points, normals)
            out.append(normals if queries is None else normals[queries[i]])
        return Result(
            predictions={"y": np.stack(out).astype(np.float32)},
            metrics=[
                Metric("neighbours", float(k), "none", "points"),
                Metric("degree", float(order), "none", "1"),
                *self._symmetry(bundle.test.x[0], k, order, ctx.seed("meter")),
            ],
            params=0,
            n_trials=len(self.errors),
            validation=Metric("rmse_unoriented", self.errors[self.best], "lower", "degree"),
        )
