"""Evidences ln Z = ln int L pi: harmonic mean of a learned target, importance sampling, Laplace, quadrature; and a density ratio."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import logsumexp
from torch import Tensor

from models.pta_flow.posterior import Posterior

BLOCKS = 10  # of a chain, whose spread gives the error of a mean over it
POOL = 2000  # prior draws among which the ascent to the mode starts


@dataclass(frozen=True)
class Evidence:
    """`value` ln Z in nat and `sd`, the standard error of ln Z."""

    value: float
    sd: float


def harmonic_mean(log_target: np.ndarray, log_joint: np.ndarray) -> Evidence:
    """1/Z = E_posterior[phi / (L pi)] over a chain: ln phi and ln(L pi), both (steps, ...), phi and pi normalised.

    Any normalised phi is right in the mean; the variance is finite where phi lies within the posterior (McEwen et al. 2021). -inf in
    `log_target` leaves a sample out of phi's support. The error comes from the means of ten blocks of steps.
    """
    ratio = log_target - log_joint
    if np.isneginf(ratio).all() or np.isnan(ratio).any():
        raise ValueError("the target of the harmonic mean vanishes on every posterior sample; raise its temperature")
    total = logsumexp(ratio) - math.log(ratio.size)
    if len(ratio) < BLOCKS:
        return Evidence(-float(total), float("nan"))
    means = np.array([np.exp(logsumexp(b) - math.log(b.size) - total) for b in np.array_split(ratio, BLOCKS)])
    return Evidence(-float(total), float(means.std(ddof=1) / math.sqrt(BLOCKS)))


def importance(log_weight: np.ndarray) -> tuple[Evidence, float]:
    """ln Z of ln(L pi / q) (n,) at draws of q, and the effective share of the sample, (sum w)^2 / (n sum w^2)."""
    n, total = len(log_weight), logsumexp(log_weight)
    ess = float(np.exp(2 * total - logsumexp(2 * log_weight)))
    return Evidence(float(total - math.log(n)), math.sqrt(max(0.0, 1 / ess - 1 / n))), ess / n


@dataclass(frozen=True)
class Mode:
    """Laplace's approximation: the mode z (d,), the covariance (d, d) of the normal about it, and ln Z."""

    z: Tensor
    cov: Tensor
    ln_evidence: float


def laplace(posterior: Posterior, seed: int) -> Mode:
    """The highest of three ascents by BFGS from the best of 2,000 prior draws, and the Hessian there, by automatic differentiation.

    Raises ValueError where the Hessian is not negative definite: the ascent ended on a ridge.
    """
    from scipy.optimize import minimize

    def objective(x: np.ndarray) -> tuple[float, np.ndarray]:
        z = torch.from_numpy(x).requires_grad_()
        value = -posterior.log_density(z[None])[0]
        (gradient,) = torch.autograd.grad(value, z)
        return float(value.detach()), gradient.numpy()

    pool = np.random.default_rng(seed).standard_normal((POOL, posterior.d))
    with torch.no_grad():
        order = np.argsort(-posterior.log_density(torch.from_numpy(pool)).numpy(), kind="stable")
    found = min((minimize(objective, pool[i], jac=True, method="BFGS") for i in order[:3]), key=lambda r: float(r.fun))
    z = torch.from_numpy(found.x)
    hessian = torch.autograd.functional.hessian(lambda x: -posterior.log_density(x[None])[0], z)
    posterior.evaluations += 2 * posterior.d  # a Hessian costs about that many
    root, info = torch.linalg.cholesky_ex(hessian)
    if int(info):
        raise ValueError(
            "the posterior has no maximum with a negative definite Hessian that was found; use pta_mcmc or pta_nested"
        )
    log_det = 2 * float(root.diagonal().log().sum())
    value = -float(found.fun) + 0.5 * (posterior.d * math.log(2 * math.pi) - log_det)
    return Mode(z, torch.cholesky_inverse(root), value)


@dataclass(frozen=True)
class Grid:
    """Quadrature in two dimensions or one: centres z (n, d), their probabilities (n,), the cells' widths in u (d,), and ln Z."""

    u: np.ndarray
    probability: np.ndarray
    width: np.ndarray
    ln_evidence: float


def quadrature(posterior: Posterior, points: int = 64, depth: float = 30.0, tol: float = 1e-3) -> Grid:
    """Midpoint rule on the unit cube u = Phi(z), where the prior is uniform, on `points` to the power d cells.

    Where the likelihood is narrow the rule is applied again to the box that holds all cells within `depth` nats of the best one, as long
    as that is smaller by a third. `points` is doubled until ln Z changes by less than `tol` nat, since a narrow ridge across the box is
    not seen by its volume. Raises ValueError for more than two dimensions, and where eight times `points` are not enough.
    """
    if not 1 <= posterior.d <= 2:
        raise ValueError(f"quadrature is for one or two parameters and there are {posterior.d}; use pta_nested")
    low, high = np.zeros(posterior.d), np.ones(posterior.d)
    known, most = np.inf, 8 * points
    while True:
        width = (high - low) / points
        axes = [a + w * (np.arange(points) + 0.5) for a, w in zip(low, width, strict=True)]
        u = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, posterior.d)
        with torch.no_grad():
            z = torch.special.ndtri(torch.from_numpy(u))
            log_l = posterior.log_likelihood(z).numpy()
        near = u[log_l > log_l.max() - depth]
        inner = np.maximum(near.min(0) - width, 0.0), np.minimum(near.max(0) + width, 1.0)
        if (inner[1] - inner[0]).prod() <= 2 / 3 * (high - low).prod():
            low, high = inner
            continue
        total = logsumexp(log_l)
        log_z = float(total + np.log(width).sum())
        if abs(log_z - known) < tol:
            return Grid(u, np.exp(log_l - total), width, log_z)
        if 2 * points > most:
            raise ValueError(
                f"ln Z still changes by {abs(log_z - known):.2g} nat at {points} points along each axis; the likelihood is a narrow ridge, "
                "use pta_nested"
            )
        known, points = log_z, 2 * points


def savage_dickey(log10_a: np.ndarray, low: float, high: float, share: float = 0.1) -> float:
    """ln Bayes factor of a process over none, from samples (n,) of its log10 A under a prior uniform between `low` and `high`.

    ln of prior over posterior density in the lowest `share` of the range, where the process is too weak to be seen (Dickey 1971).
    Raises ValueError where no sample lies there: the ratio is then above that of one sample.
    """
    inside = float(np.mean(log10_a < low + share * (high - low)))
    if inside == 0:
        raise ValueError(
            f"no sample of log10 A is in the lowest {share:.0%} of the prior; the process is certain, or draw more samples"
        )
    return math.log(share / inside)


def cut_target(
    log_target: np.ndarray, log_likelihood: np.ndarray, threshold: float, log_likelihood_of_target: np.ndarray
) -> np.ndarray:
    """ln of phi restricted to L >= exp(threshold) and normalised again, with its mass there counted on draws of phi."""
    mass = float(np.mean(log_likelihood_of_target >= threshold))
    if mass == 0:
        raise ValueError("the target of the harmonic mean has no mass above the threshold; lower method.drop")
    return np.where(log_likelihood >= threshold, log_target - math.log(mass), -np.inf)
