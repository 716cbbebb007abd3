"""The Grassmann manifold Gr(k, D) of k-dimensional subspaces of R^D, batched.

A subspace is given by a frame: `s` (..., D, k) with s^T s = I; s q spans the same subspace for every orthogonal q (k, k). A tangent
vector at the subspace is its horizontal lift h (..., D, k), s^T h = 0, and the length of h is its Frobenius norm (Edelman, Arias
and Smith, SIAM J. Matrix Anal. Appl. 1998, sections 2.5 and 3). All angles are in radians.

The geodesic formulas of the literature go through the thin singular value decomposition h = u diag(r) v^T. Every function of r in
them is even or multiplied by u diag(r) from the left, so each is an entire function of the small Gram matrix h^T h = v diag(r^2) v^T:
one eigendecomposition of a k x k matrix takes the place of the decomposition of a D x k matrix, without loss of accuracy.
Frames are fastest as transposed views of contiguous (..., k, D) arrays.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

SERIES_COS = [(-1) ** j / math.factorial(2 * j) for j in range(1, 6)]
SERIES_SINC = [(-1) ** j / math.factorial(2 * j + 1) for j in range(1, 6)]
BLOCK = 2**18  # entries of the matrices that `step_` works on at a time on a CPU


def check(s: Tensor, name: str = "s") -> None:
    """Raise ValueError unless `s` (..., D, k) can be a frame: real floating point, D >= k >= 1, finite."""
    if s.dim() < 2 or not s.is_floating_point():
        raise ValueError(f"{name} has shape {tuple(s.shape)} and dtype {s.dtype}; give real matrices (..., D, k)")
    d, k = s.shape[-2:]
    if not 1 <= k <= d:
        raise ValueError(f"{name} holds {k} columns of length {d}; a subspace of R^{d} has dimension 1 to {d}")
    if not bool(s.isfinite().all()):
        raise ValueError(f"{name} has entries that are not finite; look where they come from")


def random_frames(
    n: int, d: int, k: int, generator: torch.Generator | None = None, dtype: torch.dtype = torch.float32
) -> Tensor:
    """n frames (n, D, k), their subspaces uniform on Gr(k, D): thin QR of standard normal matrices."""
    if not 1 <= k <= d:
        raise ValueError(f"k={k} must lie between 1 and D={d}: a subspace has no more dimensions than the space")
    return orthonormalise(torch.randn(n, d, k, dtype=dtype, generator=generator))


def orthonormalise(a: Tensor) -> Tensor:
    """The frame q (..., D, k) of a = q r with r upper triangular and its diagonal positive.

    The sign convention makes q unique and a frame its own fixed point, so vectors that are expressed in the frame stay valid.
    ValueError where columns are linearly dependent.
    """
    check(a, "a")
    q, r = torch.linalg.qr(a)
    diagonal = r.diagonal(dim1=-2, dim2=-1)
    size = torch.linalg.matrix_norm(r)[..., None]
    if bool((diagonal.abs() <= torch.finfo(a.dtype).eps * size).any()):
        raise ValueError("a has linearly dependent columns, which span no subspace of their number; start elsewhere")
    return q * torch.where(diagonal < 0, -1.0, 1.0).to(a.dtype).unsqueeze(-2)


def reorthonormalise(s: Tensor) -> Tensor:
    """`orthonormalise` of a frame that rounding has moved a little, by one Cholesky factor: s^T s = r^T r, q = s r^-1.

    As accurate as the QR decomposition while s^T s is near I, and several times faster. Where some s^T s is further from I than 0.1
    (a mean of frames, say), the QR decomposition is taken.
    """
    gram = s.mT @ s
    off = (gram - torch.eye(s.shape[-1], dtype=s.dtype, device=s.device)).abs().amax()
    if not bool(off < 0.1):
        return orthonormalise(s)
    eye = torch.eye(s.shape[-1], dtype=s.dtype, device=s.device).expand_as(gram)
    # the inverse of a k x k factor near I is as good as a solve, and a product with it is faster than a solve for D columns
    return (torch.linalg.solve_triangular(torch.linalg.cholesky(gram), eye, upper=False) @ s.mT).mT


def error(s: Tensor) -> float:
    """Largest entry of |s^T s - I|."""
    s = s.detach()
    return float((s.mT @ s - torch.eye(s.shape[-1], dtype=s.dtype, device=s.device)).abs().max())


def projector(s: Tensor) -> Tensor:
    """The orthogonal projection on the subspace, s s^T (..., D, D): the same for all its frames."""
    return s @ s.mT


def tangent(s: Tensor, a: Tensor) -> Tensor:
    """(I - s s^T) a: orthogonal projection of a (..., D, k) on the tangent space at s, in horizontal lifts.

    With a the Euclidean gradient of a function of the subspace, this is its Riemannian gradient.
    """
    return (a.mT - (a.mT @ s) @ s.mT).mT


def _functions(gram: Tensor, t: float | Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """cos(t r), sin(t r) / r and r sin(t r) of r = gram^(1/2), gram = h^T h, each (..., k, k) and symmetric; t a number or (...,).

    All angles below 0.2 (||t^2 gram||_F <= 0.04): six terms of the power series, exact to 1e-17 and faster; else by eigenvalues.
    """
    time = torch.as_tensor(t, dtype=gram.dtype, device=gram.device)[..., None, None]
    x = time.square() * gram
    if bool(torch.linalg.matrix_norm(x).amax() <= 0.04):
        x2 = x @ x
        x3 = x2 @ x
        powers = torch.stack([x, x2, x3, x2 @ x2, x2 @ x3])
        weights = powers.new_tensor([SERIES_COS, SERIES_SINC])
        cosine, sinc = (weights @ powers.flatten(1)).view(2, *x.shape)
        for f in (cosine, sinc):
            f.diagonal(dim1=-2, dim2=-1).add_(1)
        quotient = time * sinc
    else:
        if not bool(x.isfinite().all()):
            raise ValueError("a direction or time on the Grassmann manifold is not finite; lower the step size")
        w, v = torch.linalg.eigh(gram)
        angles = time[..., 0] * w.clamp_min(0).sqrt()
        parts = torch.stack([angles.cos(), time[..., 0] * torch.sinc(angles / torch.pi)])
        cosine, quotient = (v * parts.unsqueeze(-2)) @ v.mT
    return cosine, quotient, gram @ quotient


def exp(s: Tensor, h: Tensor, t: float | Tensor = 1.0) -> Tensor:
    """The geodesic from s (..., D, k) with velocity h (horizontal) at time t: a frame of the subspace reached.

    s v cos(t r) v^T + u sin(t r) v^T for h = u diag(r) v^T (Edelman et al., Theorem 2.3), in the frame that is moved in parallel. It
    is a frame up to rounding; `reorthonormalise` removes what many steps add up to. `t` may be a tensor (...,), one time for each.
    """
    cosine, quotient, _ = _functions(h.mT @ h, t)
    return (cosine @ s.mT + quotient @ h.mT).mT


def exp_and_transport(s: Tensor, h: Tensor, t: float | Tensor = 1.0) -> tuple[Tensor, Tensor]:
    """(`exp`, velocity of the geodesic at time t): the velocity is h transported in parallel along it, and as long as h.

    h cos(t r) - s r sin(t r) in the notation of `exp`.
    """
    cosine, quotient, product = _functions(h.mT @ h, t)
    b, g = s.mT, h.mT
    return (cosine @ b + quotient @ g).mT, (cosine @ g - product @ b).mT


def step_(rows: Tensor, a: Tensor, t: float, velocity: Tensor | None = None, clean: bool = False) -> None:
    """In place: the frames s = rows^T move to `exp`(s, h, t) with h = `tangent`(s, a^T), without ever forming h.

    With m = a s: h^T = a - m s^T and h^T h = a a^T - m m^T. The difference has an absolute error of rounding times ||a||^2, and so has
    the result; `exp` of `tangent` is more accurate where a lies almost wholly in the subspace. On a CPU the batch goes through in
    blocks that fit into the cache.

    Parameters
    ----------
    rows, a : (..., k, D), contiguous; rows orthonormal, overwritten
    t : time
    velocity : (..., k, D), contiguous, overwritten with the velocity at the end (transposed, see `exp_and_transport`); may be `a`
    clean : re-orthonormalise what was reached
    """
    k, d = rows.shape[-2:]
    size = max(1, BLOCK // (k * d)) if rows.device.type == "cpu" else rows[..., 0, 0].numel()
    flat = [x.view(-1, k, d).split(size) for x in (rows, a, *(() if velocity is None else (velocity,)))]
    for b, e, *out in zip(*flat, strict=True):
        m = e @ b.mT
        cosine, quotient, product = _functions(e @ e.mT - m @ m.mT, t)
        moved = (cosine - quotient @ m) @ b
        carried = torch.baddbmm(-(cosine @ m + product) @ b, cosine, e) if out else None
        if clean:
            b.copy_(reorthonormalise(moved.baddbmm_(quotient, e).mT).mT)
        else:
            torch.baddbmm(moved, quotient, e, out=b)
        if carried is not None:
            out[0].copy_(carried)


def log(s: Tensor, target: Tensor) -> Tensor:
    """The horizontal h (..., D, k) with exp(s, h) = target as subspaces, of least length.

    u arctan(r) v^T for (I - s s^T) target (s^T target)^-1 = u diag(r) v^T. ValueError where a principal angle is a right angle:
    there the shortest geodesic is not unique.
    """
    inner = s.mT @ target
    if bool((torch.linalg.svdvals(inner)[..., -1] < 10 * torch.finfo(s.dtype).eps).any()):
        raise ValueError("a principal angle between s and target is a right angle: the shortest geodesic is not unique")
    u, r, vt = torch.linalg.svd(torch.linalg.solve(inner.mT, tangent(s, target).mT).mT, full_matrices=False)
    return (u * r.arctan().unsqueeze(-2)) @ vt


def principal_angles(a: Tensor, b: Tensor) -> Tensor:
    """Principal angles of the subspaces of frames a (..., D, k) and b (..., D, m), ascending, (..., min(k, m)), in [0, pi/2].

    Cosines are the singular values of a^T b, sines those of (I - a a^T) b; each angle is taken from the one that is accurate there
    (Bjorck and Golub, Math. Comp. 1973), so small angles keep their digits.
    """
    if a.shape[-1] < b.shape[-1]:
        a, b = b, a
    cosines = torch.linalg.svdvals(a.mT @ b).clamp(0, 1)
    sines = torch.linalg.svdvals(tangent(a, b)).flip(-1).clamp(0, 1)
    return torch.where(cosines.square() > 0.5, sines.asin(), cosines.acos())


def distance(a: Tensor, b: Tensor) -> Tensor:
    """Length of the shortest geodesic between subspaces of one dimension, (...,): root of the sum of squared principal angles."""
    return torch.linalg.vector_norm(principal_angles(a, b), dim=-1)


def chordal(a: Tensor, b: Tensor) -> Tensor:
    """Chordal (projection) distance (...,): ||a a^T - b b^T||_F / sqrt 2 = root of the sum of squared sines of principal angles."""
    return torch.linalg.vector_norm(principal_angles(a, b).sin(), dim=-1)
