"""Mesh-morphing Gaussian processes as a method of the harness."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from bench.schema import Bundle, Metric, Result, SolverMethod
from models.geometry.pod import POD
from models.mmgp.config import Config
from models.mmgp.domain import CommonDomain
from models.mmgp.regression import FieldProcesses, Scaler


class MMGP(SolverMethod):
    cfg: Config

    def fit(self, bundle: Bundle, ctx: Any) -> None:
        cfg, train = self.cfg, bundle.train
        assert cfg.modes is not None and cfg.shape_modes is not None
        assert cfg.restarts is not None and cfg.steps is not None and cfg.folds is not None
        parity = cfg.official_parity
        # without landmarks in the data the boundary starts at the node of smallest x, as in the official code
        marked = cfg.landmarks and not parity and train.landmarks is not None
        self.domain = CommonDomain(train, cfg.morphing, marked, cfg.grid, cfg.extend)
        morphed = [self.domain.morph(train, i, "training sample") for i in range(len(train))]
        self.shapes = POD.fit(np.stack([m.shape for m in morphed]), self.domain.shape_mass, cfg.shape_modes)
        self.scalars = Scaler.fit(train.scalars)
        snapshots = np.stack([(m.project @ u).T for m, u in zip(morphed, train.fields, strict=True)])
        seed = ctx.seed("restarts") % 2**32
        self.processes = FieldProcesses(
            cfg.modes, cfg.regressor, cfg.restarts, cfg.steps, seed, cfg.shared or parity, 0 if parity else cfg.folds
        ).fit(
            self._inputs(morphed, train.scalars),
            snapshots,
            self.domain.mass,
            [m.back for m in morphed],
            train.fields,
            train.outputs,
        )

    def _inputs(self, morphed: list[Any], scalars: np.ndarray) -> np.ndarray:
        return np.concatenate([self.shapes.encode(np.stack([m.shape for m in morphed])), self.scalars(scalars)], axis=1)

    def evaluate(self, bundle: Bundle, ctx: Any) -> Result:
        test = bundle.test
        start = time.perf_counter()
        morphed = [self.domain.morph(test, i, "test sample") for i in range(len(test))]
        fields, width, outputs, output_width = self.processes.predict(
            self._inputs(morphed, test.scalars), [m.back for m in morphed]
        )
        each = (time.perf_counter() - start) / len(test)
        floor = np.concatenate(
            [
                np.stack(
                    [
                        m.back @ pod.decode(pod.encode((m.project @ u[:, k])[None]))[0]
                        for k, pod in enumerate(self.processes.pods)
                    ],
                    1,
                )
                for m, u in zip(morphed, test.fields, strict=True)
            ]
        )
        floors = {m.name: m.value for m in bundle.task.score(bundle, {"fields": floor})}
        metrics = [Metric(f"floor_{n}", floors[f"rrmse_{n}"], "lower", "1") for n in test.field_names]
        metrics += [
            Metric("shape_modes", float(len(self.shapes.modes)), "none", "count"),
            Metric("per_mesh", each, "none", "s"),
        ]
        metrics += [
            Metric(f"interval_factor_{n}", float(f), "none", "1")
            for n, f in zip((*test.field_names, *test.output_names), self.processes.factor, strict=True)
        ]
        return Result(
            {"fields": fields, "fields_std": width, "outputs": outputs, "outputs_std": output_width}, metrics=metrics
        )
