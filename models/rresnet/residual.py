"""The residual step of Katsman et al. 2023 on SPD matrices under the affine-invariant metric."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from models.geometry.eig import Eig, sym
from models.geometry.spd_check import check_spd

SMALLEST = 1e-12
"""Affine-invariant length below which a tangent vector is not scaled to unit length: a zero vector stays zero."""


class _Eigenvalues(Function):
    """Ascending eigenvalues of x; the gradient is Q diag(g) Q^T (at ties, for the order that `eigh` chose)."""

    @staticmethod
    def forward(ctx, x, w, q):
        ctx.save_for_backward(q)
        return w.clone()

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        (q,) = ctx.saved_tensors
        return (q * grad.unsqueeze(-2)) @ q.mT, None, None


def eigenvalues(e: Eig) -> Tensor:
    """Ascending eigenvalues (..., n) of a decomposition, differentiable in its matrix."""
    return _Eigenvalues.apply(e.x, e.w, e.q)


class SpectrumMap(nn.Module):
    """Eigenvalues (N, n) -> values (N, n), float64: Conv1d 1-c-c-1, LeakyReLU and BatchNorm1d between them.

    Convolutions run over the ascending eigenvalues, with kernels of length `kernel` and zero padding to the same length.
    """

    def __init__(self, channels: int = 3, kernel: int = 5):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(1, channels, kernel, padding="same"),
            nn.LeakyReLU(),
            nn.BatchNorm1d(channels),
            nn.Conv1d(channels, channels, kernel, padding="same"),
            nn.LeakyReLU(),
            nn.BatchNorm1d(channels),
            nn.Conv1d(channels, 1, kernel, padding="same"),
        ).double()

    def forward(self, w: Tensor) -> Tensor:
        return self.layers(w.unsqueeze(1)).squeeze(1)


class ResidualStep(nn.Module):
    r"""X -> Exp_X(V / ||V||_X) with V = P diag(f(lambda(X))) P^T, under the affine-invariant metric.

    lambda(X) are the ascending eigenvalues of X, f the spectrum map, P an orthogonal matrix ("stiefel" parameter), and
    Exp_X(V) = X^{1/2} exp(U) X^{1/2}, ||V||_X = ||U||_F with U = X^{-1/2} V X^{-1/2}. The step has affine-invariant length 1,
    whatever f gives, unless f vanishes: then it is the identity. One eigendecomposition of X serves its eigenvalues and both
    roots, one of U the exponential.

    Source: Katsman et al., Riemannian Residual Neural Networks (NeurIPS 2023), in the form of the RResNet experiments of
    Wang et al. 2025 (arXiv 2504.00660), whose script divides by the length also where it is 0.

    Parameters
    ----------
    n : int
        Matrix size.
    spectrum : module
        f: (N, n) -> (N, n), float64; a `SpectrumMap` by default.

    Raises
    ------
    ValueError
        At the call, if X is not a batch (N, n, n) of positive definite matrices.
    """

    manifolds: ClassVar[dict[str, str]] = {"frame": "stiefel"}

    def __init__(self, n: int, spectrum: nn.Module | None = None):
        super().__init__()
        if n < 1:
            raise ValueError(f"n is {n}; pass the size of the matrices, at least 1")
        self.n = n
        self.spectrum = SpectrumMap() if spectrum is None else spectrum
        # the left singular vectors of a Gaussian matrix are Haar-distributed
        self.frame = nn.Parameter(torch.linalg.svd(torch.randn(n, n, dtype=torch.float64)).U.contiguous())

    def forward(self, x: Tensor) -> Tensor:
        """x (N, n, n) float64, SPD; same shape."""
        if x.dim() != 3 or x.shape[-1] != self.n:
            raise ValueError(f"input has shape {tuple(x.shape)}; pass (N, {self.n}, {self.n})")
        e = Eig(x)
        check_spd("input", x, eigenvalues=e.w)
        f = self.spectrum(eigenvalues(e))
        h, hi = e.roots()
        u = hi @ self.frame
        u = sym((u * f.unsqueeze(-2)) @ u.mT)
        length2 = u.square().sum((-2, -1), keepdim=True)
        u = u * length2.clamp_min(SMALLEST**2).rsqrt()
        return sym(h @ Eig(u).exp() @ h)
