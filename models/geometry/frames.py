"""Frames of point clouds, and the wrapper that makes any network invariant or equivariant by averaging over them.

Puny et al., ICLR 2022 (arXiv 2110.03336): a frame is a map F from inputs to finite subsets of a group with F(g x) = g F(x);
then <f>(x) = mean over F(x) of f(g^-1 x) is invariant and mean of g f(g^-1 x) is equivariant.
"""

from __future__ import annotations

import itertools
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

GROUPS = ("O", "SO", "E", "SE")
GAP = 1e-4  # eigenvalues closer than this, relative to the largest, make the frame ambiguous


class DegenerateSpectrum(UserWarning):
    """Some clouds have equal principal moments: their frame is not unique and the average is not exactly symmetric."""


class Frames(NamedTuple):
    """`rotation` (B, F, d, d), columns are the axes of a frame; `center` (B, d); `degenerate` (B,), True where the frame of a
    cloud is not unique. Framed points are O^T (x - t), and y goes back as O y + t."""

    rotation: Tensor
    center: Tensor
    degenerate: Tensor


def parse_group(group: str) -> tuple[str, int]:
    """("SE", 3) of "SE(3)"; ("S", 0) of "S_n". Raises ValueError for anything else."""
    if group == "S_n":
        return "S", 0
    match = re.fullmatch(r"(O|SO|E|SE)\((\d+)\)", group)
    if not match or int(match[2]) < 1:
        raise ValueError(f"group {group!r} is unknown; use E(d), SE(d), O(d) or SO(d) with a number for d, or S_n")
    return match[1], int(match[2])


def check_cloud(x: Tensor, dim: int | None = None) -> None:
    """Raise ValueError, in one sentence, unless x (B, n, d) is a finite batch of clouds with at least d points."""
    if x.dim() != 3:
        raise ValueError(f"clouds have shape {tuple(x.shape)}; give (batch, points, dimensions)")
    _, n, d = x.shape
    if dim is not None and d != dim:
        raise ValueError(f"points have {d} coordinates and the group acts on {dim}; choose the group to fit")
    if n < d:
        raise ValueError(f"clouds of {n} points in {d} dimensions have no unique frame; give at least {d} points")
    if not torch.isfinite(x).all():
        row = int((~torch.isfinite(x)).flatten(1).any(1).nonzero()[0, 0])
        raise ValueError(f"cloud {row} has a coordinate that is not finite (NaN or Inf); drop or repair it")


def describe_degenerate(values: Tensor, gap: float = GAP) -> str:
    """Why the frame of one cloud with ascending moments `values` (d,) is not unique, in words."""
    top = float(values[-1])
    if top <= 0 or not len(values):
        return "its points coincide"
    small = int((values <= gap * top).sum())
    if small >= len(values) - 1 and small >= 2:
        return "its points lie on a line"
    return "two of its principal moments are equal"


def second_moment(x: Tensor, centred: bool) -> tuple[Tensor, Tensor]:
    """C = sum_i (x_i - t)(x_i - t)^T (B, d, d) and t (B, d): the mean of the points, or 0 where `centred` is False."""
    t = x.mean(1) if centred else x.new_zeros(x.shape[0], x.shape[2])
    y = x - t[:, None]
    return y.mT @ y, t


def ambiguous(values: Tensor, gap: float = GAP) -> Tensor:
    """(B,) whether ascending eigenvalues (B, d) of a second moment are closer than `gap` times the largest somewhere."""
    if values.shape[-1] == 1:
        return values[:, 0] <= 0
    top = values[:, -1:].clamp_min(torch.finfo(values.dtype).tiny)
    return (values.diff(dim=-1) / top).amin(-1) < gap


@torch.no_grad()
def euclidean_frames(x: Tensor, group: str, gap: float = GAP) -> Frames:
    """Frames of clouds x (B, n, d) under E(d), SE(d) (moved), O(d), SO(d) (origin fixed): eigenvectors with all signs.

    2^d elements, or the 2^(d-1) of determinant 1 for SO and SE. No gradient passes: the derivative of eigenvectors has
    1 / (lambda_i - lambda_j). `degenerate` compares neighbouring eigenvalues with `gap` times the largest.

    Raises
    ------
    ValueError : unknown group, fewer than d points, a coordinate that is not finite.
    """
    kind, d = parse_group(group)
    if kind == "S":
        raise ValueError("S_n acts on graphs; use graph_frames of models/geometry/graph_frames.py")
    check_cloud(x, d)
    moment, center = second_moment(x, kind in ("E", "SE"))
    values, vectors = torch.linalg.eigh(moment)
    signs = torch.tensor(list(itertools.product((1.0, -1.0), repeat=d)), dtype=x.dtype, device=x.device)
    if kind in ("SO", "SE"):  # fix the last axis to determinant 1, then keep the sign patterns that leave it there
        vectors = vectors.clone()
        vectors[..., -1] *= torch.linalg.det(vectors).sign()[:, None]
        signs = signs[signs.prod(1) > 0]
    return Frames(vectors[:, None] * signs[:, None, :], center, ambiguous(values, gap))


