"""Functions of symmetric matrices from one shared eigendecomposition, with exact gradients at ties.

For X = Q diag(w) Q^T and f(X) = Q diag(f(w)) Q^T the derivative is (Daleckii-Krein)

    Df(X)[V] = Q ( f[w_i, w_j] * (Q^T V Q)_ij ) Q^T,
    f[a, b] = (f(a) - f(b)) / (a - b),   f[a, a] = f'(a),

and the gradient is the same operator applied to the symmetrised incoming gradient. Tie rule: every divided
difference below is a closed form without the subtraction f(a) - f(b) near a = b, so equal and nearly equal
eigenvalues need no threshold, take f'(a) in the limit and keep full precision at any relative gap. Double
backward is not provided.

Floors: roots clamp eigenvalues at 0; inverse roots, logarithms, negative powers and all derivatives that are
infinite at 0 use max(w, FLOOR * max(w)) (`floored`), and differentiate as if that were the eigenvalue.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

FLOOR = 1e-14
"""Relative eigenvalue floor: about 50 units of rounding of float64, the level where `eigh` returns noise."""


def sym(x: Tensor) -> Tensor:
    """Symmetric part (x + x^T) / 2 of x (..., n, n)."""
    return 0.5 * (x + x.mT)


def eigh(x: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues (..., n), ascending, and eigenvectors (..., n, n) of symmetric x, as constants of autograd.

    Raises
    ------
    ValueError
        If LAPACK fails, which happens for NaN or Inf entries.
    """
    try:
        return torch.linalg.eigh(x.detach())
    except torch.linalg.LinAlgError as error:
        raise ValueError(
            "the eigendecomposition failed: the matrix holds NaN or Inf (or overflowed); "
            "check the input and lower the learning rate"
        ) from error


def floored(w: Tensor) -> Tensor:
    """Eigenvalues w (..., n), clamped from below at FLOOR times the largest of their matrix."""
    rel = FLOOR if w.dtype == torch.float64 else 50.0 * torch.finfo(w.dtype).eps
    return torch.maximum(w, w[..., -1:].clamp_min(torch.finfo(w.dtype).tiny / FLOOR) * rel)


def _pairs(w: Tensor) -> tuple[Tensor, Tensor]:
    return w.unsqueeze(-1), w.unsqueeze(-2)


def log_ratio(a: Tensor, b: Tensor) -> Tensor:
    """log(a / b) for a, b > 0, accurate near a = b (2 artanh of the exact difference) and far from it."""
    r = (a - b) / (a + b)
    near = r.abs() < 0.5
    return torch.where(near, 2.0 * torch.atanh(torch.where(near, r, torch.zeros_like(r))), a.log() - b.log())


@dataclass(frozen=True)
class Spectral:
    """A function of eigenvalues: `value(w)` (..., n) and its divided differences `loewner(w)` (..., n, n)."""

    name: str
    value: Callable[[Tensor], Tensor]
    loewner: Callable[[Tensor], Tensor]


def pair_sums(r: Tensor) -> Tensor:
    """r_i + r_j of r (..., n): the inverse divided differences of the square root, if r holds the roots."""
    return r.unsqueeze(-1) + r.unsqueeze(-2)


def root_loewner(w: Tensor) -> Tensor:
    """Divided differences of the square root: 1 / (sqrt a + sqrt b)."""
    return 1.0 / pair_sums(floored(w).sqrt())


def inv_root_loewner(w: Tensor) -> Tensor:
    """Divided differences of the inverse square root: -1 / (sqrt a sqrt b (sqrt a + sqrt b))."""
    a, b = _pairs(floored(w).sqrt())
    return -1.0 / (a * b * (a + b))


def abs_loewner(w: Tensor) -> Tensor:
    """Divided differences of |w|: (a + b) / (|a| + |b|), 0 where both vanish (a subgradient)."""
    a, b = _pairs(w)
    return (a + b) / (a.abs() + b.abs()).clamp_min(torch.finfo(w.dtype).tiny)


def _log_loewner(w: Tensor) -> Tensor:
    a, b = _pairs(floored(w))
    d = a - b
    return torch.where(d == 0, 1.0 / a, log_ratio(a, b) / torch.where(d == 0, torch.ones_like(d), d))


