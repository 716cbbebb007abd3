"""The likelihood of an array of pulsars, in batches of parameters.

With the data e_a = U_a c_a + noise of `projection`, and <c_a c_b> = delta_ab phi_red,a + Gamma_ab phi_gw, the whitened data are normal
with covariance I + S, S_ab = U_a Phi_ab U_b^T. No covariance of observations and no inverse of Phi occurs, so that a process of variance
zero, or a singular Gamma, is as well conditioned as any other.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from models.pta_flow.projection import Reduced

LARGEST = 1e-2  # s^2: variances are cut here (a tenth of a second of signal), where no likelihood is left and roots would fail
ENTRIES = 1 << 22  # of covariances held at once


class ArrayLikelihood:
    """ln p(residuals | phi_red, phi_gw), batched over parameters.

    pulsars: their reduced forms, of one set of k frequencies. gamma: (n, n) correlation of the common process; a diagonal one is
    recognised and keeps pulsars apart, which is faster. float64 on the CPU; differentiable.
    """

    def __init__(self, pulsars: Sequence[Reduced], gamma: Tensor) -> None:
        if not pulsars:
            raise ValueError("there is no pulsar; give at least one")
        u = torch.stack([p.factor for p in pulsars])
        self.n, self.q = u.shape[:2]
        if gamma.shape != (self.n, self.n):
            raise ValueError(
                f"gamma has shape {tuple(gamma.shape)} and there are {self.n} pulsars; give one row for each"
            )
        self.k = self.q // 2
        self.data = torch.stack([p.data for p in pulsars])
        self.constant = sum(p.constant for p in pulsars)
        pairs = u.reshape(self.n, self.q, self.k, 2)
        self.own = torch.einsum("aikc,ajkc->akij", pairs, pairs)  # U_a E_k U_a^T
        self.apart = bool((gamma - torch.diag(gamma.diagonal())).abs().max() == 0)
        self.scale = gamma.diagonal()
        if not self.apart:
            shared = torch.einsum("ab,aikc,bjkc->kaibj", gamma, pairs, pairs)
            self.shared = shared.reshape(self.k, -1)

    def __call__(self, common: Tensor, red: Tensor | None = None) -> Tensor:
        """ln L (b,) of variances `common` (b, k) and `red` (b, n, k) or None, in s^2."""
        root, half = self._whitened(common, red)
        return self.constant - 0.5 * half.square().sum((-2, -1)) - root.diagonal(dim1=-2, dim2=-1).log().sum((-2, -1))

    def chi2(self, common: Tensor, red: Tensor | None = None) -> Tensor:
        """e^T (I + S)^-1 e (b,): chi-squared of n q degrees of freedom where the parameters are true."""
        return self._whitened(common, red)[1].square().sum((-2, -1))

    def _whitened(self, common: Tensor, red: Tensor | None) -> tuple[Tensor, Tensor]:
        """(root, L^-1 e): Cholesky factors of the blocks of I + S (b, blocks, size, size) and whitened data (b, blocks, size)."""
        common = common.clamp(max=LARGEST)
        b, n, q = len(common), self.n, self.q
        phi = None if red is None else red.clamp(max=LARGEST)
        if self.apart:
            total = common[:, None] * self.scale[:, None] + (0.0 if phi is None else phi)
            s = torch.einsum("bak,akij->baij", total, self.own)
            e = self.data.expand(b, n, q)
        else:
            s = (common @ self.shared).reshape(b, n, q, n, q)
            if phi is not None:
                s.diagonal(dim1=1, dim2=3).add_(torch.einsum("bak,akij->bija", phi, self.own))
            s = s.reshape(b, 1, n * q, n * q)
            e = self.data.reshape(1, 1, -1).expand(b, 1, n * q)
        s.diagonal(dim1=-2, dim2=-1).add_(1.0)
        root = torch.linalg.cholesky(s)
        return root, torch.linalg.solve_triangular(root, e[..., None], upper=False)[..., 0]

    @property
    def largest_batch(self) -> int:
        """Parameters at once that keep memory in bounds."""
        return max(1, ENTRIES // ((self.n * self.q**2) if self.apart else (self.n * self.q) ** 2))