def to_frames(frames: Frames, x: Tensor, centred: bool = True) -> Tensor:
    """O^T (x - t), or O^T x for vectors (centred False): x (B, ..., d) -> (B, F, ..., d)."""
    shape = x.shape
    x = x.reshape(shape[0], -1, shape[-1])
    if centred:
        x = x - frames.center[:, None]
    return (x[:, None] @ frames.rotation).reshape(shape[0], frames.rotation.shape[1], *shape[1:])


def from_frames(frames: Frames, y: Tensor, centred: bool = False) -> Tensor:
    """O y, with + t where `centred`: y (B, F, ..., d) -> (B, F, ..., d)."""
    shape = y.shape
    z = y.reshape(shape[0], shape[1], -1, shape[-1]) @ frames.rotation.mT
    if centred:
        z = z + frames.center[:, None, None]
    return z.reshape(shape)


POINTS_PER_CALL = 4096  # on a CPU: what a few hundred features of a point leave of the cache


def _clouds_per_call(backbone: Callable[..., Tensor], x: Tensor) -> int | None:
    """Framed clouds of one call of the backbone; None for all of them.

    A GPU takes all at once. On a CPU arrays beyond the cache are slower than the same work in pieces of the size of the
    input, so large batches are cut; never below the batch itself, nor where batch statistics are being taken.
    """
    if x.device.type != "cpu":
        return None
    modules = backbone.modules() if isinstance(backbone, nn.Module) else []
    if any(isinstance(m, nn.modules.batchnorm._BatchNorm) and m.training for m in modules):
        return None
    return max(len(x), POINTS_PER_CALL // x.shape[1])


def _in_calls(
    backbone: Callable[..., Tensor],
    count: int | None,
    points: Tensor,
    vectors: Sequence[Tensor],
    features: Mapping[str, Tensor],
) -> Tensor:
    """backbone(points, *vectors, **features) in calls of `count` rows."""
    if count is None or count >= len(points):
        return backbone(points, *vectors, **features)
    cuts = range(0, len(points), count)
    return torch.cat(
        [
            backbone(
                points[i : i + count],
                *(v[i : i + count] for v in vectors),
                **{k: f[i : i + count] for k, f in features.items()},
            )
            for i in cuts
        ]
    )


def average_over(
    backbone: Callable[..., Tensor],
    frames: Frames,
    x: Tensor,
    vectors: Sequence[Tensor],
    features: Mapping[str, Tensor],
    *,
    equivariant: bool,
    positions: bool,
) -> Tensor:
    """Mean over given frames of f(g^-1 x) or g f(g^-1 x), on a batch of B |F| framed clouds."""
    size, d = frames.rotation.shape[1], x.shape[-1]
    points = to_frames(frames, x).flatten(0, 1)
    turned = [to_frames(frames, v, centred=False).flatten(0, 1) for v in vectors]
    copies = {k: v.repeat_interleave(size, 0) for k, v in features.items()}
    y = _in_calls(backbone, _clouds_per_call(backbone, x), points, turned, copies)
    y = y.reshape(len(x), size, *y.shape[1:])
    if not equivariant:
        return y.mean(1)
    if y.dim() < 3 or y.shape[-1] % d:
        raise ValueError(
            f"the backbone's output {tuple(y.shape[2:])} per cloud cannot turn with the cloud: its last axis must hold "
            f"vectors, a multiple of {d}; use mode='invariant' or another head"
        )
    arrows = y.reshape(*y.shape[:-1], y.shape[-1] // d, d)
    return from_frames(frames, arrows, positions).mean(1).reshape(len(x), *y.shape[2:])


class EuclideanFrameAveraging(nn.Module):
    """backbone(x, *vectors, **features) made invariant or equivariant under E(d), SE(d), O(d) or SO(d).

    The backbone sees all frames of all clouds as one batch of B |F| (on a CPU a large one in pieces of at least B).
    `x` (B, n, d) are positions; `vectors` (B, ..., d) turn and do not move (velocities, normals); `features` have a leading
    batch axis and do not change. Where
    mode is "equivariant" the backbone's output (B, ..., k d) is read as k vectors, which turn back and, with `positions`,
    move back. After a call `degenerate` (B,) marks the clouds whose frame is not unique.

    Raises
    ------
    ValueError : unknown group or mode; fewer than d points; NaN; an output that cannot turn; with on_degenerate="raise" a
        cloud whose points coincide, lie on a line, or have equal principal moments ("warn" says so once and goes on).
    """

    def __init__(
        self,
        backbone: nn.Module | Callable[..., Tensor],
        group: str = "E(3)",
        mode: str = "invariant",
        *,
        positions: bool = False,
        on_degenerate: str = "warn",
        gap: float = GAP,
    ) -> None:
        super().__init__()
        kind, self.dim = parse_group(group)
        if mode not in ("invariant", "equivariant"):
            raise ValueError(f"mode {mode!r} is unknown; use invariant or equivariant")
        if positions and mode == "invariant":
            raise ValueError("positions=True needs mode='equivariant': an invariant output cannot move with the cloud")
        if positions and kind in ("O", "SO"):
            raise ValueError(f"positions=True needs E(d) or SE(d): {group} leaves the origin fixed and moves nothing")
        if on_degenerate not in ("warn", "raise", "ignore"):
            raise ValueError(f"on_degenerate {on_degenerate!r} is unknown; use warn, raise or ignore")
        self.backbone, self.group, self.mode, self.gap = backbone, group, mode, gap
        self.positions, self.on_degenerate = positions, on_degenerate
        self.degenerate: Tensor | None = None

    def forward(self, x: Tensor, *vectors: Tensor, **features: Tensor) -> Tensor:
        frames = euclidean_frames(x.detach(), self.group, self.gap)
        self.degenerate = frames.degenerate
        self._report(x)
        return average_over(
            self.backbone,
            frames,
            x,
            vectors,
            features,
            equivariant=self.mode == "equivariant",
            positions=self.positions,
        )

    def _report(self, x: Tensor) -> None:
        if self.on_degenerate == "ignore" or self.degenerate is None or not self.degenerate.any():
            return
        row = int(self.degenerate.nonzero()[0, 0])
        moment, _ = second_moment(x[row : row + 1].detach(), parse_group(self.group)[0] in ("E", "SE"))
        values = torch.linalg.eigvalsh(moment)[0].clamp_min(0)
        values = torch.where(values > 1e-24 * (x[row].detach() ** 2).sum(), values, 0.0)
        sentence = (
            f"{int(self.degenerate.sum())} of {len(x)} clouds have no unique frame, cloud {row} because "
            f"{describe_degenerate(values, self.gap)}: their output is not exactly {self.mode}; drop or perturb them"
        )
        if self.on_degenerate == "raise":
            raise ValueError(sentence)
        warnings.warn(sentence, DegenerateSpectrum, stacklevel=3)


def FrameAveraging(backbone: Any, group: str = "E(3)", mode: str = "invariant", **options: Any) -> nn.Module:
    """The frame average of any backbone: `EuclideanFrameAveraging` for E(d), SE(d), O(d), SO(d), and for S_n
    `PermutationFrameAveraging` of models/geometry/graph_frames.py (graphs, permutations of the vertices)."""
    if parse_group(group)[0] == "S":
        from models.geometry.graph_frames import PermutationFrameAveraging

        return PermutationFrameAveraging(backbone, mode=mode, **options)
    return EuclideanFrameAveraging(backbone, group, mode, **options)


def random_orthogonal(
    count: int, d: int, generator: torch.Generator | None = None, *, proper: bool = False, **like: Any
) -> Tensor:
    """Haar-distributed orthogonal matrices (count, d, d), of determinant 1 where `proper`; QR of Gaussian matrices."""
    gauss = torch.randn(count, d, d, generator=generator, dtype=torch.float64)
    q, r = torch.linalg.qr(gauss)
    q = q * r.diagonal(dim1=-2, dim2=-1).sign()[:, None, :]
    if proper:
        q[..., 0] *= torch.linalg.det(q)[:, None]
    return q.to(**like) if like else q


class GroupAveraging(nn.Module):
    """The baseline: the mean over `samples` Haar-random rotations (and reflections) of the centred cloud, drawn at every call.

    Unbiased, and invariant (or equivariant) only in the limit; arguments as for `EuclideanFrameAveraging`.
    """

    def __init__(
        self, backbone: Any, group: str = "E(3)", mode: str = "invariant", *, samples: int = 8, positions: bool = False
    ) -> None:
        super().__init__()
        self.kind, self.dim = parse_group(group)
        if self.kind == "S":
            raise ValueError("S_n acts on graphs; use PermutationFrameAveraging with average='group'")
        if mode not in ("invariant", "equivariant"):
            raise ValueError(f"mode {mode!r} is unknown; use invariant or equivariant")
        if samples < 1:
            raise ValueError(f"samples={samples}: a mean needs at least one group element")
        self.backbone, self.mode, self.samples, self.positions = backbone, mode, samples, positions

    def forward(self, x: Tensor, *vectors: Tensor, **features: Tensor) -> Tensor:
        check_cloud(x, self.dim)
        q = random_orthogonal(
            len(x) * self.samples, self.dim, proper=self.kind in ("SO", "SE"), dtype=x.dtype, device=x.device
        ).reshape(len(x), self.samples, self.dim, self.dim)
        center = x.mean(1) if self.kind in ("E", "SE") else torch.zeros_like(x[:, 0])
        drawn = Frames(q, center.detach(), torch.zeros(len(x), dtype=torch.bool, device=x.device))
        return average_over(
            self.backbone, drawn, x, vectors, features, equivariant=self.mode == "equivariant", positions=self.positions
        )
