"""SPD domain-specific momentum batch normalisation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.geometry.eig import Eig, sym
from models.geometry.spd_check import check_norm_input, check_norm_options
from models.geometry.spd_metrics import aim_geodesic, aim_mean

VAR_FLOOR = 1e-7
"""Smallest variance after a refit: a domain of identical matrices has none."""


class SPDDSMBN(nn.Module):
    r"""Centres each domain at I and scales its dispersion, in the affine-invariant geometry of SPD matrices.

    Kobler, Hirayama, Zhao, Kawanabe, "SPD domain-specific batch normalization to crack interpretable unsupervised domain
    adaptation in EEG", NeurIPS 2022. For the samples X_i of one domain in a training batch, momenta eta and eta_test, and
    the learnable s shared by all domains:

    1. base point    A = mean_i X_i, a constant of the gradient
    2. batch mean    B = A^(1/2) exp(mean_i log(A^(-1/2) X_i A^(-1/2))) A^(1/2)            (one Karcher step)
    3. mean          M <- M #_eta B        (point at eta on the geodesic from M to B)
    4. variance      v <- (1 - eta) v + eta mean_i d^2(X_i, M)
    5. output        Y_i = (M^(-1/2) X_i M^(-1/2))^(s / sqrt(v + eps))
    6. evaluation statistics: steps 3 and 4 with eta_test on buffers of their own, without gradient.

    Evaluation uses the buffers of step 6. With eta = 1 this is batch normalisation, and with one domain plain SPD momentum
    batch normalisation (SPDMBN). `refit` replaces the statistics of a domain by the Karcher mean and the variance of all its
    data: unsupervised adaptation. A domain that was neither trained on nor refit has M = I, v = 1, as in the released code.

    Parameters
    ----------
    n : int
        Matrix size.
    domains : sequence of int
        Identifiers of all domains that will ever be seen, in any order.
    eta, eta_test : float
        Momenta; attributes that a schedule may set (`momenta`).
    eps : float
        Added to the variance before its root.
    official_parity : bool
        Variance as in the released code, see Notes.

    Attributes
    ----------
    std : (1,) parameter s = 1. domains : (D,) int64, ascending. running_mean, running_mean_test : (D, n, n).
    running_var, running_var_test : (D,). All float64.

    Notes
    -----
    The squared distances of step 4 are exact by default: d(X, M) = |log(M^(-1/2) X M^(-1/2))|_F. The released code measures
    them in the tangent space of the base point A, |log(A^(-1/2) X_i A^(-1/2)) - log(A^(-1/2) M A^(-1/2))|_F, which agrees
    where the matrices commute and is never larger; `official_parity` follows it.
    """

    def __init__(
        self,
        n: int,
        domains: Sequence[int] = (0,),
        eta: float = 1.0,
        eta_test: float = 0.1,
        eps: float = 1e-5,
        official_parity: bool = False,
    ):
        super().__init__()
        check_norm_options(n, eps=eps)
        if not len(domains):
            raise ValueError("domains is empty; pass the identifier of at least 1 domain")
        self.n, self.eps, self.official_parity = n, eps, official_parity
        self.set_momenta(eta, eta_test)
        self.std = nn.Parameter(torch.ones(1, dtype=torch.float64))
        self.register_buffer("domains", torch.as_tensor(sorted({int(d) for d in domains}), dtype=torch.int64))
        eye = torch.eye(n, dtype=torch.float64).repeat(len(self.domains), 1, 1)
        one = torch.ones(len(self.domains), dtype=torch.float64)
        for suffix in ("", "_test"):
            self.register_buffer(f"running_mean{suffix}", eye.clone())
            self.register_buffer(f"running_var{suffix}", one.clone())

    def extra_repr(self) -> str:
        return f"{self.n}, {len(self.domains)} domains, eps={self.eps}, official_parity={self.official_parity}"

    def set_momenta(self, eta: float, eta_test: float) -> None:
        """Set the weights of a new batch in the training and in the evaluation statistics, both in [0, 1]."""
        for name, value in (("eta", eta), ("eta_test", eta_test)):
            if not 0.0 <= value <= 1.0:
                raise ValueError(f"{name} is {value}; it is the weight of the new batch, between 0 and 1")
        self.eta, self.eta_test = float(eta), float(eta_test)

    def forward(self, x: Tensor, domain: Tensor) -> Tensor:
        """Normalise SPD x (k, n, n) by domain (k,): Y (k, n, n), float64.

        Raises
        ------
        TypeError, ValueError
            As `check_spd`, and for float32, another matrix size, or a domain that the layer was not made for.
        """
        return Eig(self.tangent(x, domain)).exp()

    def tangent(self, x: Tensor, domain: Tensor) -> Tensor:
        """log Y (k, n, n): what a following logarithm needs, without the way over Y."""
        at = self._index(x, domain)
        if self.training:
            log, var = self._train(x, at)
        else:
            log, var = centred(x, self.running_mean_test, at), self.running_var_test[at]
        return (self.std * (var + self.eps).rsqrt()).reshape(-1, 1, 1) * log

    @torch.no_grad()
    def refit(self, x: Tensor, domain: int) -> None:
        """Statistics of one domain := Karcher mean (to convergence) and variance of x (k, n, n); the others stay."""
        where = torch.full((len(x),), int(domain), device=x.device)
        at = int(self._index(x, where)[0])
        mean = aim_mean(x)
        log = centred(x, mean[None], torch.zeros(len(x), dtype=torch.int64, device=x.device))
        var = log.square().sum((-2, -1)).mean().clamp_min(VAR_FLOOR)
        for suffix in ("", "_test"):
            getattr(self, f"running_mean{suffix}")[at] = mean
            getattr(self, f"running_var{suffix}")[at] = var

    def _index(self, x: Tensor, domain: Tensor) -> Tensor:
        """Place (k,) of each sample's domain in the buffers, after all arguments were checked."""
        check_norm_input(self, x, self.n)
        if x.dim() != 3:
            raise ValueError(f"input has shape {tuple(x.shape)}; pass a batch (k, n, n)")
        if domain.shape != x.shape[:1]:
            raise ValueError(
                f"domain has shape {tuple(domain.shape)} for {len(x)} matrices; pass one identifier for each"
            )
        at = torch.searchsorted(self.domains, domain.contiguous()).clamp_max(len(self.domains) - 1)
        unknown = domain[self.domains[at] != domain]
        if len(unknown):
            raise ValueError(
                f"domain {int(unknown[0])} is not one of the {len(self.domains)} that the layer was made for; "
                "name it in `domains`"
            )
        return at

    def _train(self, x: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
        """(centred logarithms (k, n, n), variance (k,) of each sample's domain) by the training statistics; moves all buffers."""
        seen, own = at.unique(return_inverse=True)  # own: place of each sample's domain among those in this batch
        share = torch.nn.functional.one_hot(own, len(seen)).to(x).T
        share = share / share.sum(1, keepdim=True)

        def average(v: Tensor) -> Tensor:
            """Mean over the samples of each domain: (k, ...) -> (domains in the batch, ...)."""
            return (share @ v.flatten(1)).reshape(-1, *v.shape[1:])

        root, inv_root = Eig(average(x.detach())).roots()
        log = Eig(sym(inv_root[own] @ x @ inv_root[own])).log()
        batch_mean = sym(root @ Eig(average(log)).exp() @ root)

        def statistics(suffix: str, batch_mean: Tensor, eta: float) -> tuple[Tensor, Tensor]:
            """Move the mean and the variance of the domains in the batch; (centred logarithms, variances)."""
            means, variances = getattr(self, f"running_mean{suffix}"), getattr(self, f"running_var{suffix}")
            mean = aim_geodesic(means[seen], batch_mean, eta)
            logs = centred(x, mean, own)
            apart = log - Eig(sym(inv_root @ mean @ inv_root)).log()[own] if self.official_parity else logs
            batch_var = average(apart.square().sum((-2, -1), keepdim=True)).reshape(-1)
            var = (1.0 - eta) * variances[seen] + eta * batch_var
            means[seen], variances[seen] = mean.detach(), var.detach()
            return logs, var

        with torch.no_grad():
            statistics("_test", batch_mean, self.eta_test)
        logs, var = statistics("", batch_mean, self.eta)
        return logs, var[own]


def centred(x: Tensor, means: Tensor, at: Tensor) -> Tensor:
    """log(M^(-1/2) X_i M^(-1/2)) (k, n, n) with M = means[at[i]]: x seen from the mean of its domain."""
    h = Eig(means).inv_sqrt()[at]
    return Eig(sym(h @ x @ h)).log()
