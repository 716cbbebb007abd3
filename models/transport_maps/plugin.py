"""The transport baselines as methods of the harness."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from bench.schema import Bundle, Result, SolverMethod
from models.geometry.sinkhorn import potentials
from models.geometry.transport import ground_cost, matrix
from models.transport_maps.config import QUADRATIC, Config
from models.transport_maps.icnn import ICNN, train_dual


class Baseline(SolverMethod):
    cfg: Config

    def skip(self, bundle: Bundle) -> str | None:
        if self.cfg.algorithm in QUADRATIC and bundle.meta["cost"] != "sqeuclidean":
            return f"{self.cfg.algorithm} solves the squared Euclidean problem alone, and the cost is {bundle.meta['cost']}"
        if self.cfg.algorithm in ("shift", "entropic") and bundle.meta["cost"] == "sphere":
            return f"{self.cfg.algorithm} leaves the sphere"
        return None

    def fit(self, bundle: Bundle, ctx: Any) -> None:
        x, y = np.asarray(bundle.train.x, np.float64), np.asarray(bundle.train.y, np.float64)
        self.params = None
        getattr(self, f"_{self.cfg.algorithm}")(x, y, bundle, ctx)

    def evaluate(self, bundle: Bundle, ctx: Any) -> Result:
        return Result({"y": self.map(np.asarray(bundle.test.x, np.float64))}, params=self.params)

    def _identity(self, x: np.ndarray, y: np.ndarray, bundle: Bundle, ctx: Any) -> None:
        self.map = lambda z: z

    def _shift(self, x: np.ndarray, y: np.ndarray, bundle: Bundle, ctx: Any) -> None:
        shift = y.mean(0) - x.mean(0)
        self.map = lambda z: z + shift

    def _gaussian(self, x: np.ndarray, y: np.ndarray, bundle: Bundle, ctx: Any) -> None:
        """T(x) = m_y + A (x - m_x), A = S_x^(-1/2) (S_x^(1/2) S_y S_x^(1/2))^(1/2) S_x^(-1/2)."""
        import ot

        a, b = ot.gaussian.empirical_bures_wasserstein_mapping(x, y, reg=1e-9)
        self.map = lambda z: z @ a + b

    def _entropic(self, x: np.ndarray, y: np.ndarray, bundle: Bundle, ctx: Any) -> None:
        """T(x) = sum_j w_j(x) y_j, w_j(x) proportional to exp(g_j - c(x, y_j) / epsilon), g the potential of the plan between samples."""
        cost = ground_cost(bundle.meta["cost"], bundle.meta["power"])
        source, target = (torch.from_numpy(v[: self.cfg.anchors]) for v in (x, y))
        c = matrix(cost, source, target)
        epsilon = self.cfg.epsilon * float(c.mean())
        mass = c.new_full((len(c),), 1 / len(c))
        g = potentials(c, epsilon, mass, c.new_full((c.shape[1],), 1 / c.shape[1]), tol=1e-6).g

        def project(z: np.ndarray) -> np.ndarray:
            parts = torch.from_numpy(z).split(1024)
            return torch.cat([torch.softmax(g - matrix(cost, p, target) / epsilon, 1) @ target for p in parts]).numpy()

        self.map = project

    def _icnn(self, x: np.ndarray, y: np.ndarray, bundle: Bundle, ctx: Any) -> None:
        cfg, rng = self.cfg, ctx.rng("batches")
        torch.manual_seed(ctx.seed("init"))
        nets = [ICNN(x.shape[1], list(cfg.hidden)) for _ in range(2)]
        samples = [torch.as_tensor(v, dtype=torch.float32) for v in (x, y)]
        self.params = sum(p.numel() for p in nets[0].parameters())

        def draw() -> tuple[torch.Tensor, torch.Tensor]:
            a, b = (v[torch.as_tensor(rng.integers(len(v), size=cfg.batch))] for v in samples)
            return a, b

        def log(step: int, value: float) -> None:
            ctx.check_deadline()
            if step % 20 == 0 or step == cfg.steps:
                ctx.log(step, dual=value)

        train_dual(*nets, draw, cfg.steps, cfg.inner, cfg.lr, log)
        self.map = lambda z: (
            nets[0].gradient(torch.as_tensor(z, dtype=torch.float32)).detach().numpy().astype(np.float64)
        )
