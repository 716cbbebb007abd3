"""The two objectives of manifold linearizing and clustering, as losses to minimise."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from models.geometry.coding_rate import membership_rate, rate
from models.geometry.sinkhorn import sinkhorn, sinkhorn_steps

CHUNK = 2**24  # entries of the d x d matrices that are factorised at a time


def gamma_of(
    c: Tensor, eta: float, kernel: str = "inner", *, half_steps: int | None = None, detach_columns: bool = False
) -> Tensor:
    """Gamma (n, n) = P_{Omega, eta}(C^T C) of unit rows c (n, d): the doubly stochastic matrix nearest to the kernel up to entropy,
    argmax over Omega of <K, Gamma> - eta sum Gamma log Gamma (Ding et al. 2023, section 3; `kernel` abs: K = |C^T C|).

    half_steps : so many half-iterations, differentiated one by one; null: converged, differentiated implicitly.
    """
    if kernel not in ("inner", "abs"):
        raise ValueError(f"kernel={kernel!r} is unknown; use inner or abs")
    k = c @ c.mT
    cost = -(k.abs() if kernel == "abs" else k)
    if half_steps is None:
        return sinkhorn(cost, eta, tol=1e-5, steps=5000)
    return sinkhorn_steps(cost, eta, half_steps=half_steps, detach_columns=detach_columns)


def tcr_loss(z: Tensor, z2: Tensor, eps2: float, invariance: float, scale: float = 1.0) -> Tensor:
    """- scale R((Z + Z') / 2; e) - lambda mean_i |<z_i, z_i'>| of two views (n, d) with unit rows (Ding et al. 2023, equation 5, which
    has the sum over i)."""
    return -scale * rate((z + z2) / 2, eps2) - invariance * (z * z2).sum(1).abs().mean()


def mlc_loss(z: Tensor, gamma: Tensor, eps2: float, scale: float = 1.0) -> Tensor:
    """- scale (R(Z; e) - R_c(Z, Gamma; e)): z (n, d) unit rows, gamma (n, n) whose rows are the memberships (sums 1)."""
    chunk = max(1, CHUNK // z.shape[1] ** 2)
    return -scale * (rate(z, eps2) - membership_rate(z, gamma.mT, eps2, chunk=chunk))


def mean_views(z: list[Tensor], gamma: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Z = normalise(mean_a Z^(a)) and Gamma = mean_a Gamma^(a), which is doubly stochastic again."""
    return normalize(torch.stack(z).mean(0), dim=1), torch.stack(gamma).mean(0)