def _exp_loewner(w: Tensor) -> Tensor:
    a, b = _pairs(w)
    d = (a - b).abs()  # e^max (1 - e^-d) / d: neither factor overflows before the result does
    return torch.maximum(a, b).exp() * torch.where(d == 0, torch.ones_like(d), -torch.expm1(-d) / d)


def _power_loewner(w: Tensor, p: float) -> Tensor:
    a, b = _pairs(floored(w))
    high, low = torch.maximum(a, b), torch.minimum(a, b)
    x = log_ratio(low, high)  # (low^p - high^p) / (low - high) = high^(p - 1) expm1(p x) / expm1(x)
    tie = x == 0
    x = torch.where(tie, -torch.ones_like(x), x)
    return high.pow(p - 1.0) * torch.where(tie, torch.full_like(x, p), torch.expm1(p * x) / torch.expm1(x))


SQRT = Spectral("sqrt", lambda w: w.clamp_min(0.0).sqrt(), root_loewner)
INV_SQRT = Spectral("inv_sqrt", lambda w: floored(w).rsqrt(), inv_root_loewner)
LOG = Spectral("log", lambda w: floored(w).log(), _log_loewner)
EXP = Spectral("exp", torch.exp, _exp_loewner)
ABS = Spectral("abs", torch.abs, abs_loewner)


def power(p: float) -> Spectral:
    """w^p; eigenvalues are clamped at 0 for p > 0 and floored for p < 0."""
    base = (lambda w: w.clamp_min(0.0)) if p > 0 else floored
    return Spectral(f"power({p})", lambda w: base(w).pow(p), lambda w: _power_loewner(w, p))


def rectify(eps: float) -> Spectral:
    """max(w, eps) (ReEig); at the kink the divided difference is 1/2, a subgradient."""
    return Spectral(f"rectify({eps})", lambda w: w.clamp_min(eps), lambda w: 0.5 * (1.0 + abs_loewner(w - eps)))


def log_rectified(eps: float) -> Spectral:
    """log max(w, eps): LogEig after ReEig by one decomposition; its divided differences are the product of theirs."""
    inner = rectify(eps)

    def loewner(w: Tensor) -> Tensor:
        return LOG.loewner(inner.value(w)) * inner.loewner(w)

    return Spectral(f"log_rectified({eps})", lambda w: LOG.value(inner.value(w)), loewner)


def without_ties(spec: Spectral) -> Spectral:
    """`spec` with the divided differences of exactly equal, distinct eigenvalues set to 0 instead of f'.

    This reproduces a common mistake of released SPD code; it is here for parity runs only.
    """

    def loewner(w: Tensor) -> Tensor:
        a, b = _pairs(w)
        off = ~torch.eye(w.shape[-1], dtype=torch.bool, device=w.device)
        return spec.loewner(w).masked_fill((a == b) & off, 0.0)

    return Spectral(spec.name, spec.value, loewner)


class _Apply(Function):
    """f_1(X), ..., f_k(X) from one eigendecomposition; backward rotates into the eigenbasis per output."""

    @staticmethod
    def forward(ctx, x, w, q, specs):
        ctx.save_for_backward(w, q)
        ctx.specs = specs
        ctx.set_materialize_grads(False)
        outs = tuple((q * f.value(w).unsqueeze(-2)) @ q.mT for f in specs)
        return outs if len(outs) > 1 else outs[0]

    @staticmethod
    @once_differentiable
    def backward(ctx, *grads):
        w, q = ctx.saved_tensors
        total = None
        for f, g in zip(ctx.specs, grads, strict=True):
            if g is not None:
                term = f.loewner(w) * (q.mT @ sym(g) @ q)
                total = term if total is None else total + term
        return (None if total is None else q @ total @ q.mT), None, None, None


def _ones(w: Tensor) -> Tensor:
    return torch.ones((), dtype=w.dtype, device=w.device)


