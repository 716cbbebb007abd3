"""The normalising flow as a method of the harness."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from bench.schema import Metric
from models.pta_flow import chains
from models.pta_flow.base import Inference, PosteriorMethod, convergence
from models.pta_flow.config import Config
from models.pta_flow.evidence import Evidence, cut_target, harmonic_mean, importance, laplace
from models.pta_flow.flow import PosteriorFlow
from models.pta_flow.posterior import Posterior

WIDEN = 9.0  # reverse KL never finds what lies outside the splines' domain, so that starts three times as wide as Laplace's normal


class PTAFlow(PosteriorMethod):
    cfg: Config
    packages = ("zuko", "emcee")

    def infer(self, posterior: Posterior, ctx: Any) -> Inference:
        """Train the flow, draw from it, weigh the draws by the likelihood, and estimate ln Z.

        ln_evidence: learned harmonic mean on the ensemble that did not train (samples), or importance sampling (reverse_kl, which has no
        chain). `_dropped`: the mean over the samples that remain when the lowest likelihoods are left out, biased by ln of the chance to
        remain, under phi over that under the posterior; `_truncated`: the same with phi cut and normalised likewise, not biased.
        """
        cfg = self.cfg
        torch.manual_seed(ctx.seed("init"))
        generator = torch.Generator().manual_seed(ctx.seed("flow"))
        options = {"steps": cfg.fit_steps, "batch": cfg.batch, "lr": cfg.lr, "generator": generator, "log": ctx.log}
        chain = None
        if cfg.train == "samples":
            chain = chains.run(posterior, cfg.walkers, cfg.steps, ctx.seed("chain"))
            chain.require(cfg.rhat_max, cfg.ess_min)
            z = torch.from_numpy(np.ascontiguousarray(chain.thinned(0)[0])).reshape(-1, posterior.d)
            flow = PosteriorFlow(
                z.mean(0), torch.cov(z.T).reshape(posterior.d, -1), cfg.transforms, cfg.hidden, cfg.spline_bins
            )
            flow.fit(z, **options)
        else:
            mode = laplace(posterior, ctx.seed("laplace"))
            flow = PosteriorFlow(mode.z, WIDEN * mode.cov, cfg.transforms, cfg.hidden, cfg.spline_bins)
            flow.fit_density(posterior, **options)
        with torch.no_grad():
            z = flow.sample(cfg.draws, generator)
            log_weight = (posterior.log_density(z) - flow.log_prob(z)).numpy()
            by_weight, share = importance(log_weight)
            metrics = [
                Metric("ln_evidence_importance", by_weight.value, "higher", "nat"),
                Metric("weight_ess", share, "higher", "fraction"),
            ]
            value = by_weight
            if chain is not None:
                value, others = self._harmonic(flow, posterior, chain, generator)
                metrics += [*others, *convergence(chain)]
        return Inference(z.numpy(), value.value, value.sd, log_weight if cfg.reweight else None, metrics, usable=True)

    def _harmonic(
        self, flow: PosteriorFlow, posterior: Posterior, chain: chains.Chains, generator: torch.Generator
    ) -> tuple[Evidence, list[Metric]]:
        cfg = self.cfg
        z, log_joint = chain.thinned(1)
        flat = torch.from_numpy(np.ascontiguousarray(z)).reshape(-1, posterior.d)
        log_target = flow.log_prob(flat, cfg.temperature).numpy().reshape(log_joint.shape)
        value, metrics = harmonic_mean(log_target, log_joint), []
        if cfg.drop:
            log_l = posterior.log_likelihood(flat).numpy().reshape(log_joint.shape)
            trained = torch.from_numpy(np.ascontiguousarray(chain.thinned(0)[0])).reshape(-1, posterior.d)
            threshold = float(np.quantile(posterior.log_likelihood(trained).numpy(), cfg.drop))
            of_target = posterior.log_likelihood(flow.sample(cfg.draws, generator, cfg.temperature)).numpy()
            remain = log_l >= threshold
            dropped = harmonic_mean(log_target[remain], log_joint[remain])
            truncated = harmonic_mean(cut_target(log_target, log_l, threshold, of_target), log_joint)
            metrics += [
                Metric("ln_evidence_dropped", dropped.value, "higher", "nat"),
                Metric("ln_evidence_truncated", truncated.value, "higher", "nat"),
            ]
        return value, metrics
