"""The baselines for surface pressure as methods of the harness."""

from __future__ import annotations

from typing import Any

import numpy as np

from bench.schema import BenchError, Bundle, Metric, Result, SolverMethod
from models.wing_baselines.config import Config
from models.wing_cp.inputs import CONDITIONS, SurfaceInputs
from models.wing_cp.plugin import check_grid

TREES = [(leaves, rate) for leaves in (31, 127) for rate in (0.1, 0.2)]
ENERGY = (0.99, 0.999, 0.9999)  # shares of the pressure's variance that the components keep


class Baseline(SolverMethod):
    cfg: Config

    def skip(self, bundle: Bundle) -> str | None:
        if bundle.val is None:
            return "there is no validation split to choose on"
        if self.cfg.algorithm == "pod" and bundle.meta.get("grid") is None:
            return "principal components of fields need the same points on every surface: a structured grid"
        return check_grid(self.cfg, bundle) if self.cfg.algorithm == "trees" else None

    def fit(self, bundle: Bundle, ctx: Any) -> None:
        (self._trees if self.cfg.algorithm == "trees" else self._pod)(bundle, ctx)

    # ------------------------------------------------------------------------------------------ trees

    def _rows(self, x: Any) -> np.ndarray:
        points, conditions = self.inputs(x)
        n, p = points.shape[:2]
        return np.concatenate([points, np.broadcast_to(conditions[:, None], (n, p, conditions.shape[1]))], -1).reshape(
            n * p, -1
        )

    def _trees(self, bundle: Bundle, ctx: Any) -> None:
        from sklearn.ensemble import HistGradientBoostingRegressor

        if self.cfg.rounds is None:
            raise BenchError("method.rounds is null at this scale; give it a value or an entry under `at`")
        self.inputs = SurfaceInputs(self.cfg, bundle)
        x, y = self._rows(bundle.train.x), np.ravel(bundle.train.y)
        val, target = self._rows(bundle.val.x), np.ravel(bundle.val.y)
        self.error, self.trials = np.inf, 0
        for leaves, rate in TREES:
            model = HistGradientBoostingRegressor(
                max_leaf_nodes=leaves,
                learning_rate=rate,
                max_iter=self.cfg.rounds,
                early_stopping=False,
                random_state=ctx.seed("trees") % 2**32,
            ).fit(x, y)
            errors = [float(np.mean((guess - target) ** 2)) for guess in model.staged_predict(val)]
            self.trials += len(errors)
            if min(errors) < self.error:
                self.error, self.model, self.rounds = min(errors), model, int(np.argmin(errors)) + 1

    # ------------------------------------------------------------------------------------------ principal components

    def _shape(self, x: Any) -> np.ndarray:
        """Coordinates as one vector, and conditions."""
        x = np.asarray(x, dtype=np.float64)
        return np.concatenate([x[..., :3].reshape(len(x), -1), x[:, 0, CONDITIONS:]], 1)

    def _pod(self, bundle: Bundle, ctx: Any) -> None:
        from sklearn.decomposition import PCA

        shape, q = self._shape(bundle.train.x), bundle.shape[1] - CONDITIONS
        self.cut = shape.shape[1] - q
        self.geometry = PCA(0.9999, svd_solver="full").fit(shape[:, : self.cut])
        inputs = self._codes(shape)
        self.shift, self.scale = inputs.mean(0), np.where(inputs.std(0) > 1e-12, inputs.std(0), 1.0)
        y, target = np.asarray(bundle.train.y, dtype=np.float64), np.asarray(bundle.val.y, dtype=np.float64)
        # all components once: fewer of them are a prefix
        field = PCA(ENERGY[-1], svd_solver="full").fit(y)
        processes = [self._process((inputs - self.shift) / self.scale, code, ctx) for code in field.transform(y).T]
        self.field, self.processes = field, processes
        val = self._predicted(bundle.val.x)
        kept = np.cumsum(field.explained_variance_ratio_)
        self.error, self.trials = np.inf, 0
        for energy in ENERGY:
            count = min(len(kept), int(np.searchsorted(kept, energy)) + 1)
            error = float(np.mean((field.mean_ + val[:, :count] @ field.components_[:count] - target) ** 2))
            self.trials += 1
            if error < self.error:
                self.error, self.count = error, count

    def _codes(self, shape: np.ndarray) -> np.ndarray:
        return np.concatenate([self.geometry.transform(shape[:, : self.cut]), shape[:, self.cut :]], 1)

    def _process(self, x: np.ndarray, code: np.ndarray, ctx: Any) -> Any:
        import warnings

        from sklearn.exceptions import ConvergenceWarning
        from sklearn.gaussian_process import GaussianProcessRegressor
        from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

        kernel = ConstantKernel(1.0, (1e-2, 1e3)) * RBF(np.full(x.shape[1], 3.0), (0.1, 1e3)) + WhiteKernel(
            1e-2, (1e-6, 2.0)
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # a length at its bound is an input without effect
            return GaussianProcessRegressor(kernel, normalize_y=True, random_state=ctx.seed("gp") % 2**32).fit(x, code)

    def _predicted(self, x: Any) -> np.ndarray:
        """Codes of the pressure (n, components)."""
        inputs = (self._codes(self._shape(x)) - self.shift) / self.scale
        return np.stack([p.predict(inputs) for p in self.processes], 1)

    # ------------------------------------------------------------------------------------------ both

    def evaluate(self, bundle: Bundle, ctx: Any) -> Result:
        if self.cfg.algorithm == "pod":
            codes = self._predicted(bundle.test.x)[:, : self.count]
            y = self.field.mean_ + codes @ self.field.components_[: self.count]
            chosen = Metric("components", float(self.count), "none", "1")
        else:
            stages = self.model.staged_predict(self._rows(bundle.test.x))
            y = next(guess for i, guess in enumerate(stages, 1) if i == self.rounds).reshape(np.shape(bundle.test.y))
            chosen = Metric("trees", float(self.rounds), "none", "1")
        return Result(
            predictions={"y": y.astype(np.float32)},
            metrics=[chosen],
            n_trials=self.trials,
            validation=Metric("val_loss", self.error, "lower", "loss"),
        )