@dataclass(frozen=True)
class Kernel:
    """A symmetric function k(a, b) of two eigenvalues and its divided differences, functions of w (..., n).

    `value` is k(w_i, w_j) (..., n, n). The divided difference in the first argument, without a subtraction,
    is

        (k(a, c) - k(b, c)) / (a - b) = outer(a, b) weight(a, c) weight(b, c) / (k(a, c) + k(b, c)),

    the last quotient being absent for `root` False; `outer` and `weight` give (..., n, n) or a scalar.
    """

    name: str
    value: Callable[[Tensor], Tensor]
    weight: Callable[[Tensor], Tensor]
    outer: Callable[[Tensor], Tensor]
    root: bool = True


def _sum_root(w: Tensor) -> Tensor:
    a, b = _pairs(w)
    return (0.5 * (a + b)).sqrt()


def _inverse_sum(w: Tensor) -> Tensor:
    a, b = _pairs(floored(w))
    return 1.0 / (a + b)


def _inverse_product(w: Tensor) -> Tensor:
    a, b = _pairs(floored(w))
    return 1.0 / (a * b)


LYAPUNOV = Kernel("lyapunov", _inverse_sum, _inverse_sum, lambda w: -_ones(w), root=False)
"""1 / (a + b): the solution L of X L + L X = V."""
FROM_IDENTITY = Kernel("from_identity", lambda w: _sum_root(floored(w)), _ones, lambda w: 0.5 * _ones(w))
"""sqrt((a + b) / 2): Bures-Wasserstein transport from I to X."""
TO_IDENTITY = Kernel(
    "to_identity",
    lambda w: 1.0 / _sum_root(floored(w)),
    lambda w: 2.0 * _inverse_sum(w),
    lambda w: -0.5 * _ones(w),
)
"""sqrt(2 / (a + b)): Bures-Wasserstein transport from X to I."""
INVERSE_FROM_IDENTITY = Kernel(
    "inverse_from_identity",
    lambda w: _sum_root(1.0 / floored(w)),
    _ones,
    lambda w: -0.5 * _inverse_product(w),
)
"""sqrt((1/a + 1/b) / 2): transport from I to X^-1."""


def kernel_gradient(g: Tensor, v: Tensor, w: Tensor, kernel: Kernel, k: Tensor | None = None) -> Tensor:
    """Gradient of <g, K_X[v]> with respect to X, all in the eigenbasis of X.

    With K_X[V]_ij = k(w_i, w_j) V_ij in the eigenbasis, the derivative in the direction dX is
    sum_k dX_ik V_kj d(i, k; j) + its mirror image (d the divided difference of `Kernel`), so the gradient is
    2 sym_ik sum_j g_ij V_kj d(i, k; j).

    Parameters
    ----------
    g, v : Tensor (..., n, n), symmetric
    w : Tensor (n,) for one X shared by the batch (the batch is summed), or (..., n)
    k : Tensor, optional
        kernel.value(w), if the caller has it.
    """
    if kernel.weight is not _ones:
        weight = kernel.weight(w)
        g, v = g * weight, v * weight
    if w.dim() == 1:
        n = w.shape[0]
        g, v = g.reshape(-1, n, n), v.reshape(-1, n, n)
        if kernel.root:
            pair = g.permute(2, 1, 0) @ v.permute(2, 0, 1)  # [j, i, k], summed over the batch
        else:
            out = torch.tensordot(g, v, dims=([0, 2], [0, 2]))
    elif kernel.root:
        pair = g.mT.unsqueeze(-1) * v.mT.unsqueeze(-2)
    else:
        out = g @ v.mT
    if kernel.root:
        k = kernel.value(w) if k is None else k
        out = (pair / (k.unsqueeze(-1) + k.unsqueeze(-2))).sum(-3)
    out = kernel.outer(w) * out
    return out + out.mT


class _Schur(Function):
    """K_X[V]: entrywise product with k(w_i, w_j) in the eigenbasis of X; differentiable in X and V."""

    @staticmethod
    def forward(ctx, x, v, w, q, kernel):
        inner = q.mT @ v @ q
        ctx.save_for_backward(inner, w, q)
        ctx.kernel, ctx.shapes = kernel, (x.shape, v.shape)
        return q @ (kernel.value(w) * inner) @ q.mT

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        inner, w, q = ctx.saved_tensors
        g = q.mT @ grad @ q
        gx = gv = None
        if ctx.needs_input_grad[1]:
            gv = (q @ (ctx.kernel.value(w) * g) @ q.mT).sum_to_size(ctx.shapes[1])
        if ctx.needs_input_grad[0]:
            gx = kernel_gradient(sym(g), sym(inner), w, ctx.kernel)
            gx = (q @ gx @ q.mT).sum_to_size(ctx.shapes[0])
        return gx, gv, None, None, None


