"""A posterior as every sampler sees it: ln L(theta) and ln N(z; 0, I) on standard normal variables z, in batches."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from bench.schema import BenchError, Bundle
from models.pta_flow.config import PosteriorConfig
from models.pta_flow.correlations import overlap
from models.pta_flow.free_spectrum import FreeSpectrum
from models.pta_flow.likelihood import ArrayLikelihood
from models.pta_flow.priors import Joint, Normal, Prior, Uniform, log_normal
from models.pta_flow.projection import reduce
from models.pta_flow.spectra import SOURCES, log10_phi

RED_LOW, RED_HIGH = (-18.0, 0.0), (-12.0, 7.0)  # log10 A and gamma of a pulsar's own noise
TOO_FAR = (
    8.0  # standard deviations of chi-squared, or nats a frequency, that no point of a sound prior is away from the data
)


class Posterior:
    """d parameters `names`, of which `background` are those of the common process.

    log_likelihood: theta (b, d) -> ln L (b,). misfit: theta (b, d) -> (b,), how far the data are from what theta predicts, near 0 or below
    where they agree. spectrum: theta (b, d) -> log10 rho_k (b, k), rho = sqrt(phi / s^2), or None. exact: ln Z where a closed form exists.
    """

    def __init__(
        self,
        prior: Prior,
        log_likelihood: Callable[[Tensor], Tensor],
        names: tuple[str, ...] = (),
        background: tuple[int, ...] = (),
        misfit: Callable[[Tensor], Tensor] | None = None,
        spectrum: Callable[[Tensor], Tensor] | None = None,
        exact: float | None = None,
        batch: int = 4096,
    ) -> None:
        self.prior, self.d, self.likelihood = prior, prior.d, log_likelihood
        self.names = names or tuple(f"theta_{i}" for i in range(prior.d))
        self.background, self.misfit, self.spectrum = background, misfit, spectrum
        self.exact, self.batch, self.evaluations = exact, batch, 0

    def log_likelihood(self, z: Tensor) -> Tensor:
        """ln L (b,) at z (b, d); counted in `evaluations`."""
        self.evaluations += len(z)
        parts = [self.likelihood(self.prior.theta(part)) for part in z.split(self.batch)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def log_density(self, z: Tensor) -> Tensor:
        """ln (L x prior) (b,) at z (b, d), the prior normalised."""
        return self.log_likelihood(z) + log_normal(z)

    def require_sense(self, z: Tensor) -> None:
        """Raises ValueError when not even the best of the points z (b, d) explains the data: the prior excludes them."""
        if self.misfit is None or not self.d:
            return
        with torch.no_grad():
            best = z[self.log_likelihood(z).argmax()][None]
            far = float(self.misfit(self.prior.theta(best)))
        if not far < TOO_FAR:
            raise ValueError(
                f"no point of the prior explains the data (the best is {far:.1f} standard deviations away): widen method.prior_low and "
                "method.prior_high, or choose another source or red_noise=fit"
            )


def build(bundle: Bundle, cfg: PosteriorConfig, source: str) -> Posterior:
    """The posterior of a source on the data of a bundle. Raises BenchError for choices that these data do not allow."""
    if bundle.kind == "free_spectrum":
        return _of_free_spectrum(bundle.meta, cfg, source)
    return _of_array(bundle.meta, cfg, source)


def _source_prior(cfg: PosteriorConfig, source: str) -> Prior:
    own = SOURCES[source]
    if own.mean is not None and own.cov is not None:
        return Normal(own.mean, own.cov)
    mine = source == cfg.signal  # the ends on the command line are of the source, not of what it is compared with
    low = cfg.prior_low if mine and cfg.prior_low is not None else own.low
    high = cfg.prior_high if mine and cfg.prior_high is not None else own.high
    return Uniform(low, high)


def _of_free_spectrum(meta: dict[str, Any], cfg: PosteriorConfig, source: str) -> Posterior:
    if source == "none":
        raise BenchError("method.signal=none leaves nothing to infer from a free spectrum; name a spectrum")
    if cfg.parameters != "hyper":
        raise BenchError(
            "method.parameters=coefficients needs residuals, and a free spectrum has none; use data=pulsars"
        )
    f, span = torch.as_tensor(meta["frequencies"]), float(meta["span"])
    density = FreeSpectrum(torch.as_tensor(meta["log_density"]), torch.as_tensor(meta["grid"]))

    def spectrum(theta: Tensor) -> Tensor:
        return log10_phi(source, f, span, theta) / 2

    return Posterior(
        _source_prior(cfg, source),
        lambda theta: density(spectrum(theta)),
        SOURCES[source].names,
        (0, 1),
        lambda theta: (density.best - density(spectrum(theta))) / len(f),
        spectrum,
    )


def _of_array(meta: dict[str, Any], cfg: PosteriorConfig, source: str) -> Posterior:
    f, span = torch.as_tensor(meta["frequencies"]), float(meta["span"])
    pulsars = meta["pulsars"]
    columns = ("residuals", "sigma", "design", "times")
    reduced = [reduce(*(torch.as_tensor(p[c]) for c in columns), f, p["name"]) for p in pulsars]
    gamma = overlap(cfg.correlation, torch.as_tensor([list(p["position"]) for p in pulsars], dtype=torch.float64))
    likelihood, n, k = ArrayLikelihood(reduced, gamma), len(pulsars), len(f)
    known = None
    if cfg.red_noise == "known" or cfg.parameters == "coefficients":
        if meta.get("red") is None:
            raise BenchError("method.red_noise=known needs injected noise, and these data are real; use red_noise=fit")
        known = _red(f, span, torch.as_tensor(meta["red"]))
    if cfg.parameters == "coefficients":
        if meta.get("common") is None:
            raise BenchError(
                "method.parameters=coefficients needs injected spectra, and these data are real; use parameters=hyper"
            )
        return _of_coefficients(likelihood, reduced, gamma, torch.as_tensor(meta["common"]), known)
    fitted = n if cfg.red_noise == "fit" else 0
    own = 0 if source == "none" else 2
    parts: list[Prior] = [_source_prior(cfg, source)] if own else []
    if fitted:
        parts.append(Uniform(torch.tensor(RED_LOW).repeat(n), torch.tensor(RED_HIGH).repeat(n)))
    names = SOURCES[source].names if own else ()
    names += tuple(f"{p['name']}_{x}" for p in pulsars[:fitted] for x in ("log10_A", "gamma"))

    def variances(theta: Tensor) -> tuple[Tensor, Tensor | None]:
        common = 10 ** log10_phi(source, f, span, theta[:, :2]) if own else theta.new_zeros(len(theta), k)
        if fitted:
            return common, _red(f, span, theta[:, own:].reshape(len(theta), n, 2))
        return common, None if known is None else known.expand(len(theta), n, k)

    def misfit(theta: Tensor) -> Tensor:
        m = n * 2 * k
        return (likelihood.chi2(*variances(theta)) - m) / math.sqrt(2 * m)

    return Posterior(
        Joint(parts),
        lambda theta: likelihood(*variances(theta)),
        names,
        (0, 1)[:own],
        misfit,
        (lambda theta: log10_phi(source, f, span, theta[:, :2]) / 2) if own else None,
        None if parts else float(likelihood(*variances(torch.zeros(1, 0, dtype=torch.float64)))),
        likelihood.largest_batch,
    )


def _red(f: Tensor, span: float, theta: Tensor) -> Tensor:
    """Variances (..., k) of power laws, theta (..., 2)."""
    return 10 ** log10_phi("power_law", f, span, theta)


def _of_coefficients(
    likelihood: ArrayLikelihood, reduced: list, gamma: Tensor, common: Tensor, red: Tensor | None
) -> Posterior:
    """p(c | r) for c (n q,) ~ N(0, Phi) at given spectra: normal, and its evidence is the likelihood of the spectra."""
    n, q = likelihood.n, likelihood.q
    phi = torch.einsum("ab,k->akb", gamma, common)
    if red is not None:
        phi.diagonal(dim1=0, dim2=2).add_(red.T)
    two = torch.eye(2, dtype=torch.float64)
    cov = torch.einsum("akb,kl,cd->akcbld", phi, torch.eye(q // 2, dtype=torch.float64), two).reshape(n * q, n * q)
    factors = torch.stack([p.factor for p in reduced])

    def log_likelihood(c: Tensor) -> Tensor:
        missing = likelihood.data - torch.einsum("aij,baj->bai", factors, c.reshape(-1, n, q))
        return likelihood.constant - 0.5 * missing.square().sum((1, 2))

    exact = float(likelihood(common[None], None if red is None else red[None]))
    return Posterior(
        Normal(torch.zeros(n * q, dtype=torch.float64), cov), log_likelihood, background=(0, 1), exact=exact
    )
