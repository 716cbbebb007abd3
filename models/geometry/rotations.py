"""Representations of rotations: batched differentiable maps R^k -> SO(3), their inverses, angles between rotations.

The parametrisations of Zhou, Barnes, Lu, Yang, Li, "On the Continuity of Rotation Representations in Neural Networks", CVPR 2019
(arXiv 1812.07035). All maps take (..., k) of any floating dtype and give (..., 3, 3) with vectors as columns; n(v) = v / max(|v|, 1e-8).
`REPRESENTATIONS` has each of them by name, `to_rotation` checks its input. SO(n) is in `rotations_n`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

TINY = 1e-8
FIVE_D_SCALE = (math.sqrt(2.0) + 1.0, math.sqrt(2.0) + 1.0, math.sqrt(2.0))


def unit(v: Tensor) -> Tensor:
    """n(v) = v / max(|v|, 1e-8) along the last axis."""
    return v / torch.linalg.vector_norm(v, dim=-1, keepdim=True).clamp_min(TINY)


def cross(a: Tensor, b: Tensor) -> Tensor:
    """a x b of (..., 3)."""
    a0, a1, a2 = a.unbind(-1)
    b0, b1, b2 = b.unbind(-1)
    return torch.stack([a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0], -1)


def _rows(entries: list[Tensor]) -> Tensor:
    """Nine tensors (...) in reading order as (..., 3, 3)."""
    return torch.stack(entries, -1).unflatten(-1, (3, 3))


# ------------------------------------------------------------------------------------------ 6D and 5D


def six_d(a: Tensor) -> Tensor:
    """6D: x = n(a1), z = n(x x a2), y = z x x, R = [x y z]; the same as Gram-Schmidt of a1, a2. (..., 6) -> (..., 3, 3)."""
    x = unit(a[..., :3])
    z = unit(cross(x, a[..., 3:]))
    return torch.stack([x, cross(z, x), z], -1)


def six_d_inverse(r: Tensor) -> Tensor:
    """The first two columns of R, the first one first: (..., 6)."""
    return r[..., :2].mT.flatten(-2)


def stereographic(u: Tensor) -> Tensor:
    """Of u (..., m + 1) on the sphere from the pole e_0: u[1:] / (1 - u[0]), (..., m). Infinite at the pole."""
    return u[..., 1:] / (1.0 - u[..., :1])


def unstereographic(t: Tensor) -> Tensor:
    """Inverse of `stereographic`: ((|t|^2 - 1), 2 t) / (|t|^2 + 1), the new coordinate in front. (..., m) -> (..., m + 1)."""
    s = t.square().sum(-1, keepdim=True)
    return torch.cat([s - 1.0, 2.0 * t], -1) / (s + 1.0)


def five_d(a: Tensor) -> Tensor:
    """5D: the last three entries, scaled, are a stereographic image of (a1's third entry, a2) up to length. (..., 5) -> (..., 3, 3)."""
    u = unstereographic(a[..., 2:] * a.new_tensor(FIVE_D_SCALE))
    u = u / torch.linalg.vector_norm(u[..., 1:], dim=-1, keepdim=True).clamp_min(TINY)
    return six_d(torch.cat([a[..., :2], u], -1))


def five_d_inverse(r: Tensor) -> Tensor:
    """Exact: (R_00, R_10, stereographic(n(R_20, R_01, R_11, R_21)) / s). The pole is never met: its first entry is at most 2^(-1/2)."""
    v = six_d_inverse(r)
    return torch.cat([v[..., :2], stereographic(unit(v[..., 2:])) / r.new_tensor(FIVE_D_SCALE)], -1)


# ------------------------------------------------------------------------------------------ quaternions


def _entries(xp: Any, c: Any, square: Any, out: Any) -> None:
    """R = I + 2 / |q|^2 (w [v]_x + [v]_x^2) of c (4, n) = (w, v), as nine rows in reading order, out (9, n).

    c * c is `square` (4, n), which is overwritten. xp is numpy or torch, which have these calls in common.
    """
    total = square[0]  # in place, as is all that follows: at 10,000 rotations memory is what it costs
    total += square[1]
    total += square[2]
    total += square[3]
    factor = 2.0 / total.clip(TINY * TINY)
    x, y = c[1:3] * factor
    wx, wy, wz = (c[0] * factor) * c[1:]
    xy, xz = x * c[2:]
    yz = y * c[3]
    for p, t, low, high in ((xy, wz, 1, 3), (xz, wy, 6, 2), (yz, wx, 5, 7)):
        xp.subtract(p, t, out=out[low])
        xp.add(p, t, out=out[high])
    square = square[1:]
    square *= factor
    rest = 1.0 - square[0]
    rest -= square[1]
    rest -= square[2]
    xp.add(square, rest, out=out[::4])


def _in_numpy(a: Tensor) -> bool:
    """Whether NumPy computes on the tensor's own memory: its calls cost a third of torch's, and it transposes twice as fast."""
    return a.device.type == "cpu" and a.dtype in (torch.float32, torch.float64)


def _no_gradient(a: Tensor) -> bool:
    return not (a.requires_grad and torch.is_grad_enabled())


def _matrices(c: np.ndarray, shape: torch.Size) -> Tensor:
    """Rotations (*shape, 3, 3) of quaternions c (4, n)."""
    out = np.empty((c.shape[1], 9), c.dtype)
    _entries(np, c, c * c, out.T)
    return torch.from_numpy(out).view(*shape, 3, 3)


def _from_quaternions(q: Tensor) -> Tensor:
    return _matrices(np.ascontiguousarray(q.reshape(-1, 4).numpy().T), q.shape[:-1])


class _Quaternion(Function):
    """R of q / |q|, written entry by entry into the result: one pass each, where autograd would keep thirty intermediates.

    With u = q / |q| and G the gradient in R, the gradient in u is the derivative of the quadratic form, and the one in q is
    (I - u u^T) / |q| times it.
    """

    @staticmethod
    def forward(ctx, q):
        ctx.save_for_backward(q)
        if _in_numpy(q):
            return _from_quaternions(q.detach())
        c = q.detach().reshape(-1, 4).mT.contiguous()
        out = c.new_empty(9, c.shape[1])
        _entries(torch, c, c * c, out)
        return out.mT.reshape(*q.shape[:-1], 3, 3)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        (q,) = ctx.saved_tensors
        length = torch.linalg.vector_norm(q, dim=-1, keepdim=True).clamp_min(TINY)
        u = q / length
        w, x, y, z = u.unbind(-1)
        (a, b, c), (d, e, f), (g, h, i) = (row.unbind(-1) for row in grad.unbind(-2))
        p, s, t, k, m, n = h - f, c - g, d - b, b + d, c + g, f + h
        gu = 2.0 * torch.stack(
            [
                x * p + y * s + z * t,
                w * p + y * k + z * m - 2.0 * x * (e + i),
                w * s + x * k + z * n - 2.0 * y * (a + i),
                w * t + x * m + y * n - 2.0 * z * (a + e),
            ],
            -1,
        )
        return (gu - u * (u * gu).sum(-1, keepdim=True)) / length


def quaternion(q: Tensor) -> Tensor:
    """(w, x, y, z) of any length but 0, normalised: (..., 4) -> (..., 3, 3). The gradient is first order only."""
    if _no_gradient(q) and _in_numpy(q):
        return _from_quaternions(q.detach())
    return _Quaternion.apply(q)


def quaternion_half(q: Tensor) -> Tensor:
    """The released half-sphere form, q (sign(q_3) + 0.5) normalised. R(q) = R(-q), so this is the map `quaternion` itself."""
    return quaternion(q * (torch.sign(q[..., 3:]) + 0.5))


def quaternion_inverse(r: Tensor) -> Tensor:
    """The unit quaternion with w >= 0, by the row of 4 q q^T with the largest diagonal: (..., 3, 3) -> (..., 4).

    Discontinuous where the angle is pi, as every such choice is.
    """
    (a, b, c), (d, e, f), (g, h, i) = (row.unbind(-1) for row in r.unbind(-2))
    p, s, t, u, v, w = h - f, c - g, d - b, b + d, c + g, f + h
    k = torch.stack(
        [1 + a + e + i, p, s, t, p, 1 + a - e - i, u, v, s, u, 1 - a + e - i, w, t, v, w, 1 - a - e + i], -1
    ).unflatten(-1, (4, 4))
    best = k.diagonal(dim1=-2, dim2=-1).argmax(-1)[..., None, None].expand(*r.shape[:-2], 1, 4)
    q = unit(k.gather(-2, best).squeeze(-2))
    return torch.where(q[..., :1] < 0, -q, q)


# ------------------------------------------------------------------------------------------ axis and angle


def rotation_vector(v: Tensor) -> Tensor:
    """exp [v]_x, rotation by |v| about v: (..., 3) -> (..., 3, 3). Smooth at 0."""
    if _no_gradient(v) and _in_numpy(v):
        return _from_vectors(v.detach())
    half = (0.5 * torch.linalg.vector_norm(v, dim=-1, keepdim=True)).clamp_min(
        TINY
    )  # sin h / h = 1 there, and below it
    return quaternion(torch.cat([torch.cos(half), v * (0.5 * torch.sin(half) / half)], -1))


def _from_vectors(v: Tensor) -> Tensor:
    """The same where no gradient is asked for: quaternions are made in the layout in which they are read, (4, n)."""
    rows = v.reshape(-1, 3).numpy().T
    c = np.empty((4, rows.shape[1]), rows.dtype)
    c[1:] = rows
    square = c[1:] * c[1:]
    half = torch.from_numpy((0.5 * np.sqrt(square[0] + square[1] + square[2])).clip(TINY))
    c[0] = torch.cos(half).numpy()  # torch has them vectorised
    c[1:] *= (0.5 * torch.sin(half) / half).numpy()
    return _matrices(c, v.shape[:-1])


def rotation_vector_inverse(r: Tensor) -> Tensor:
    """log R as a vector of length in [0, pi]: (..., 3, 3) -> (..., 3)."""
    q = quaternion_inverse(r)
    sine = torch.linalg.vector_norm(q[..., 1:], dim=-1, keepdim=True)
    angle = 2.0 * torch.atan2(sine, q[..., :1])
    return q[..., 1:] * torch.where(sine < TINY, 2.0 / q[..., :1].clamp_min(0.5), angle / sine.clamp_min(TINY))


def rodriguez(v: Tensor) -> Tensor:
    """The paper's exponential vector: quaternion (cos |v|, n(v) sin |v|), so exp(2 [v]_x), rotation by 2 |v|."""
    return rotation_vector(2.0 * v)


def rodriguez_inverse(r: Tensor) -> Tensor:
    return 0.5 * rotation_vector_inverse(r)


def axis_angle(a: Tensor) -> Tensor:
    """Angle pi tanh(a_0) about n(a_1, a_2, a_3): (..., 4) -> (..., 3, 3)."""
    half = 0.5 * math.pi * torch.tanh(a[..., :1])
    return quaternion(torch.cat([torch.cos(half), unit(a[..., 1:]) * torch.sin(half)], -1))


def axis_angle_double(a: Tensor) -> Tensor:
    """As in the released point-cloud code, which leaves the half out: angle 2 pi tanh(a_0)."""
    whole = math.pi * torch.tanh(a[..., :1])
    return quaternion(torch.cat([torch.cos(whole), unit(a[..., 1:]) * torch.sin(whole)], -1))


def _atanh(x: Tensor) -> Tensor:
    """atanh with its argument kept inside (-1, 1) by one rounding, so that closed ends get a finite pre-image."""
    edge = 1.0 - torch.finfo(x.dtype).eps
    return torch.atanh(x.clamp(-edge, edge))


def axis_angle_inverse(r: Tensor) -> Tensor:
    v = rotation_vector_inverse(r)
    angle = torch.linalg.vector_norm(v, dim=-1, keepdim=True)
    axis = torch.where(angle < TINY, v.new_tensor([1.0, 0.0, 0.0]), v / angle.clamp_min(TINY))
    return torch.cat([_atanh(angle / math.pi), axis], -1)


# ------------------------------------------------------------------------------------------ Euler angles, Hopf coordinates


def _euler(c1: Tensor, s1: Tensor, c2: Tensor, s2: Tensor, c3: Tensor, s3: Tensor) -> Tensor:
    return _rows(
        [c2 * c3, -s2, c2 * s3,
         c1 * s2 * c3 + s1 * s3, c1 * c2, c1 * s2 * s3 - s1 * c3,
         s1 * s2 * c3 - c1 * s3, s1 * c2, s1 * s2 * s3 + c1 * c3]
    )  # fmt: skip


def euler(e: Tensor) -> Tensor:
    """R = R_x(e_0) R_z(e_2) R_y(e_1), intrinsic X Z' Y'', radians: (..., 3) -> (..., 3, 3)."""
    c, s = torch.cos(e), torch.sin(e)
    return _euler(c[..., 0], s[..., 0], c[..., 2], s[..., 2], c[..., 1], s[..., 1])


def euler_inverse(r: Tensor) -> Tensor:
    """e_2 in [-pi/2, pi/2]. Where cos e_2 = 0 (gimbal lock) e_0 and e_1 are not determined, and e_1 = 0 is taken."""
    cosine = torch.hypot(r[..., 0, 0], r[..., 0, 2])
    e2 = torch.atan2(-r[..., 0, 1], cosine)
    lock = cosine < TINY
    e0 = torch.where(lock, torch.atan2(-r[..., 1, 2], r[..., 2, 2]), torch.atan2(r[..., 2, 1], r[..., 1, 1]))
    e1 = torch.where(lock, torch.zeros_like(e2), torch.atan2(r[..., 0, 2], r[..., 0, 0]))
    return torch.stack([e0, e1, e2], -1)


def euler_sin_cos(a: Tensor) -> Tensor:
    """Sine and cosine (s1, c1, s2, c2, s3, c3) of the Euler matrix, each pair normalised: (..., 6) -> (..., 3, 3)."""
    pairs = unit(a.unflatten(-1, (3, 2)))
    s, c = pairs[..., 0], pairs[..., 1]
    return _euler(c[..., 0], s[..., 0], c[..., 1], s[..., 1], c[..., 2], s[..., 2])


def euler_sin_cos_tanh(a: Tensor) -> Tensor:
    """As released: tanh of the raw entries in place of normalised pairs. The result is not a rotation in general."""
    s1, c1, s2, c2, s3, c3 = torch.tanh(a).unbind(-1)
    return _euler(c1, s1, c2, s2, c3, s3)


def euler_sin_cos_inverse(r: Tensor) -> Tensor:
    e = euler_inverse(r)[..., [0, 2, 1]]
    return torch.stack([torch.sin(e), torch.cos(e)], -1).flatten(-2)


def hopf(a: Tensor) -> Tensor:
    """Hopf coordinates theta = (tanh a_0 + 1) pi/2, phi = (tanh a_1 + 1) pi, tau = (tanh a_2 + 1) pi: (..., 3) -> (..., 3, 3).

    Quaternion (cos(theta/2) (cos(tau/2), sin(tau/2)), sin(theta/2) (cos(phi + tau/2), sin(phi + tau/2))).
    """
    theta, phi, tau = ((torch.tanh(a) + 1.0) * a.new_tensor([0.25, 1.0, 0.5]) * math.pi).unbind(
        -1
    )  # theta/2, phi, tau/2
    c, s = torch.cos(theta), torch.sin(theta)
    return quaternion(
        torch.stack([c * torch.cos(tau), c * torch.sin(tau), s * torch.cos(phi + tau), s * torch.sin(phi + tau)], -1)
    )


def hopf_inverse(r: Tensor) -> Tensor:
    w, x, y, z = quaternion_inverse(r).unbind(-1)
    flip = torch.where(x < 0, -1.0, 1.0).to(r.dtype)  # tau/2 in [0, pi]
    w, x, y, z = w * flip, x * flip, y * flip, z * flip
    theta, tau = 2.0 * torch.atan2(torch.hypot(y, z), torch.hypot(w, x)), torch.atan2(x, w)
    phi = torch.remainder(torch.atan2(z, y) - tau, 2.0 * math.pi)
    return torch.stack(
        [_atanh(2.0 * theta / math.pi - 1.0), _atanh(phi / math.pi - 1.0), _atanh(2.0 * tau / math.pi - 1.0)], -1
    )


# ------------------------------------------------------------------------------------------ matrices


class _Procrustes(Function):
    """The rotation nearest to M in the Frobenius norm: U diag(1, .., 1, det U V^T) V^T of M = U S V^T.

    With R = f(M), M = R P, P = V diag(p) V^T, p = (S_1, .., det * S_n): dR = R V W V^T, W_ij = (X - X^T)_ij / (p_i + p_j),
    X = V^T R^T dM V. The gradient exists while the two smallest p do not cancel, also for equal singular values.
    """

    @staticmethod
    def forward(ctx, m):
        u, s, vt = torch.linalg.svd(m)
        sign = torch.ones_like(s)
        sign[..., -1] = torch.linalg.det(u @ vt).sign()
        r = (u * sign.unsqueeze(-2)) @ vt
        ctx.save_for_backward(r, vt, s * sign)
        return r

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        r, vt, p = ctx.saved_tensors
        rv = r @ vt.mT
        y = rv.mT @ grad @ vt.mT
        total = p.unsqueeze(-1) + p.unsqueeze(-2)
        eye = torch.eye(p.shape[-1], dtype=torch.bool, device=p.device)
        total = total.masked_fill(eye, 1.0)
        total = torch.where(total.abs() < TINY, torch.full_like(total, TINY), total)
        return rv @ ((y - y.mT) / total) @ vt


def procrustes(m: Tensor) -> Tensor:
    """The rotation nearest to M (..., n, n), by SVD with determinant +1. Not unique where the two smallest signed values cancel."""
    return _Procrustes.apply(m)


def matrix_svd(a: Tensor) -> Tensor:
    """Nine entries in reading order, projected to the nearest rotation: (..., 9) -> (..., 3, 3)."""
    return procrustes(a.unflatten(-1, (3, 3)))


def matrix_gram_schmidt(a: Tensor) -> Tensor:
    """Gram-Schmidt of the columns, as released: orthogonal, with the determinant's sign of the raw matrix."""
    m = a.unflatten(-1, (3, 3))
    x = unit(m[..., 0])
    y = unit(m[..., 1] - (x * m[..., 1]).sum(-1, keepdim=True) * x)
    z = m[..., 2] - (x * m[..., 2]).sum(-1, keepdim=True) * x
    return torch.stack([x, y, unit(z - (y * z).sum(-1, keepdim=True) * y)], -1)


# ------------------------------------------------------------------------------------------ all of them, by name


class Representation(NamedTuple):
    """`dim` of the raw vector, `map` to SO(3), `inverse`: a raw vector of each rotation."""

    dim: int
    map: Callable[[Tensor], Tensor]
    inverse: Callable[[Tensor], Tensor]
    direction: int | None = (
        None  # the first entry of the part that must not be zero, where the result would not show it
    )


def _flat(r: Tensor) -> Tensor:
    return r.flatten(-2)


REPRESENTATIONS: dict[str, Representation] = {
    "6d": Representation(6, six_d, six_d_inverse),
    "5d": Representation(5, five_d, five_d_inverse),
    "quaternion": Representation(4, quaternion, quaternion_inverse, 0),
    "quaternion_half": Representation(4, quaternion_half, quaternion_inverse, 0),
    "axis_angle": Representation(4, axis_angle, axis_angle_inverse, 1),
    "rodriguez": Representation(3, rodriguez, rodriguez_inverse),
    "rotation_vector": Representation(3, rotation_vector, rotation_vector_inverse),
    "euler": Representation(3, euler, euler_inverse),
    "euler_sin_cos": Representation(6, euler_sin_cos, euler_sin_cos_inverse),
    "hopf": Representation(3, hopf, hopf_inverse),
    "matrix": Representation(9, matrix_svd, _flat),
}


def representation(name: str) -> Representation:
    if name not in REPRESENTATIONS:
        raise ValueError(f"representation is {name!r}; choose one of {', '.join(REPRESENTATIONS)}")
    return REPRESENTATIONS[name]


def to_rotation(name: str, raw: Tensor) -> Tensor:
    """The rotations (..., 3, 3) of raw vectors (..., k), checked.

    Raises
    ------
    ValueError
        Unknown name, wrong length, integers, NaN or Inf, or vectors that have no rotation (zero, or parallel ones in 6D).
    """
    rep = representation(name)
    if raw.dim() < 1 or raw.shape[-1] != rep.dim:
        raise ValueError(f"raw has shape {tuple(raw.shape)}; {name} needs (..., {rep.dim})")
    if not raw.is_floating_point():
        raise ValueError(f"raw is {raw.dtype}; pass floating-point numbers")
    if not bool(torch.isfinite(raw).all()):
        raise ValueError("raw holds NaN or Inf; remove those vectors")
    r = rep.map(raw)
    lost = (torch.linalg.matrix_norm(r).square() - 3.0).abs() > 1e-3
    if rep.direction is not None:
        lost |= torch.linalg.vector_norm(raw[..., rep.direction :], dim=-1) < TINY
    if bool(lost.any()):
        raise ValueError(
            f"{int(lost.sum())} of {lost.numel()} vectors have no rotation under {name} (a zero vector, or two parallel ones); "
            "add a little noise to them"
        )
    return r


# ------------------------------------------------------------------------------------------ distances and samples


def angle_between(a: Tensor, b: Tensor) -> Tensor:
    """Geodesic distance of rotations a, b (..., 3, 3) in radians, [0, pi]: 2 arcsin(|a - b|_F / (2 sqrt 2)).

    Equal to arccos((tr(a b^T) - 1) / 2), with full precision at small angles too. Of rotations only; clamped otherwise.
    """
    chord = torch.linalg.vector_norm((a - b).flatten(-2), dim=-1) / math.sqrt(8.0)
    return 2.0 * torch.asin(chord.clamp(max=1.0))


def trace_angle(a: Tensor, b: Tensor) -> Tensor:
    """arccos(clamp((tr(a b^T) - 1) / 2, -1, 1)), as released; its gradient is infinite at 0 and pi, and 0 where it is clamped."""
    return torch.acos(((torch.einsum("...ij,...ij->...", a, b) - 1.0) / 2.0).clamp(-1.0, 1.0))


def haar(n: int, generator: torch.Generator | None = None, dtype: torch.dtype = torch.float64) -> Tensor:
    """n rotations of uniform distribution, from normalised Gaussian quaternions: (n, 3, 3)."""
    return quaternion(torch.randn(n, 4, generator=generator, dtype=dtype))


def uniform_angle(n: int, generator: torch.Generator | None = None, dtype: torch.dtype = torch.float64) -> Tensor:
    """n rotations about uniform axes by half-angles uniform in (-pi, pi): not the uniform distribution on SO(3). (n, 3, 3)."""
    axis = unit(torch.randn(n, 3, generator=generator, dtype=dtype))
    angle = 2.0 * math.pi * (2.0 * torch.rand(n, 1, generator=generator, dtype=dtype) - 1.0)
    return rotation_vector(axis * angle)