class Eig:
    """One eigendecomposition of symmetric x (..., n, n), from which any number of functions is taken.

    Functions and operators are differentiable in x; x is replaced by its symmetric part and gradients with
    respect to it are symmetric. `w` (..., n) and `q` (..., n, n) are constants of autograd.
    """

    def __init__(self, x: Tensor):
        self.x = x
        self.w, self.q = eigh(sym(x.detach()))

    def apply(self, *specs: Spectral) -> Tensor | tuple[Tensor, ...]:
        """f(x) for one spec, a tuple for several."""
        return _Apply.apply(self.x, self.w, self.q, specs)

    def sqrt(self) -> Tensor:
        """x^(1/2), eigenvalues clamped at 0."""
        return self.apply(SQRT)

    def inv_sqrt(self) -> Tensor:
        """x^(-1/2), eigenvalues floored."""
        return self.apply(INV_SQRT)

    def roots(self) -> tuple[Tensor, Tensor]:
        """(x^(1/2), x^(-1/2))."""
        return self.apply(SQRT, INV_SQRT)

    def log(self) -> Tensor:
        """Matrix logarithm, eigenvalues floored."""
        return self.apply(LOG)

    def exp(self) -> Tensor:
        """Matrix exponential."""
        return self.apply(EXP)

    def abs(self) -> Tensor:
        """Matrix absolute value."""
        return self.apply(ABS)

    def power(self, p: float) -> Tensor:
        """x^p for real p."""
        return self.apply(power(p))

    def rectify(self, eps: float) -> Tensor:
        """max(x, eps) on the eigenvalues."""
        return self.apply(rectify(eps))

    def lyapunov(self, v: Tensor) -> Tensor:
        """The symmetric L with x L + L x = v, v (..., n, n) symmetric."""
        return self.schur(v, LYAPUNOV)

    def schur(self, v: Tensor, kernel: Kernel) -> Tensor:
        """K_x[v] for a kernel of two eigenvalues; x broadcasts against v."""
        return _Schur.apply(self.x, v, self.w, self.q, kernel)

    def frechet(self, v: Tensor, spec: Spectral, inverse: bool = False) -> Tensor:
        """Derivative Df(x)[v], or its inverse operator; differentiable in v only.

        Raises
        ------
        NotImplementedError
            If x requires a gradient.
        """
        if self.x.requires_grad and torch.is_grad_enabled():
            raise NotImplementedError(
                "the derivative of a matrix function has no gradient in its base point; detach the base point"
            )
        k = spec.loewner(self.w)
        return self.q @ ((self.q.mT @ v @ self.q) / k if inverse else (self.q.mT @ v @ self.q) * k) @ self.q.mT


def sqrtm(x: Tensor) -> Tensor:
    """Square root of symmetric positive semi-definite x (..., n, n)."""
    return Eig(x).sqrt()


def inv_sqrtm(x: Tensor) -> Tensor:
    """Inverse square root of SPD x (..., n, n)."""
    return Eig(x).inv_sqrt()


def logm(x: Tensor) -> Tensor:
    """Logarithm of SPD x (..., n, n)."""
    return Eig(x).log()


def expm(x: Tensor) -> Tensor:
    """Exponential of symmetric x (..., n, n)."""
    return Eig(x).exp()


def powm(x: Tensor, p: float) -> Tensor:
    """Real power of SPD x (..., n, n)."""
    return Eig(x).power(p)


def absm(x: Tensor) -> Tensor:
    """Absolute value (x^2)^(1/2) of symmetric x (..., n, n)."""
    return Eig(x).abs()


def rectify_eigenvalues(x: Tensor, eps: float) -> Tensor:
    """max(x, eps I) in the eigenbasis of symmetric x (..., n, n)."""
    return Eig(x).rectify(eps)
