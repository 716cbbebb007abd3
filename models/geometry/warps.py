"""Images moved by affine maps and homographies of the plane: one bilinear resampling, exact coordinates, batched, differentiable.

Coordinates are pixels from the centre of the image, x to the right and y down, with pixel centres at half-integers for an even size.
A matrix maps source places to target places; beyond the source there is 0.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import grid_sample


def centres(size: int, like: Tensor) -> Tensor:
    """Pixel centres of a square image, row by row: (size * size, 2)."""
    a = torch.arange(size, dtype=like.dtype, device=like.device) - (size - 1) / 2
    return torch.stack([a.expand(size, size), a[:, None].expand(size, size)], -1).flatten(0, 1)


def homogeneous(a: Tensor, t: Tensor | None = None) -> Tensor:
    """[[A, t], [0, 1]] (N, 3, 3) of A (N, 2, 2) and t (N, 2), 0 where not given."""
    h = torch.zeros(len(a), 3, 3, dtype=a.dtype, device=a.device)
    h[:, :2, :2] = a
    h[:, 2, 2] = 1
    if t is not None:
        h[:, :2, 2] = t
    return h


def project(h: Tensor, points: Tensor) -> Tensor:
    """Places (N, P, 2) to which H (N, 3, 3) sends `points` (P, 2) or (N, P, 2). ValueError for a point at infinity or behind it."""
    points = points.expand(len(h), *points.shape[-2:])
    q = torch.cat([points, torch.ones_like(points[..., :1])], -1) @ h.mT
    if not bool((q[..., 2] > 0).all()):
        raise ValueError("the homography sends a point of the image to infinity; move the corners less")
    return q[..., :2] / q[..., 2:]


def resample(images: Tensor, h: Tensor, size: int | None = None) -> Tensor:
    """Images (N, C, w, w) moved by H (N, 3, 3) onto a canvas (N, C, size, size): value at p is that of the source at H^-1 p.

    Differentiable in H. Raises ValueError for images that are not square, or a singular, wrongly shaped or not finite H.
    """
    if images.dim() != 4 or images.shape[-1] != images.shape[-2]:
        raise ValueError(f"images have shape {tuple(images.shape)}; (N, channels, w, w) is needed")
    if h.shape != (len(images), 3, 3):
        raise ValueError(
            f"h has shape {tuple(h.shape)}; one matrix of 3 x 3 for each of {len(images)} images is needed"
        )
    if not bool(torch.isfinite(h).all()) or not bool((torch.linalg.det(h.detach()).abs() > 1e-12).all()):
        raise ValueError("h holds NaN, Inf or a singular matrix; give invertible maps")
    w, size = images.shape[-1], size or images.shape[-1]
    p = centres(size, h)
    q = torch.cat([p, torch.ones_like(p[:, :1])], -1) @ torch.linalg.inv(h).mT
    front = q[..., 2:] > 0  # beyond the horizon of a homography there is nothing
    source = q[..., :2] / torch.where(front, q[..., 2:], 1.0) * (2 / w)
    source = torch.where(front, source, torch.full_like(source, 10.0))
    grid = source.reshape(len(h), size, size, 2).to(images.dtype)
    return grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def random_affine(
    count: int, rotation: float, shear: float, scale: tuple[float, float], generator: torch.Generator | None = None
) -> Tensor:
    """Linear maps R(phi) [[1, k], [0, 1]] diag(s_x, s_y) (count, 2, 2), float64: phi uniform in +-rotation (degrees), k in +-shear,
    s_x and s_y independently in the interval `scale`."""
    u = torch.rand(count, 4, generator=generator, dtype=torch.float64)
    phi, k = (2 * u[:, 0] - 1) * math.radians(rotation), (2 * u[:, 1] - 1) * shear
    s = scale[0] + (scale[1] - scale[0]) * u[:, 2:]
    c, d = phi.cos(), phi.sin()
    turn = torch.stack([torch.stack([c, -d], -1), torch.stack([d, c], -1)], -2)
    slant = torch.eye(2, dtype=torch.float64).repeat(count, 1, 1)
    slant[:, 0, 1] = k
    return turn @ slant @ torch.diag_embed(s)


def random_homography(count: int, jitter: float, size: float, generator: torch.Generator | None = None) -> Tensor:
    """Homographies (count, 3, 3), float64, that send the corners of a square of this size to places uniform in +-jitter * size
    around them. jitter < 1/4 keeps the image of the square convex, and so everything in front of the horizon."""
    if not 0 <= jitter < 0.25:
        raise ValueError(f"jitter={jitter} must be at least 0 and below 1/4, where corners begin to fold over")
    half = size / 2
    corner = torch.tensor([[-half, -half], [half, -half], [half, half], [-half, half]], dtype=torch.float64)
    u = torch.rand(count, 4, 2, generator=generator, dtype=torch.float64)
    return four_points(corner, corner + (2 * u - 1) * jitter * size)


def four_points(source: Tensor, target: Tensor) -> Tensor:
    """The homographies (N, 3, 3) with last entry 1 that send four points (4, 2) to `target` (N, 4, 2): a linear system of 8 equations."""
    n = len(target)
    p = torch.cat([source, torch.ones_like(source[:, :1])], -1).expand(n, 4, 3)
    none = torch.zeros_like(p)
    x, y = target[..., :1], target[..., 1:]
    rows = [torch.cat([p, none, -x * p[..., :2]], -1), torch.cat([none, p, -y * p[..., :2]], -1)]
    solution = torch.linalg.solve(torch.cat(rows, 1), torch.cat([x, y], 1)).squeeze(-1)
    return torch.cat([solution, torch.ones_like(solution[:, :1])], -1).unflatten(-1, (3, 3))


def room(images: Tensor, a: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Smallest and largest translation (N, 2) that keep all ink (values above 0) of images moved by A (N, 2, 2) on a canvas.

    Where the ink does not fit, both are the translation that centres it. A blank image may go nowhere: 0.
    """
    w = images.shape[-1]
    ink = images.flatten(2).amax(1) > 0
    moved = centres(w, a) @ a.mT  # (N, w * w, 2)
    reach = a.abs().sum(-1) / 2  # of a pixel's corners from its centre
    far = torch.finfo(a.dtype).max
    low = torch.where(ink[..., None], moved, far).amin(1) - reach
    high = torch.where(ink[..., None], moved, -far).amax(1) + reach
    least, most = -size / 2 - low, size / 2 - high
    middle = (least + most) / 2
    least, most = torch.minimum(least, middle), torch.maximum(most, middle)
    tight = -size / 2 - low > size / 2 - high
    blank = ~ink.any(1, keepdim=True)
    least, most = torch.where(tight, middle, least), torch.where(tight, middle, most)
    return torch.where(blank, 0.0, least), torch.where(blank, 0.0, most)
