"""What all ways to a posterior and its evidence share: the fit, the reference chain, the gates and the metrics."""

from __future__ import annotations

import contextlib
import importlib.util
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from bench.schema import BenchError, Bundle, Metric, Result, SolverMethod
from models.pta_flow import chains
from models.pta_flow.config import PosteriorConfig
from models.pta_flow.evidence import quadrature
from models.pta_flow.figures import corner
from models.pta_flow.hellinger import hellinger
from models.pta_flow.posterior import Posterior, build

SHOWN = 6  # parameters of a corner plot
SPECTRA = 1000  # samples of the spectrum that are scored


@dataclass
class Inference:
    """Samples z (n, d), alike or with ln weights (n,); ln Z and its error, NaN where unknown; own metrics; and whether the samples
    stand for the posterior, roughly, without their weights too."""

    z: np.ndarray
    ln_evidence: float
    sd: float
    log_weight: np.ndarray | None = None
    metrics: list[Metric] = field(default_factory=list)
    usable: bool = False

    def weights(self) -> np.ndarray | None:
        return None if self.log_weight is None else np.exp(self.log_weight - self.log_weight.max())


class PosteriorMethod(SolverMethod):
    """Subclasses give `infer(posterior, ctx) -> Inference` and the packages they need."""

    cfg: PosteriorConfig
    packages: tuple[str, ...] = ("emcee",)

    def infer(self, posterior: Posterior, ctx: Any) -> Inference:
        raise NotImplementedError

    def skip(self, bundle: Bundle) -> str | None:
        missing = [p for p in self.packages if importlib.util.find_spec(p) is None]
        return f"{', '.join(missing)} not installed; pip install '.[pulsars]'" if missing else None

    def fit(self, bundle: Bundle, ctx: Any) -> None:
        cfg = self.cfg
        try:
            self.posterior = build(bundle, cfg, cfg.signal)
            if not self.posterior.d:
                raise BenchError(
                    f"method.signal={cfg.signal} with red_noise={cfg.red_noise} leaves nothing to infer; use red_noise=fit"
                )
            self.inference = self.infer(self.posterior, ctx)
            self.posterior.require_sense(torch.from_numpy(self.inference.z[:SPECTRA]))
            self.evaluations = self.posterior.evaluations
            self.ln_versus = self._versus(bundle, ctx) if cfg.versus else math.nan
        except ValueError as error:
            raise BenchError(str(error)) from error

    def _versus(self, bundle: Bundle, ctx: Any) -> float:
        """ln Z of the other source, in the same way."""
        other = build(bundle, self.cfg, str(self.cfg.versus))
        return other.exact if other.exact is not None and not other.d else self.infer(other, ctx).ln_evidence

    def evaluate(self, bundle: Bundle, ctx: Any) -> Result:
        cfg, posterior, found = self.cfg, self.posterior, self.inference
        metrics = [*found.metrics, Metric("evaluations", float(self.evaluations), "lower", "likelihoods")]
        if math.isfinite(found.ln_evidence):
            metrics.insert(0, Metric("ln_evidence", found.ln_evidence, "higher", "nat"))
            if math.isfinite(found.sd):
                metrics.append(Metric("ln_evidence_sd", found.sd, "lower", "nat"))
            exact = posterior.exact
            if exact is None and posterior.d <= 2:
                with contextlib.suppress(ValueError):  # a ridge too narrow for it: the row goes without its error
                    exact = quadrature(posterior).ln_evidence
            if exact is not None:
                metrics.append(Metric("ln_evidence_error", abs(found.ln_evidence - exact), "lower", "nat"))
            if cfg.versus:
                metrics.append(Metric("ln_bayes_factor", found.ln_evidence - self.ln_versus, "higher", "nat"))
        resampled = self._resample(ctx.rng("resample"), cfg.draws)
        sets = {"posterior": resampled}
        if cfg.reference:
            reference = self._reference(ctx)
            sets = {"long MCMC": reference.reshape(-1, posterior.d), **sets}
            metrics += self._distances(reference)
        shown = list(range(posterior.d)) if posterior.d <= SHOWN else list(posterior.background or range(SHOWN))
        names = [posterior.names[i] for i in shown]
        ctx.save_figure(
            "corner", corner(names, {k: self._theta(v)[:, shown] for k, v in sets.items()}, self._truth(bundle, shown))
        )
        predictions = {}
        if posterior.spectrum is not None:
            with torch.no_grad():
                theta = posterior.prior.theta(torch.from_numpy(resampled[:SPECTRA]))
                predictions = {"log10_rho": posterior.spectrum(theta).numpy()}
        return Result(predictions, metrics)

    def _theta(self, z: np.ndarray) -> np.ndarray:
        return self.posterior.prior.theta(torch.from_numpy(np.ascontiguousarray(z))).numpy()

    def _resample(self, rng: np.random.Generator, n: int) -> np.ndarray:
        weights = self.inference.weights()
        share = None if weights is None else weights / weights.sum()
        return self.inference.z[rng.choice(len(self.inference.z), n, p=share)]

    def _reference(self, ctx: Any) -> np.ndarray:
        """The long chain (2, m, walkers, d), thinned, of streams of its own; gated like any other."""
        long = chains.run(self.posterior, self.cfg.walkers, self.cfg.reference, ctx.seed("reference"))
        try:
            long.require(self.cfg.rhat_max, self.cfg.ess_min)
        except ValueError as error:
            raise BenchError(f"reference: {error}") from error
        return np.stack([long.thinned(i)[0] for i in range(2)])

    def _distances(self, reference: np.ndarray) -> list[Metric]:
        """Hellinger distances of each background parameter: mean, worst, without weights, and between the reference's two ensembles."""
        own, bins, weights = self._theta(self.inference.z), self.cfg.bins, self.inference.weights()
        a, b = (self._theta(r.reshape(-1, self.posterior.d)) for r in reference)
        long = np.concatenate([a, b])
        over = list(self.posterior.background) or list(range(self.posterior.d))
        found = [hellinger(own[:, i], long[:, i], bins, weights) for i in over]
        metrics = [
            Metric("hellinger", float(np.mean(found)), "lower", "distance"),
            Metric("hellinger_max", float(np.max(found)), "lower", "distance"),
            Metric(
                "hellinger_floor", float(np.mean([hellinger(a[:, i], b[:, i], bins) for i in over])), "none", "distance"
            ),
        ]
        if weights is not None and self.inference.usable:
            plain = [hellinger(own[:, i], long[:, i], bins) for i in over]
            metrics.append(Metric("hellinger_direct", float(np.mean(plain)), "lower", "distance"))
        return metrics

    def _truth(self, bundle: Bundle, shown: list[int]) -> list[float] | None:
        """Injected parameters of the source, where it is the one that is fitted and no others are drawn."""
        meta = bundle.meta
        if meta.get("source") == self.cfg.signal and self.cfg.parameters == "hyper" and shown == [0, 1]:
            return [float(v) for v in meta["parameters"]]
        return None


def convergence(chain: chains.Chains) -> list[Metric]:
    """R-hat and effective sample size of a chain, as metrics."""
    return [Metric("rhat", chain.rhat, "lower", "ratio"), Metric("effective_samples", chain.ess, "higher", "samples")]
