"""Matrix Lie groups GL+(n), SL(n), SO(n) and the affine group: bases, decompositions, global charts, invariant measures.

The chart of Mironenco and Forre (ICLR 2024): a matrix of positive determinant is g = P R, P symmetric positive definite, R a
rotation, and its coordinates are those of log P and of the angle of R. It is defined where the matrix logarithm is not, since
no real logarithm of g itself is taken. Inner product of matrices: <X, Y> = tr(X^T Y). Everything is batched over leading
dimensions; no function here needs a gradient in the networks that use it.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import torch
from torch import Tensor

from models.geometry.rotations import procrustes
from models.geometry.rotations_n import haar_n

GROUPS = ("gl", "sl", "so")
SAMPLERS = ("equidistant", "shifted", "uniform", "haar")
MINUS_ZERO = 1e-6  # sines smaller than this count as 0, lest a rotation by -0 gets the angle 2 pi

# ------------------------------------------------------------------------------------------ algebras


def parse(group: str) -> tuple[str, int]:
    """ "sl2" -> ("sl", 2). ValueError for other groups."""
    kind, size = group[:2], group[2:]
    if kind not in GROUPS or not size.isdigit() or int(size) < 2:
        raise ValueError(f"group {group!r} is unknown; use gl, sl or so followed by a dimension of 2 or more, e.g. sl2")
    return kind, int(size)


@functools.cache
def _basis(group: str) -> Tensor:
    kind, n = parse(group)
    r = math.sqrt(0.5)

    def single(entries: dict[tuple[int, int], float]) -> Tensor:
        e = torch.zeros(n, n, dtype=torch.float64)
        for place, value in entries.items():
            e[place] = value
        return e

    pairs = [(i, j) for i in range(n) for j in range(i + 1, n)]
    even = {(i, j): single({(i, j): r, (j, i): r}) for i, j in pairs}
    odd = [single({(i, j): -r, (j, i): r}) for i, j in pairs]
    if kind == "so":
        return torch.stack(odd)
    if kind == "gl":
        upper = [single({(i, i): 1.0}) if i == j else even[i, j] for i in range(n) for j in range(i, n)]
        return torch.stack([*upper, *odd])
    steps = [(k, 1 / math.sqrt(k * (k + 1))) for k in range(1, n)]
    diagonal = [single({(i, i): (s if i < k else -k * s) for i in range(k + 1)}) for k, s in steps]
    return torch.stack([*even.values(), *odd, *diagonal])


def basis(group: str, like: Tensor | None = None) -> Tensor:
    """Orthonormal basis (dim, n, n) of the Lie algebra, float64 or of the dtype and device of `like`.

    gl: symmetric matrices by upper triangle, then antisymmetric ones; sl: off-diagonal symmetric, antisymmetric, traceless
    diagonal; so: antisymmetric, with +1/sqrt 2 below the diagonal.
    """
    b = _basis(group)
    return b.clone() if like is None else b.to(like)


def dimension(group: str) -> int:
    """Dimension of the group: n^2, n^2 - 1 or n (n - 1) / 2."""
    return len(_basis(group))


@functools.cache
def is_symmetric(group: str) -> tuple[bool, ...]:
    """Which elements of the basis are symmetric: coordinates of log P; the others are those of log R."""
    b = _basis(group)
    return tuple(bool(torch.equal(e, e.mT)) for e in b)


def hat(v: Tensor, group: str) -> Tensor:
    """Coordinates (..., dim) -> algebra element sum v_i E_i (..., n, n)."""
    b = basis(group, v)
    if v.shape[-1] != len(b):
        raise ValueError(f"v has {v.shape[-1]} coordinates; {group} has dimension {len(b)}")
    return torch.einsum("...k,kij->...ij", v, b)


def vee(x: Tensor, group: str) -> Tensor:
    """Inner products (..., dim) of x (..., n, n) with the basis: the inverse of `hat`, and a projection outside the algebra."""
    return torch.einsum("...ij,kij->...k", _square(x, "x", parse(group)[1]), basis(group, x))


# ------------------------------------------------------------------------------------------ decompositions


class Polar(NamedTuple):
    """g = P R: `log_p` (..., n, n) symmetric, `p` = exp(log_p), `r` a rotation."""

    log_p: Tensor
    p: Tensor
    r: Tensor


def polar(g: Tensor) -> Polar:
    """Polar (Cartan) decomposition g = P R of matrices of positive determinant (..., n, n).

    From the singular values, g = U S W^T: P = U S U^T, R = U W^T. That equals P = (g g^T)^(1/2) without squaring the condition
    number of g. Raises ValueError for NaN, Inf or a determinant that is not positive.
    """
    u, s, w = _svd(g)
    return Polar((u * s.log().unsqueeze(-2)) @ u.mT, (u * s.unsqueeze(-2)) @ u.mT, u @ w)


def cartan(g: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """g = K1 diag(a) K2 with rotations K1, K2 and a > 0 descending (..., n): the K A K decomposition. Errors as `polar`."""
    u, s, w = _svd(g)
    flip = (
        torch.linalg.det(u).sign().unsqueeze(-1)
    )  # det u = det w, since det g > 0: one common reflection makes both proper
    u, w = u.clone(), w.clone()
    u[..., :, -1], w[..., -1, :] = u[..., :, -1] * flip, w[..., -1, :] * flip
    return u, s, w


def iwasawa(g: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """g = K diag(a) N: rotation K, a > 0 (..., n), N upper triangular with unit diagonal. Errors as `polar`.

    For det g = 1 the product of a is 1: A and N generate the solvable group that acts simply transitively on G / K.
    """
    _positive(g)
    q, r = torch.linalg.qr(g)
    d = r.diagonal(dim1=-2, dim2=-1)
    sign, a = d.sign(), d.abs()
    return q * sign.unsqueeze(-2), a, r * (sign / a).unsqueeze(-1)


def rotation_log(r: Tensor) -> Tensor:
    """Antisymmetric logarithm (..., n, n) of rotations with angles in (-pi, pi), n = 2 in [0, 2 pi) (see `angle`).

    n > 2: R^(1/4) by two polar factors of I + R, whose angles are at most pi / 4; there the sine is injective, and
    log R = 4 asin of its antisymmetric part, a function of a Hermitian matrix. ValueError at rotations by pi, where the logarithm is
    not unique.
    """
    n = r.shape[-1]
    if n == 2:
        return angle(r)[..., None, None] * math.sqrt(2) * basis("so2", r)[0]
    eye = torch.eye(n, dtype=r.dtype, device=r.device)
    q = procrustes(eye + procrustes(eye + r))
    values, vectors = torch.linalg.eigh((q - q.mT) / 2j)  # Hermitian: eigenvalues are the sines
    log = 4 * ((vectors * (1j * values.clamp(-1, 1).asin().to(vectors.dtype)).unsqueeze(-2)) @ vectors.mH).real
    if bool(((torch.linalg.matrix_exp(log) - r).abs().amax((-2, -1)) > math.sqrt(torch.finfo(r.dtype).eps / 2)).any()):
        raise ValueError("r holds a rotation by pi, whose logarithm is not unique; perturb it")
    return log


def angle(r: Tensor) -> Tensor:
    """Angle in [0, 2 pi) of rotations of the plane (..., 2, 2); sines below 1e-6 in size count as 0."""
    sine = r[..., 1, 0]
    sine = torch.where(sine.abs() < MINUS_ZERO, torch.zeros_like(sine), sine)
    return torch.remainder(torch.atan2(sine, r[..., 0, 0]), 2 * math.pi)


def plane_rotation(theta: Tensor) -> Tensor:
    """Rotations (..., 2, 2) by theta, in radians."""
    c, s = theta.cos(), theta.sin()
    return torch.stack([torch.stack([c, -s], -1), torch.stack([s, c], -1)], -2)


# ------------------------------------------------------------------------------------------ the chart


def xi_inverse(g: Tensor, group: str) -> Tensor:
    """Global coordinates (..., dim) of g: those of log P in the symmetric, of R in the antisymmetric directions.

    In the plane the antisymmetric coordinate is the angle in [0, 2 pi) itself, as in the paper's code; the matrix logarithm
    would have sqrt 2 times that, the length of the unit rotation in this metric. For n > 2 it is vee(log R).
    """
    kind, n = parse(group)
    log_p, _, r = polar(_square(g, "g", n))
    odd = rotation_log(r) / (math.sqrt(2) if n == 2 else 1.0)
    return vee(odd if kind == "so" else log_p + odd, group)


def xi(v: Tensor, group: str) -> Tensor:
    """The group element exp(symmetric part) exp(antisymmetric part) of coordinates (..., dim): the inverse of `xi_inverse`."""
    n = parse(group)[1]
    even = torch.tensor(is_symmetric(group), device=v.device)
    p = torch.linalg.matrix_exp(hat(v * even, group))
    if n == 2:
        return p @ plane_rotation(v[..., ~even].squeeze(-1))
    return p @ torch.linalg.matrix_exp(hat(v * ~even, group))


# ------------------------------------------------------------------------------------------ sampling and measures


class Samples(NamedTuple):
    """Group elements `g` (m, n, n), their inverses, and `density` (m,): of the law of g with respect to Haar measure, up to a
    factor that all have in common."""

    g: Tensor
    inverse: Tensor
    density: Tensor


def sample(
    m: int,
    group: str,
    *,
    variance: float = 0.1,
    sampler: str = "equidistant",
    both_ends: bool = False,
    generator: torch.Generator | None = None,
) -> Samples:
    """m elements g = exp(s / 2) R in float64: s normal with this variance in symmetric coordinates, R by `sampler`.

    equidistant: angles -pi + 2 pi j / m, or linspace(-pi, pi, m) with `both_ends`, whose ends are one rotation twice; shifted: these
    turned by one random angle, so that every rotation is equally likely; uniform: independent angles; haar: QR of normal
    matrices, for any n. Inverses are R^T exp(-s / 2), with no matrix inverted.
    """
    kind, n = parse(group)
    if m < 1:
        raise ValueError(f"m={m} samples; take at least 1")
    if not variance >= 0:
        raise ValueError(f"variance={variance} is negative or NaN; take 0 or more")
    if sampler not in SAMPLERS:
        raise ValueError(f"sampler {sampler!r} is unknown; use {', '.join(SAMPLERS)}")
    if sampler != "haar" and n != 2:
        raise ValueError(f"sampler={sampler} is for the plane; use haar for n={n}")
    even = torch.tensor(is_symmetric(group))
    v = math.sqrt(variance) * torch.randn(m, int(even.sum()), generator=generator, dtype=torch.float64)
    coordinates = torch.zeros(m, len(even), dtype=torch.float64)
    coordinates[:, even] = v
    values, vectors = torch.linalg.eigh(hat(coordinates, group) / 2)
    root, inverse_root = ((vectors * (e * values).exp().unsqueeze(-2)) @ vectors.mT for e in (1, -1))
    r = _rotations(m, n, sampler, both_ends, generator)
    density = torch.ones(m, dtype=torch.float64)
    if variance > 0 and kind != "so":
        density = (-v.square().sum(-1) / (2 * variance)).exp() / polar_jacobian(values)
    return Samples(root @ r, r.mT @ inverse_root, density)


def _rotations(m: int, n: int, sampler: str, both_ends: bool, generator: torch.Generator | None) -> Tensor:
    if sampler == "haar":
        return haar_n(m, n, generator)
    if sampler == "uniform":
        return plane_rotation((2 * torch.rand(m, generator=generator, dtype=torch.float64) - 1) * math.pi)
    if both_ends:
        theta = torch.linspace(-math.pi, math.pi, m, dtype=torch.float64)
    else:
        theta = -math.pi + 2 * math.pi * torch.arange(m, dtype=torch.float64) / m
    if sampler == "shifted":
        theta = theta + 2 * math.pi * torch.rand(1, generator=generator, dtype=torch.float64)
    return plane_rotation(theta)


def polar_jacobian(values: Tensor) -> Tensor:
    """Haar measure of g = exp(X) R is J dX dR with J = prod over i < j of sinh(|x_i - x_j|) / |x_i - x_j|.

    values (..., n): the eigenvalues x of X = log P; dX is Lebesgue measure on symmetric matrices, dR uniform. J >= 1, so that a law
    that is Lebesgue in X sees too little of large P.
    """
    i, j = torch.triu_indices(values.shape[-1], values.shape[-1], 1, device=values.device)
    gap = (values[..., i] - values[..., j]).abs()
    small = gap < 1e-4
    safe = torch.where(small, torch.ones_like(gap), gap)
    return torch.where(small, 1 + gap.square() / 6, safe.sinh() / safe).prod(-1)


# ------------------------------------------------------------------------------------------ the affine group


class Affine(NamedTuple):
    """x -> A x + t: `a` (..., n, n), `t` (..., n). The semidirect product of translations and linear maps."""

    a: Tensor
    t: Tensor


def compose(left: Affine, right: Affine) -> Affine:
    """First `right`, then `left`: (A B, A s + t)."""
    return Affine(left.a @ right.a, act(left, right.t))


def inverse(element: Affine) -> Affine:
    """(A^-1, -A^-1 t), from the singular values of A. ValueError as `polar`."""
    u, s, w = _svd(element.a)
    a = (w.mT / s.unsqueeze(-2)) @ u.mT
    return Affine(a, -(a @ element.t.unsqueeze(-1)).squeeze(-1))


def act(element: Affine, x: Tensor) -> Tensor:
    """A x + t for points x (..., n)."""
    return (element.a @ x.unsqueeze(-1)).squeeze(-1) + element.t


def homogeneous(element: Affine) -> Tensor:
    """The matrix [[A, t], [0, 1]] (..., n + 1, n + 1)."""
    a, t = element
    last = torch.zeros(*a.shape[:-2], 1, a.shape[-1] + 1, dtype=a.dtype, device=a.device)
    last[..., -1] = 1
    return torch.cat([torch.cat([a, t.unsqueeze(-1)], -1), last], -2)


def affine_xi_inverse(element: Affine, group: str) -> Tensor:
    """Coordinates (..., n + dim): the translation, then those of the linear part."""
    return torch.cat([element.t, xi_inverse(element.a, group)], -1)


def affine_xi(v: Tensor, group: str) -> Affine:
    """The inverse of `affine_xi_inverse`."""
    n = parse(group)[1]
    return Affine(xi(v[..., n:], group), v[..., :n])


def left_haar_weight(element: Affine) -> Tensor:
    """1 / |det A| (...): left Haar measure of the affine group is dt dmu(A) / |det A|, mu that of the linear part."""
    return 1 / torch.linalg.det(element.a).abs()


# ------------------------------------------------------------------------------------------ checks


def _square(g: Tensor, name: str, n: int | None = None) -> Tensor:
    if g.dim() < 2 or g.shape[-1] != g.shape[-2] or (n is not None and g.shape[-1] != n):
        size = "n, n" if n is None else f"{n}, {n}"
        raise ValueError(f"{name} has shape {tuple(g.shape)}; (..., {size}) is needed")
    return g


def _positive(g: Tensor) -> None:
    _square(g, "g")
    if not g.is_floating_point():
        raise ValueError(f"g is {g.dtype}; convert it to a real floating type")
    if not bool(torch.isfinite(g).all()):
        raise ValueError("g holds NaN or Inf; remove those matrices")
    if not bool((torch.linalg.det(g) > 0).all()):
        raise ValueError("g holds a matrix whose determinant is not positive; GL+(n) is needed")


def _svd(g: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """U, S, W^T in float32 at least, also under autocast."""
    _positive(g)
    with torch.autocast(g.device.type, enabled=False):
        u, s, w = torch.linalg.svd(g if g.dtype in (torch.float32, torch.float64) else g.float())
    return u, s, w
