"""Fused forward and backward of the GBW batch norm: three batched eigendecompositions in training, else two.

Equations: Wang et al. 2025 (arXiv 2504.00660), in the notation of `norm`. Everything is written in the
eigenbases of the batch mean B and of the bias G', so that the maps of steps 3 to 5 become entrywise products:

    R = (B^(1/2) Z B^(1/2))^(1/2)                       Z = C X C, C = M^(-1/2)
    I + V/2 = N = I - B^(1/2) + K_B[R]                  K_B: factor sqrt((1/b_i + 1/b_j) / 2)
    F = |I + c (|N| - I)|                               one eigendecomposition of V/2 serves steps 3, 4 and 5
    L = E_G'[F - I],  Y = (I + L) G' (I + L)            E_G': factor sqrt(2 / (g_i + g_j))

Backward: Daleckii-Krein weights for roots and |.|, divided differences of the factors for B and G'
(`eig.Kernel`).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from models.geometry.eig import (
    INVERSE_FROM_IDENTITY,
    TO_IDENTITY,
    abs_loewner,
    eigh,
    floored,
    kernel_gradient,
    pair_sums,
    root_loewner,
    sym,
)


def _pair_sum(a: Tensor, b: Tensor) -> Tensor:
    """sum_i a_i b_i^T over the batch, as one matrix product."""
    n = a.shape[-2]
    return a.transpose(0, 1).reshape(n, -1) @ b.transpose(0, 1).reshape(n, -1).mT


def _fold(d: Tensor) -> Tensor:
    """|1 + d| - 1 without cancellation at small d."""
    return torch.where(d >= -1.0, d, -2.0 - d)


def geodesic_point(a: Tensor, b: Tensor, t: float) -> Tensor:
    """`bw_geodesic(a, b, t)` of two matrices (n, n) without gradient, in the eigenbasis of a."""
    w, u = eigh(a)
    r = floored(w).sqrt()
    p = u * r
    v, q = eigh(sym(p.mT @ b @ p))
    j = (1.0 - t) * p + (u * (t / r)) @ ((q * v.clamp_min(0.0).sqrt()) @ q.mT)
    return j @ j.mT


class OneStepMean(Function):
    """One fixed-point step of the BW mean of C X_i C from their arithmetic mean.

    B = B0^(-1/2) ( mean_i (B0^(1/2) Z_i B0^(1/2))^(1/2) )^2 B0^(-1/2), B0 = mean_i Z_i, Z_i = C X_i C.
    Inputs x (k, n, n) and symmetric c (n, n); outputs B (n, n) and the eigenvalues of B0 (n,), a constant.
    """

    @staticmethod
    def forward(ctx, x: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
        k = x.shape[0]
        bar = x.mean(0)
        spectrum, u0 = eigh(sym(c @ bar @ c))
        r0 = floored(spectrum).sqrt()
        p = (c @ u0) * r0
        xp = x @ p
        w, q = eigh(sym(p.mT @ xp))
        s = _pair_sum(q * w.clamp_min(0.0).sqrt().unsqueeze(-2), q) / k
        f = (u0 / r0) @ s
        ctx.save_for_backward(c, bar, r0, u0, p, xp, w, q, s)
        ctx.mark_non_differentiable(spectrum)
        return f @ f.mT, spectrum

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor, _spectrum):
        c, bar, r0, u0, p, xp, w, q, s = ctx.saved_tensors
        k = q.shape[0]
        g = (u0.mT @ sym(grad) @ u0) / r0
        inv = g @ s @ s
        gs = (g / r0.unsqueeze(-1)) @ s
        gs = (gs + gs.mT) / k
        gz = q @ (root_loewner(w) * (q.mT @ gs @ q)) @ q.mT
        gp = 2.0 * _pair_sum(xp, gz)
        # divided differences: 1 / (r_i + r_j) for the root, -1 / (r_i r_j (r_i + r_j)) for the inverse root
        g0 = 0.5 * ((c @ u0).mT @ gp) - inv / torch.outer(r0, r0)
        g0 = u0 @ ((g0 + g0.mT) / pair_sums(r0)) @ u0.mT
        gx = gc = None
        if ctx.needs_input_grad[0]:
            gx = torch.baddbmm((c @ g0 @ c / k).expand_as(gz), p.expand_as(gz), gz @ p.mT)
        if ctx.needs_input_grad[1]:
            mixed = g0 @ c @ bar
            gc = sym(gp @ (u0 * r0).mT) + mixed + mixed.mT
        return gx, gc


class Normalise(Function):
    """Steps 3 to 6 without the outer power: centre at B, scale, bias G', multiply by M^(1/2) on both sides.

    Inputs: x (k, n, n), c = M^(-1/2), b = B, shift (1,), var (1,) or None, g = G', h = M^(1/2) (n, n),
    theta and eps numbers. With var None the variance theta^(-2) mean_i |V_i/2|^2, which is
    theta^(-2) mean_i d^2(Z_i, B), is computed here and differentiated.
    Outputs: (k, n, n) result; variance (1,) and eigenvalues of B^(1/2) Z B^(1/2) (k, n), both constants.
    """

    @staticmethod
    def forward(ctx, x, c, b, shift, var, g, h, theta, eps):
        k = x.shape[0]
        wb, ub = eigh(sym(b))
        wb = floored(wb)
        rb = wb.sqrt()
        p = (c @ ub) * rb
        xp = x @ p
        w, q = eigh(sym(p.mT @ xp))
        root = (q * w.clamp_min(0.0).sqrt().unsqueeze(-2)) @ q.mT
        kb = INVERSE_FROM_IDENTITY.value(wb)
        d = kb * root
        d.diagonal(dim1=-2, dim2=-1).sub_(rb)  # V/2
        ctx.own_var = var is None
        ctx.weight = 1.0 / (k * theta * theta)
        if var is None:
            var = (d.square().sum() * ctx.weight).reshape(1)
        scale = (var + eps).rsqrt()
        factor = shift * scale
        delta, v = eigh(d)  # |N| - I and F - I have the eigenvectors of V/2
        m = _fold(delta)
        u = factor * m
        # outside the injectivity domain the derivative of |.| is not 1; rare, so worth one comparison
        ctx.folded = not bool((delta[:, 0].amin() > -1.0) & (u.amin() > -1.0))
        wg, ug = eigh(sym(g))
        wg = floored(wg)
        vo = (ug.mT @ ub) @ v
        t = (vo * _fold(u).unsqueeze(-2)) @ vo.mT
        rg, kg = wg.sqrt(), TO_IDENTITY.value(wg)
        step = kg * t
        step.diagonal(dim1=-2, dim2=-1).add_(1.0)
        pg = h @ ug
        hs = step * rg
        j = pg @ hs
        # fmt: off
        ctx.save_for_backward(c, wb, rb, kb, ub, p, xp, w, q, root, d, shift, scale, delta, v, m, u,
                              wg, rg, kg, ug, vo, t, step, pg, hs, j)
        # fmt: on
        var = var if ctx.own_var else var.clone()  # an output may not be an input
        ctx.mark_non_differentiable(var, w)
        ctx.set_materialize_grads(False)
        return j @ j.mT, var, w

    @staticmethod
    @once_differentiable
    def backward(ctx, grad, _var, _w):
        if grad is None:
            return (None,) * 9
        # fmt: off
        (c, wb, rb, kb, ub, p, xp, w, q, root, d, shift, scale, delta, v, m, u,
         wg, rg, kg, ug, vo, t, step, pg, hs, j) = ctx.saved_tensors
        # fmt: on
        need_x, need_c, need_b, need_shift, _, need_g, need_h = ctx.needs_input_grad[:7]
        gx = gc = gb = gshift = gg = gh = None
        gj = (grad + grad.mT) @ j
        if need_h:
            gh = sym(_pair_sum(gj, hs) @ ug.mT)
        ghs = pg.mT @ gj
        gstep = sym(ghs * rg)
        if need_g:
            direct = _pair_sum(step, ghs.mT) / (2.0 * rg)
            gg = sym(direct) + kernel_gradient(gstep, t, wg, TO_IDENTITY, kg)
            gg = ug @ gg @ ug.mT
        inner = vo.mT @ (kg * gstep) @ vo
        slope = m * torch.sign(1.0 + u) if ctx.folded else m
        gfactor = (inner.diagonal(dim1=-2, dim2=-1) * slope).sum()
        inner = inner * (shift * scale)
        if ctx.folded:
            inner = inner * (abs_loewner(1.0 + delta) * abs_loewner(1.0 + u))
        gd = v @ inner @ v.mT
        if need_shift:
            gshift = (gfactor * scale).reshape(shift.shape)
        if ctx.own_var:
            gvar = -0.5 * gfactor * shift * scale**3
            gd = gd + (2.0 * ctx.weight * gvar) * d
        if not (need_x or need_c or need_b):
            return gx, gc, gb, gshift, None, gg, gh, None, None
        gz = q @ (root_loewner(w) * (q.mT @ (kb * gd) @ q)) @ q.mT
        if need_x:
            gx = p @ (gz @ p.mT)
        if need_c or need_b:
            gp = 2.0 * _pair_sum(xp, gz)
        if need_c:
            gc = sym(gp @ (ub * rb).mT)
        if need_b:
            groot = sym((c @ ub).mT @ gp) - gd.sum(0)
            gb = groot / pair_sums(rb) + kernel_gradient(gd, root, wb, INVERSE_FROM_IDENTITY, kb)
            gb = ub @ gb @ ub.mT
        return gx, gc, gb, gshift, None, gg, gh, None, None
