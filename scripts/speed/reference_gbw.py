"""Reference GBW batch norm: the equations one matrix at a time, an eigendecomposition per root.

Written straight from the equations of Wang et al. 2025 (arXiv 2504.00660) with the separate maps Log,
transport and Exp, as the yardstick of the speed study and of the tests. Functions of M, B and G are computed
once per call; functions of X_i in a Python loop. Transports are differentiated by autograd through `eigh`, so
B and G' need distinct eigenvalues.
"""

from __future__ import annotations

import torch
from torch import Tensor


class _Function(torch.autograd.Function):
    """f(X) of one symmetric matrix, with the textbook Loewner matrix."""

    @staticmethod
    def forward(ctx, x, f, df, zero_ties):
        w, q = torch.linalg.eigh(0.5 * (x + x.T))
        ctx.save_for_backward(w, q)
        ctx.f, ctx.df, ctx.zero_ties = f, df, zero_ties
        return q @ torch.diag(f(w)) @ q.T

    @staticmethod
    def backward(ctx, grad):
        w, q = ctx.saved_tensors
        gap = w[:, None] - w[None, :]
        tie = gap.abs() <= 1e-10 * w.abs().max()
        mid = 0.5 * (w[:, None] + w[None, :])
        f = ctx.f(w)
        k = torch.where(tie, ctx.df(mid), (f[:, None] - f[None, :]) / torch.where(tie, torch.ones_like(gap), gap))
        if ctx.zero_ties:
            k = torch.where((gap == 0) & ~torch.eye(len(w), dtype=torch.bool), torch.zeros_like(k), k)
        return q @ (k * (q.T @ (0.5 * (grad + grad.T)) @ q)) @ q.T, None, None, None


def power(x: Tensor, p: float, zero_ties: bool = False) -> Tensor:
    """x^p of one SPD matrix."""
    return _Function.apply(
        x, lambda w: w.clamp_min(1e-300) ** p, lambda w: p * w.clamp_min(1e-300) ** (p - 1), zero_ties
    )


def matrix_function(x: Tensor, f, df) -> Tensor:
    """f(x) of one symmetric matrix, with derivative df on ties."""
    return _Function.apply(x, f, df, False)


def absolute(x: Tensor) -> Tensor:
    """|x| of one symmetric matrix."""
    return _Function.apply(x, torch.abs, torch.sign, False)


def _schur(base: Tensor, v: Tensor, factor) -> Tensor:
    w, q = torch.linalg.eigh(base)
    return q @ (factor(w[:, None] + w[None, :]) * (q.T @ v @ q)) @ q.T


def _mean(z: list[Tensor]) -> Tensor:
    b0 = sum(z) / len(z)
    root, inverse = power(b0, 0.5), power(b0, -0.5)
    s = sum(power(root @ zi @ root, 0.5) for zi in z) / len(z)
    return inverse @ s @ s @ inverse


def _geodesic(a: Tensor, b: Tensor, t: float) -> Tensor:
    root, inverse = power(a, 0.5), power(a, -0.5)
    cross = root @ power(root @ b @ root, 0.5) @ inverse
    return (1 - t) ** 2 * a + t**2 * b + t * (1 - t) * (cross + cross.T)


def reference_gbw(
    x: Tensor,
    metric: Tensor,
    bias: Tensor,
    shift: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    theta: float = 1.0,
    momentum: float = 0.1,
    eps: float = 1e-5,
    parity: bool = False,
    training: bool = True,
) -> tuple[Tensor, Tensor, Tensor]:
    """Output (k, n, n) and updated running mean (n, n) and variance (1,); arguments as in `GBWBatchNorm`."""
    eye = torch.eye(x.shape[-1], dtype=x.dtype)
    m_root, m_inverse = power(metric, 0.5, parity), power(metric, -0.5, parity)
    deform = (lambda a, p: a) if theta == 1.0 else power
    z = [m_inverse @ deform(xi, theta) @ m_inverse for xi in x]
    base = m_inverse @ deform(bias, theta) @ m_inverse
    if training:
        mean = _mean([zi.detach() for zi in z] if parity else z)
    else:
        mean = running_mean
    root, inverse = power(mean, 0.5), power(mean, -0.5)
    tangent = []
    for zi in z:
        cross = root @ power(root @ zi @ root, 0.5) @ inverse
        tangent.append(_schur(mean, cross + cross.T - 2 * mean, lambda s: (2 / s) ** 0.5))
    if not training:
        var = running_var
    elif parity:
        with torch.no_grad():
            var = sum((zi.trace() + len(eye) - 2 * power(zi, 0.5).trace()) for zi in z).reshape(1) / len(z)
            var = var / theta**2
    else:
        var = sum(0.25 * (v * v).sum() for v in tangent).reshape(1) / (len(z) * theta**2)
    out = []
    for v in tangent:
        log = 2 * (absolute(eye + v / 2) - eye)
        log = 2 * (absolute(eye + 0.5 * shift / (var + eps) ** 0.5 * log) - eye)
        moved = _schur(base, log, lambda s: (s / 2) ** 0.5)
        step = eye + _schur(base, moved, lambda s: 1 / s)
        out.append(deform(m_root @ step @ base @ step @ m_root, 1.0 / theta))
    if training:
        with torch.no_grad():
            running_mean = _geodesic(running_mean, mean, momentum)
            running_var = (1 - momentum) * running_var + momentum * var
    return torch.stack(out), running_mean, running_var.detach()
