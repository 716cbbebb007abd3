"""Regression in the space of an augmentation as a method of the harness."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from bench.schema import Bundle, Metric, Result, SolverMethod
from datasets.hypercube.adapter import parities, points
from models.rkhs_aug.augmentation import Augmentation, Block, Independent, signs
from models.rkhs_aug.config import Config
from models.rkhs_aug.encoder import Encoder, learn, top
from models.rkhs_aug.estimator import Smoother
from models.rkhs_aug.views import MOST, States, captured

GRID = (0.02, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.97)
"""Strengths among which leave-one-out chooses, and those of the figure."""
SPECTRUM = 10  # coordinates up to which the eigenvalues of the kernel matrix are computed beside the formula


def augmentation(cfg: Config, m: int, alpha: float) -> Augmentation:
    """The augmentation of the choices for points of m coordinates at one strength."""
    if cfg.augmentation == "block":
        return Block(m, round(alpha * m), cfg.flip)
    return Independent(m, alpha, cfg.flip * (1 - alpha))


class AugmentationRegression(SolverMethod):
    cfg: Config

    def skip(self, bundle: Bundle) -> str | None:
        m = bundle.shape[0]
        if self.cfg.encoder != "kernel" and self.cfg.d > 2**m:
            return f"there are {2**m} eigenfunctions and method.d={self.cfg.d}; lower it"
        if self.cfg.encoder == "network" and m > MOST:
            return f"exact averages over views take up to {MOST} coordinates, and there are {m}; lower data.m"
        return None

    def fit(self, bundle: Bundle, ctx: Any) -> None:
        cfg, m = self.cfg, bundle.shape[0]
        x, self.y = signs(bundle.train.x, m), np.asarray(bundle.train.y, dtype=np.float64)
        self.scores: list[float] = []
        if cfg.alpha is None:
            grid = [k / m for k in range(m + 1)] if cfg.augmentation == "block" else list(GRID)
            kernels = ((self._features(augmentation(cfg, m, a), x), a) for a in grid)
            self.scores = [Smoother(k(x), k(x), cfg.ridge).leave_one_out(self.y) for k, _ in kernels]
            self.alpha = grid[int(np.argmin(self.scores))]
        else:
            self.alpha = cfg.alpha
        self.chosen = augmentation(cfg, m, self.alpha)
        self.states = self.encoder = None
        if cfg.encoder == "network":
            self._learn(m, ctx)
        self.kernel = self._features(self.chosen, x)
        train = self.kernel(x)
        self.loo = Smoother(train, train, cfg.ridge).leave_one_out(self.y)

    def _features(self, a: Augmentation, x: np.ndarray) -> Any:
        """z -> K(z, x) of the chosen encoder."""
        if self.cfg.encoder == "kernel":
            return lambda z: a.kernel(z, x)
        if self.cfg.encoder == "top":
            sets = top(a, self.cfg.d)
            members = ((sets[:, None] >> np.arange(a.m)) & 1).astype(bool)
            scale = np.sqrt(a.eigenvalues()[sets])

            def exact(z: np.ndarray) -> np.ndarray:
                return scale * np.where(members[None], z[:, None], 1.0).prod(-1)

            own = exact(x)
            return lambda z: exact(z) @ own.T
        bits = 1 << np.arange(a.m)
        return lambda z: self.psi[(z < 0) @ bits] @ self.psi[(x < 0) @ bits].T

    def _learn(self, m: int, ctx: Any) -> None:
        """Train the network on fresh points, and average it exactly over all views."""
        cfg, rng, cube = self.cfg, ctx.rng("views"), points(m)
        torch.manual_seed(ctx.seed("init"))
        net = Encoder(m, cfg.d, cfg.width)

        def draw(n: int) -> tuple[np.ndarray, np.ndarray]:
            x = cube[rng.integers(len(cube), size=n)]
            return self.chosen.sample(x, rng), self.chosen.sample(x, rng)

        def log(step: int, loss: float) -> None:
            if step % 100 == 0 or step == cfg.steps:
                ctx.log(step, loss=loss)

        learn(net, draw, cfg.steps, cfg.batch, cfg.lr, log)
        self.encoder = net
        states = States(self.chosen)
        with torch.no_grad():
            phi = net(torch.as_tensor(states.views, dtype=torch.float32)).double().numpy()
        self.second = (phi * states.p[:, None]).T @ phi
        self.psi = states.average(phi, cube)

    def evaluate(self, bundle: Bundle, ctx: Any) -> Result:
        cfg, a, m = self.cfg, self.chosen, bundle.shape[0]
        x, z = np.asarray(bundle.train.x), np.asarray(bundle.test.x)
        smoother = Smoother(self.kernel(x), self.kernel(z), cfg.ridge)
        bits, truth = 1 << np.arange(m), bundle.meta["truth"]
        bias2, variance = smoother.parts(truth[(x < 0) @ bits], truth[(z < 0) @ bits], bundle.meta["noise"])
        values = np.sort(a.eigenvalues())[::-1]
        metrics = [
            Metric("bias2", bias2, "lower", "1"),
            Metric("variance", variance, "lower", "1"),
            Metric("alpha", self.alpha, "none", "fraction"),
            Metric("log_kappa2", a.log_kappa2(), "none", "nat"),
            Metric("leave_one_out", self.loo, "lower", "1"),
        ]
        if cfg.encoder != "kernel":
            best = float(values[: cfg.d].sum())
            mine = best if cfg.encoder == "top" else captured(self.psi, self.second)
            metrics.append(Metric("trace_gap", 1 - mine / best, "lower", "fraction"))
        if cfg.encoder == "network":
            metrics.append(Metric("largest_angle", self._angle(m), "lower", "degree"))
        elif cfg.encoder == "kernel" and m <= SPECTRUM:
            cube = points(m)
            k = a.kernel(cube, cube)
            found = np.linalg.eigvalsh(k)[::-1] / len(cube)
            metrics.append(Metric("spectrum_error", float(np.abs(found - values).max()), "lower", "1"))
            metrics.append(
                Metric(
                    "kappa2_error", float(np.abs(k.diagonal() / np.exp(a.log_kappa2()) - 1).max()), "lower", "fraction"
                )
            )
        if cfg.encoder == "kernel":
            ctx.save_figure("strength", self._figure(bundle))
        params = sum(p.numel() for p in self.encoder.parameters()) if self.encoder is not None else None
        return Result(
            {"y": smoother.predict(self.y)},
            metrics,
            params=params,
            n_trials=max(1, len(self.scores)),
            validation=Metric("leave_one_out", self.loo, "lower", "1"),
        )

    def _angle(self, m: int) -> float:
        """Largest principal angle, in degrees, between the averaged encoder and the space of the d largest eigenvalues."""
        q, _ = np.linalg.qr(self.psi)
        u = parities(m)[:, top(self.chosen, self.cfg.d)] / 2 ** (m / 2)
        cosine = np.linalg.svd(q.T @ u, compute_uv=False).min()
        return float(np.degrees(np.arccos(min(1.0, cosine))))

    def _figure(self, bundle: Bundle) -> Any:
        """Expected error, its bias and its variance against the strength, and kappa^2 over the number of labels, for this draw."""
        from matplotlib.figure import Figure

        m, x, z = bundle.shape[0], np.asarray(bundle.train.x), np.asarray(bundle.test.x)
        bits, truth = 1 << np.arange(m), bundle.meta["truth"]
        grid = [k / m for k in range(m + 1)] if self.cfg.augmentation == "block" else list(GRID)
        parts, complexity = [], []
        for alpha in grid:
            a = augmentation(self.cfg, m, alpha)
            smoother = Smoother(a.kernel(x, x), a.kernel(z, x), self.cfg.ridge)
            parts.append(smoother.parts(truth[(x < 0) @ bits], truth[(z < 0) @ bits], bundle.meta["noise"]))
            complexity.append(np.exp(a.log_kappa2()) / len(x))
        bias, variance = np.array(parts).T
        figure = Figure(figsize=(8, 3.5), layout="constrained")
        left = figure.add_subplot(1, 2, 1, xlabel="share hidden", ylabel="mean squared error", title=bundle.group)
        for name, values in (("expected", bias + variance), ("bias^2", bias), ("variance", variance)):
            left.plot(grid, values, marker=".", label=name)
        left.axvline(self.alpha, color="0.7", linewidth=1)
        left.legend(fontsize=8)
        right = figure.add_subplot(1, 2, 2, xlabel="share hidden", ylabel="kappa^2 / labels", yscale="log")
        right.plot(grid, complexity, marker=".", color="0.3")
        return figure
