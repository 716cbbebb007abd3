"""Choices of the inference on pulsar-timing arrays; imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from bench.schema import BenchError, MethodConfig, option

SOURCES = (
    "smbhb", "power_law", "igw", "dual_w_r", "dual_stable", "dual_dynamic", "fopt", "domain_wall", "sigw", "strings",
)  # fmt: skip


@dataclass
class PosteriorConfig(MethodConfig):
    """A signal model and its priors, shared by every way to its posterior and evidence."""

    signal: str = option(
        "power_law", "spectrum of the common process; none: only the pulsars' own noise", choices=(*SOURCES, "none")
    )
    versus: str | None = option(
        None, "a second source, fitted likewise, for the Bayes factor signal : versus", choices=(*SOURCES, "none", None)
    )
    correlation: str = option(
        "hd", "of the common process between pulsars", choices=("hd", "uncorrelated", "monopole", "dipole")
    )
    parameters: str = option(
        "hyper",
        "hyper: of the spectra, the coefficients marginalised; coefficients: the Fourier coefficients at the injected spectra, a "
        "linear-Gaussian problem whose evidence is known",
        choices=("hyper", "coefficients"),
    )
    red_noise: str | None = option(
        None,
        "of each pulsar: fit amplitude and slope; known: the injected ones; none. null: by scale",
        choices=("fit", "known", "none", None),
    )
    prior_low: list[float] | None = option(None, "lower ends of the two uniform priors of the source; null: its own")
    prior_high: list[float] | None = option(None, "upper ends; null: its own")
    walkers: int = option(40, "of an ensemble of the Markov chains", low=8)
    steps: int | None = option(
        None, "of each ensemble that are kept; half as many are burnt before. null: by scale", low=20
    )
    reference: int | None = option(
        None, "steps of the long Markov chain that posteriors are compared with; 0: none. null: by scale", low=0
    )
    rhat_max: float = option(
        1.05, "largest R-hat, over independent ensembles and their halves, of a usable chain", low=1.0
    )
    ess_min: float | None = option(None, "smallest effective sample size of a usable chain; null: by scale", low=1.0)
    bins: int = option(50, "of the Hellinger distance, between the pooled 0.1 % and 99.9 % quantiles", low=2)
    draws: int | None = option(None, "posterior samples that are handed on; null: by scale", low=100)

    accepts: ClassVar[tuple[str, ...]] = ("pulsar_array", "free_spectrum")

    def check(self) -> None:
        if self.versus is not None and self.versus == self.signal:
            raise BenchError(f"method.versus={self.versus} is the source itself; name another")
        low, high = self.prior_low, self.prior_high
        for name, ends in (("prior_low", low), ("prior_high", high)):
            if ends is not None and len(ends) != 2:
                raise BenchError(f"method.{name}={ends} needs two numbers, one for each parameter of the source")
        if low is not None and high is not None and any(a >= b for a, b in zip(low, high, strict=True)):
            raise BenchError(f"method.prior_low={low} is not below method.prior_high={high}; exchange them")
        if (low is not None or high is not None) and self.signal in ("smbhb", "none"):
            raise BenchError(
                f"method.prior_low and prior_high are of uniform priors; method.signal={self.signal} has none"
            )
        if self.walkers % 2:
            raise BenchError(f"method.walkers={self.walkers} is odd; the moves need two halves of equal size")


@dataclass
class Config(PosteriorConfig):
    """A neural spline flow as posterior: re-weighted by the likelihood, and as the target of the learned harmonic mean."""

    train: str = option(
        "samples",
        "samples: maximum likelihood on one of two Markov chain ensembles, evidence on the other; reverse_kl: on the likelihood itself, "
        "from its Laplace approximation, without a chain",
        choices=("samples", "reverse_kl"),
    )
    reweight: bool = option(True, "hand on samples weighted by likelihood x prior / flow, instead of the flow's own")
    temperature: float = option(0.8, "of the flow's base in the harmonic mean, its variance", low=0.05, high=1.0)
    drop: float = option(
        0.1, "share of lowest likelihoods that the dropped and truncated harmonic means leave out", low=0.0, high=0.9
    )
    transforms: int | None = option(None, "autoregressive spline transforms; null: by scale", low=1)
    hidden: list[int] | None = option(None, "widths of their networks; null: by scale")
    spline_bins: int = option(8, "of each spline", low=2)
    fit_steps: int | None = option(None, "optimiser steps; null: by scale", low=1)
    batch: int = option(256, "samples of an optimiser step", low=8)
    lr: float = option(3e-3, "first step size of Adam, cosine to 0", low=0.0)

    plugin: ClassVar[str] = "models.pta_flow.plugin:PTAFlow"
    margin: ClassVar[float | None] = 0.0
