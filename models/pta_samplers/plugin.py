"""The baselines as methods of the harness."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch

from models.pta_flow import chains
from models.pta_flow.base import Inference, PosteriorMethod, convergence
from models.pta_flow.evidence import laplace, quadrature
from models.pta_flow.posterior import Posterior
from models.pta_samplers.config import Config


class Baseline(PosteriorMethod):
    cfg: Config

    def __init__(self, cfg: Config) -> None:
        super().__init__(cfg)
        if cfg.algorithm == "nested":
            self.packages = ("dynesty", "emcee")

    def infer(self, posterior: Posterior, ctx: Any) -> Inference:
        return getattr(self, f"_{self.cfg.algorithm}")(posterior, ctx)

    def _mcmc(self, posterior: Posterior, ctx: Any) -> Inference:
        chain = chains.run(posterior, self.cfg.walkers, self.cfg.steps, ctx.seed("chain"))
        chain.require(self.cfg.rhat_max, self.cfg.ess_min)
        z = np.concatenate([chain.thinned(i)[0].reshape(-1, posterior.d) for i in range(2)])
        return Inference(z, math.nan, math.nan, metrics=convergence(chain))

    def _nested(self, posterior: Posterior, ctx: Any) -> Inference:
        import dynesty

        def log_likelihood(z: np.ndarray) -> float:
            with torch.no_grad():
                return float(posterior.log_likelihood(torch.from_numpy(z[None]))[0])

        def transform(u: np.ndarray) -> np.ndarray:
            return torch.special.ndtri(torch.from_numpy(np.clip(u, 1e-16, 1 - 1e-16))).numpy()

        rng = np.random.default_rng(ctx.seed("nested"))
        sampler = dynesty.NestedSampler(log_likelihood, transform, posterior.d, nlive=self.cfg.live, rstate=rng)
        sampler.run_nested(dlogz=self.cfg.dlogz, print_progress=False)
        found = sampler.results
        return Inference(
            found.samples, float(found.logz[-1]), float(found.logzerr[-1]), log_weight=np.asarray(found.logwt)
        )

    def _laplace(self, posterior: Posterior, ctx: Any) -> Inference:
        mode = laplace(posterior, ctx.seed("laplace"))
        draws = ctx.rng("draws").standard_normal((self.cfg.draws, posterior.d))
        z = mode.z.numpy() + draws @ np.linalg.cholesky(mode.cov.numpy()).T
        return Inference(z, mode.ln_evidence, math.nan)

    def _quadrature(self, posterior: Posterior, ctx: Any) -> Inference:
        grid = quadrature(posterior, self.cfg.points)
        rng = ctx.rng("draws")
        index = rng.choice(len(grid.u), self.cfg.draws, p=grid.probability)
        u = np.clip(grid.u[index] + grid.width * (rng.random((len(index), posterior.d)) - 0.5), 1e-16, 1 - 1e-16)
        return Inference(torch.special.ndtri(torch.from_numpy(u)).numpy(), grid.ln_evidence, math.nan)
