"""Markov chains by emcee with differential-evolution moves, and whether they converged."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from models.pta_flow.posterior import Posterior

POOL = 50  # prior draws a walker, of which the best start the chain
STRAY = 25.0  # nats below the best, beside two a parameter, where no sample of a posterior lies but by a walker that got lost


@dataclass(frozen=True)
class Chains:
    """`z` (2, steps, walkers, d) and `log_density` (2, steps, walkers) of two independent ensembles, the burn-in left out.

    rhat: largest R-hat over parameters; ess: smallest effective sample size, both ensembles together; tau: longest autocorrelation time.
    """

    z: np.ndarray
    log_density: np.ndarray
    rhat: float
    ess: float
    tau: float

    def thinned(self, ensemble: int) -> tuple[np.ndarray, np.ndarray]:
        """Every (tau / 2)-th step of one ensemble: z (m, walkers, d), log density (m, walkers)."""
        stride = max(1, int(self.tau / 2))
        return self.z[ensemble, ::stride], self.log_density[ensemble, ::stride]

    def require(self, rhat_max: float, ess_min: float) -> None:
        """Raises ValueError, with the numbers, where the chains have not converged, or a walker is lost, on which a harmonic mean hangs."""
        remedy = "raise method.steps or method.reference, or loosen method.rhat_max and method.ess_min knowingly"
        if not (self.rhat <= rhat_max and self.ess >= ess_min):
            raise ValueError(
                f"the chains did not converge: R-hat {self.rhat:.3f} (at most {rhat_max:g}), effective sample size {self.ess:.0f} (at "
                f"least {ess_min:g}); {remedy}"
            )
        depth = float(self.log_density.max() - self.log_density.min())
        if depth > STRAY + 2 * self.z.shape[-1]:
            raise ValueError(
                f"the chains did not converge: a walker is {depth:.0f} nats below the best; raise method.steps, whose half is burnt"
            )


def run(posterior: Posterior, walkers: int, steps: int, seed: int) -> Chains:
    """Two ensembles from different starts; steps // 2 more are burnt first, and half-way through that walkers that are lost start anew
    among the others.

    Seven moves in ten are differential evolution, one the same of full length, between modes, two stretch moves: on a narrow ridge the
    differences of walkers point along it, and a walker beside it would never come back. The snooker move of emcee 3.1 is left out: it does
    not keep the distribution (a normal in ten dimensions loses 38 % of its variance).
    """
    import emcee

    walkers = max(walkers, 2 * posterior.d + 2)
    kept, values = [], []
    for ensemble in range(2):
        rng = np.random.default_rng([seed, ensemble])
        pool = rng.standard_normal((POOL * walkers, posterior.d))
        with torch.no_grad():
            start = pool[np.argsort(-posterior.log_likelihood(torch.from_numpy(pool)).numpy(), kind="stable")[:walkers]]

            def log_density(z: np.ndarray) -> np.ndarray:
                return posterior.log_density(torch.from_numpy(z)).numpy()

            moves = [
                (emcee.moves.DEMove(), 0.7),
                (emcee.moves.DEMove(gamma0=1.0), 0.1),
                (emcee.moves.StretchMove(), 0.2),
            ]
            sampler = emcee.EnsembleSampler(walkers, posterior.d, log_density, moves=moves, vectorize=True)
            sampler.random_state = np.random.RandomState(int(rng.integers(2**31))).get_state()
            state = sampler.run_mcmc(start, steps // 4, skip_initial_state_check=True)
            sampler.run_mcmc(
                _gather(state.coords, state.log_prob, rng), steps + steps // 4, skip_initial_state_check=True
            )
        kept.append(sampler.get_chain(discard=2 * (steps // 4)))
        values.append(sampler.get_log_prob(discard=2 * (steps // 4)))
    z = np.stack(kept)
    tau = autocorrelation_time(z)
    ess = 2 * steps * walkers / tau
    return Chains(z, np.stack(values), rhat(z), float(ess.min()), float(tau.max()))


def _gather(z: np.ndarray, log_density: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Walkers z (walkers, d), the lost ones put beside a healthy one, off by a part of the difference of two."""
    healthy = z[log_density > log_density.max() - STRAY / 2 - 2 * z.shape[1]]
    a, b, c = healthy[rng.integers(len(healthy), size=(3, len(z)))]
    lost = log_density <= log_density.max() - STRAY / 2 - 2 * z.shape[1]
    return np.where(lost[:, None], a + 0.2 * (b - c), z)


def rhat(z: np.ndarray) -> float:
    """Largest split R-hat over the parameters of z (ensembles, steps, walkers, d), each half of an ensemble a chain of its own.

    sqrt(((m - 1) / m W + V) / W) with W the mean variance within chains of m samples and V the variance of their means (Gelman and Rubin
    1992, split as by Vehtari et al. 2021). Walkers of an ensemble depend on each other, so they are no chains.
    """
    half = z.shape[1] // 2
    if half < 2 or not np.isfinite(z).all():
        raise ValueError("R-hat needs at least four steps of finite samples; raise method.steps")
    chains = np.concatenate([z[:, :half], z[:, -half:]]).reshape(2 * len(z), -1, z.shape[-1])
    m = chains.shape[1]
    within, between = chains.var(1, ddof=1).mean(0), chains.mean(1).var(0, ddof=1)
    if (within == 0).any():
        return float("inf")
    return float(np.sqrt(((m - 1) / m * within + between) / within).max())


def autocorrelation_time(z: np.ndarray) -> np.ndarray:
    """Integrated autocorrelation time (d,) in steps, averaged over walkers and ensembles (Goodman and Weare 2010; Sokal's window)."""
    from emcee.autocorr import integrated_time

    per = [integrated_time(ensemble, tol=0, quiet=True) for ensemble in z]
    return np.maximum(1.0, np.nan_to_num(np.mean(per, axis=0), nan=float(z.shape[1])))
