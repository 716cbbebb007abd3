"""Monte-Carlo convolutions on R^2 x| H, H one of SO(2), SL(2), GL+(2): lifting (Z^2 -> group) and group convolution.

With k a kernel on the group, x a place, h and g elements of H, left Haar measure dy dg / |det g| gives

    lift:   (f * k)(x, h) = sum over y of k(h^-1 (y - x)) |det h|^-1 f(y)
    group:  (f * k)(x, h) = sum over g and y of k(h^-1 (y - x), h^-1 g) |det g|^-1 f(y, g)

on samples of H. There is no 1 / (number of samples): the normalisation after each layer has no use for it. Feature maps are
(N, channels, samples, height, width); coordinates are (x, y), x to the right and y down, the kernel window being [-1, 1]^2.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d

from models.geometry import lie
from models.geometry.lie import Samples
from models.lie_decomposition.siren import Siren

ANGLES = ("chart", "circle")


def pixel_grid(k: int, like: Tensor) -> Tensor:
    """Pixel centres (2 i + 1) / k - 1 of the kernel window: (k * k, 2), row by row, each (x, y)."""
    a = (2 * torch.arange(k, dtype=like.dtype, device=like.device) + 1) / k - 1
    return torch.stack([a.expand(k, k), a[:, None].expand(k, k)], -1).flatten(0, 1)


def mask(points: Tensor, group: str, coordinates: Tensor | None = None) -> Tensor:
    """Weight of each argument of the kernel: gl: sigmoid(2 (1 - |.|)), of all coordinates; else 1 inside the unit disk, 0 outside."""
    if group.startswith("gl"):
        every = points if coordinates is None else torch.cat([points, coordinates], -1)
        return torch.sigmoid(2 * (1 - every.norm(dim=-1)))
    return (points.norm(dim=-1) <= 1).to(points)


class _Convolution(nn.Module):
    """What both layers share: the kernel network and its grid."""

    def __init__(self, c_in: int, c_out: int, kernel: int, group: str, padding: int, arguments: int, **siren: float):
        super().__init__()
        if lie.parse(group)[1] != 2:
            raise ValueError(f"group {group!r} does not act on images; use so2, sl2 or gl2")
        if kernel < 1 or c_in < 1 or c_out < 1:
            raise ValueError(f"kernel={kernel}, c_in={c_in}, c_out={c_out}: all must be 1 or more")
        self.c_in, self.c_out, self.kernel, self.group, self.padding = c_in, c_out, kernel, group, padding
        self.siren = Siren(arguments, c_in * c_out, fan_in=c_in * kernel**2, **siren)  # type: ignore[arg-type]

    def _window(self, inverse: Tensor) -> Tensor:
        """h^-1 x for every sample and pixel: (m, k * k, 2)."""
        return torch.einsum("mab,pb->mpa", inverse, pixel_grid(self.kernel, inverse))

    def _expect(self, x: Tensor, dims: int) -> None:
        names = "(N, channels, height, width)" if dims == 4 else "(N, channels, samples, height, width)"
        if x.dim() != dims or x.shape[1] != self.c_in:
            raise ValueError(f"x has shape {tuple(x.shape)}; {names} with {self.c_in} channels is needed")
        if min(x.shape[-2:]) + 2 * self.padding < self.kernel:
            raise ValueError(
                f"x has {tuple(x.shape[-2:])} pixels, fewer than the kernel of {self.kernel}; enlarge the images"
            )


class LiftingConv(_Convolution):
    """Images (N, c_in, h, w) -> functions on samples of the group (N, c_out, m, h', w')."""

    def __init__(self, c_in: int, c_out: int, kernel: int = 5, group: str = "sl2", padding: int = 0, **siren: float):
        super().__init__(c_in, c_out, kernel, group, padding, 2, **siren)

    def weights(self, out: Samples) -> Tensor:
        """Kernel values (c_out, m, c_in, k, k)."""
        points = self._window(out.inverse)
        w = self.siren(points) * mask(points, self.group).unsqueeze(-1)
        if self.group.startswith("gl"):
            w = w * torch.linalg.det(out.inverse).abs()[:, None, None]
        return w.unflatten(-1, (self.c_out, self.c_in)).permute(2, 0, 3, 1).unflatten(-1, (self.kernel, self.kernel))

    def forward(self, x: Tensor, out: Samples) -> Tensor:
        self._expect(x, 4)
        y = conv2d(x, self.weights(out).flatten(0, 1), padding=self.padding)
        return y.unflatten(1, (self.c_out, len(out.g)))


class GroupConv(_Convolution):
    """Functions on samples `into` (N, c_in, n, h, w) -> functions on samples `out` (N, c_out, m, h', w').

    `angle`: chart gives the kernel network the angle in [0, 2 pi) of the global chart, so that kernels jump where h^-1 g passes the
    identity; circle gives it the cosine and sine, so that they are continuous on the group, and measures the angle from -pi to pi in the
    mask. `parity`: gl divides by |det g| indexed along the output samples, as the released code does; that is a measure only where
    both sets of samples are the same. `importance`: input samples count by the inverse of their density, mean weight 1, which makes
    the sum an estimate of the Haar integral.
    """

    def __init__(
        self, c_in: int, c_out: int, kernel: int = 5, group: str = "sl2", padding: int = 0, *,
        angle: str = "chart", parity: bool = False, importance: bool = False, **siren: float,
    ):  # fmt: skip
        if angle not in ANGLES:
            raise ValueError(f"angle {angle!r} is unknown; use {', '.join(ANGLES)}")
        super().__init__(c_in, c_out, kernel, group, padding, 2 + lie.dimension(group) + (angle == "circle"), **siren)
        self.angle, self.parity, self.importance = angle, parity, importance

    def _arguments(self, relative: Tensor) -> tuple[Tensor, Tensor]:
        """Of h^-1 g (m, n, 2, 2): what the kernel network is told, and the coordinates that the mask measures."""
        v = lie.xi_inverse(relative, self.group)
        if self.angle == "chart":
            return v, v
        odd = ~torch.tensor(lie.is_symmetric(self.group), device=v.device)
        theta, rest = v[..., odd], v[..., ~odd]
        nearest = torch.remainder(theta + math.pi, 2 * math.pi) - math.pi
        return torch.cat([rest, theta.cos(), theta.sin()], -1), torch.cat([rest, nearest], -1)

    def weights(self, into: Samples, out: Samples) -> Tensor:
        """Kernel values (c_out, m, c_in, n, k, k)."""
        m, n, k = len(out.g), len(into.g), self.kernel
        with torch.no_grad(), torch.autocast(out.g.device.type, enabled=False):
            told, measured = self._arguments(out.inverse[:, None] @ into.g[None])
            points = self._window(out.inverse)[:, None].expand(m, n, k * k, 2)
            told, measured = (a[:, :, None].expand(m, n, k * k, a.shape[-1]) for a in (told, measured))
            weight = mask(points, self.group, measured).unsqueeze(-1)
        w = self.siren(torch.cat([points, told], -1)) * weight
        if self.group.startswith("gl"):
            det = torch.linalg.det(into.g).abs()
            if self.parity and m != n:
                raise ValueError(f"parity indexes {n} determinants by {m} output samples; use equal numbers")
            w = w / (det[:, None, None, None] if self.parity else det[:, None, None])
        if self.importance:
            share = (1 / into.density).to(w)
            w = w * (share / share.mean())[:, None, None]
        return w.unflatten(-1, (self.c_out, self.c_in)).permute(3, 0, 4, 1, 2).unflatten(-1, (k, k))

    def forward(self, x: Tensor, into: Samples, out: Samples) -> Tensor:
        self._expect(x, 5)
        if x.shape[2] != len(into.g):
            raise ValueError(
                f"x has {x.shape[2]} samples of the group and `into` {len(into.g)}; give the samples x lives on"
            )
        w = self.weights(into, out).flatten(0, 1).flatten(1, 2)
        return conv2d(x.flatten(1, 2), w, padding=self.padding).unflatten(1, (self.c_out, len(out.g)))
