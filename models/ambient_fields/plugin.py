"""The channel-wise interpolations as methods of the harness."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from bench.schema import Bundle, Metric, Result, SolverMethod
from models.ambient_fields.config import Config
from models.geometry.connection import VectorManifold

SMOOTHING = (0.0, *np.logspace(-6, 2, 9))
FOLDS = 5


class AmbientField(SolverMethod):
    cfg: Config

    def fit(self, bundle: Bundle, ctx: Any) -> None:
        cfg = self.cfg
        points = np.concatenate([bundle.train.x, bundle.test.x])
        self.manifold, self.encoding, t = None, points, len(bundle.train)
        if cfg.tangent or (cfg.algorithm == "rbf" and cfg.input == "modes"):
            self.manifold = VectorManifold.from_points(points, cfg.neighbours, dim=2)
        if cfg.algorithm == "rbf" and cfg.input == "modes":
            assert cfg.modes is not None and self.manifold is not None
            self.encoding = self.manifold.scalar_modes(min(cfg.modes, len(points)))[1]
        else:  # the scale of space is the surface's own
            self.encoding = (points - points.mean(0)) / np.sqrt(((points - points.mean(0)) ** 2).sum(1).mean())
        x, y = self.encoding[:t], np.asarray(bundle.train.y)
        self.error, self.trials = float("nan"), 1
        if cfg.algorithm == "rbf":
            self.models = [_process(x, y[:, f]) for f in range(y.shape[1])]
        else:
            self._spline(x, y, ctx)

    def _spline(self, x: np.ndarray, y: np.ndarray, ctx: Any) -> None:
        from scipy.interpolate import RBFInterpolator
        from sklearn.model_selection import KFold

        parts = list(KFold(FOLDS, shuffle=True, random_state=ctx.seed("parts") % 2**32).split(x))
        flat = y.reshape(len(y), -1)
        errors = [
            np.mean([np.mean((RBFInterpolator(x[a], flat[a], smoothing=s)(x[b]) - flat[b]) ** 2) for a, b in parts])
            for s in SMOOTHING
        ]
        self.error, self.trials = float(min(errors)), len(SMOOTHING)
        self.spline = RBFInterpolator(x, flat, smoothing=SMOOTHING[int(np.argmin(errors))])

    def evaluate(self, bundle: Bundle, ctx: Any) -> Result:
        x, shape = self.encoding[len(bundle.train) :], bundle.test.y.shape
        predictions = {}
        if self.cfg.algorithm == "rbf":
            both = [m.predict(x, return_std=True) for m in self.models]
            y = np.stack([m for m, _ in both], 1)
            predictions["std"] = np.stack([s for _, s in both], 1)
        else:
            y = self.spline(x).reshape(shape)
        if self.cfg.tangent:
            assert self.manifold is not None
            frames = self.manifold.frames[len(bundle.train) :]
            y = np.einsum("nam,nbm,nfb->nfa", frames, frames, y)
        validation = Metric("cross_validation", self.error, "lower", "1") if self.trials > 1 else None
        return Result(
            predictions | {"y": y}, n_trials=self.trials, validation=validation, transductive=self.manifold is not None
        )


def _process(x: np.ndarray, y: np.ndarray) -> Any:
    """sigma^2 exp(-|x - x'|^2 / (2 l^2)) + noise, shared by the channels y (n, D), fitted by marginal likelihood.

    The better of two starts, with much noise and with little; the length starts at the median distance. From a length of 1 many modes lie
    so far apart, and from much noise alone some smooth fields look so, that the search ends at pure noise.
    """
    from scipy.spatial.distance import pdist
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

    length, size = float(np.median(pdist(x))), float(np.mean(y**2))
    fitted = []
    for noise in (1.0, 1e-2):
        kernel = ConstantKernel(size, (1e-8 * size, 1e8 * size)) * RBF(length, (1e-3, 1e4))
        kernel += WhiteKernel(noise * size, (1e-6 * size, 1e3 * size))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a hyper-parameter at its bound: the bounds are wide on purpose
            fitted.append(GaussianProcessRegressor(kernel).fit(x, y))
    return max(fitted, key=lambda m: m.log_marginal_likelihood_value_)
