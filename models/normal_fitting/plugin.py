"""Local fits as a method of the harness: neighbourhood and degree from the validation clouds, then the test clouds."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from bench.schema import BenchError, Bundle, Metric, Result, SolverMethod
from models.geometry.neighbourhoods import jet_normals, nearest, pca_normals
from models.normal_fitting.config import Config
from models.normal_fitting.orient import orient_mst, orient_radial

CHUNK = 1_000_000  # neighbours gathered at once


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
            x = cloud[torch.as_tensor(rows)]
            parts.append(pca_normals(x) if self.cfg.fit == "pca" else jet_normals(x, order))
        return torch.cat(parts).numpy()

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
            metrics=[Metric("neighbours", float(k), "none", "points"), Metric("degree", float(order), "none", "1")],
            params=0,
            n_trials=len(self.errors),
            validation=Metric("rmse_unoriented", self.errors[self.best], "lower", "degree"),
        )
